// The loop that every product of a convolution is made of.

#pragma once

#include "common.h"

#if defined(__AVX512F__)
constexpr int ROWS = 14;  // of a tile: 14 x 2 of the 32 registers hold its sums
#elif defined(__AVX__)
constexpr int ROWS = 6;  // 6 x 2 of 16
#elif defined(__aarch64__)
constexpr int ROWS = 12;  // 12 x 2 of 32
#else
constexpr int ROWS = 6;
#endif
constexpr int VECTORS = 2;  // columns of a tile

struct Run {  // `length` steps of k, beginning at a + from and b + other
  long from, other, length;
};
using Runs = std::vector<Run>;

struct Steps {  // from k to k + 1: of a and of b
  long a, b;
};

// R rows of C vectors of sums stay in registers while, over the k of every run, they grow:
//
//     sum[r][c] += a[from[r] + k] * b[k][c]
//
// a is one number for all lanes, or, EACH, a number for every lane. Then the `lanes` channels at to + place[r] become
// the sums, or, `add`, grow by them.
template <class T, int R, int C, bool EACH>
void tile(const T* a, const long* from, const T* b, Steps step, const Runs& runs, T* to, const long* place, long lanes,
          bool add) {
  constexpr int L = LANES<T>;
  Vector<T> sum[R][C] = {};
  long at[R];
  std::copy_n(from, R, at);
  for (const Run& run : runs) {
    const T *one = a + run.from, *other = b + run.other;
    for (long k = 0; k < run.length; ++k, one += step.a, other += step.b) {
      Vector<T> weight[C];
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) weight[c] = load(other + c * L);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) {
          if constexpr (EACH) sum[r][c] += load(one + at[r] + c * L) * weight[c];
          else sum[r][c] += one[at[r]] * weight[c];
        }
    }
  }
  if (!add && lanes == C * L) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) store(to + place[r] + c * L, sum[r][c]);
    return;
  }
  T flat[R][C * L];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) store(&flat[r][c * L], sum[r][c]);
  for (int r = 0; r < R; ++r) {
    T* channels = to + place[r];
    if (add) for (long lane = 0; lane < lanes; ++lane) channels[lane] += flat[r][lane];
    else std::memcpy(channels, flat[r], lanes * sizeof(T));
  }
}

template <class T>
using Tile = void (*)(const T*, const long*, const T*, Steps, const Runs&, T*, const long*, long, bool);

template <class T, int C, bool EACH, int... R>
Tile<T> tile_of(int rows, std::integer_sequence<int, R...>) {
  static constexpr Tile<T> tiles[] = {tile<T, R + 1, C, EACH>...};
  return tiles[rows - 1];
}

template <class T>
Tile<T> tile_of(int rows, int vectors, bool each) {
  std::make_integer_sequence<int, ROWS> all;
  if (each) return vectors == 1 ? tile_of<T, 1, true>(rows, all) : tile_of<T, 2, true>(rows, all);
  return vectors == 1 ? tile_of<T, 1, false>(rows, all) : tile_of<T, 2, false>(rows, all);
}

// work(first row, rows) for `count` rows in tiles of nearly equal height
template <class Work>
void in_tiles(long count, Work work) {
  long tiles = (count + ROWS - 1) / ROWS;
  for (long t = 0, from = 0; t < tiles; ++t) {
    long rows = (count - from + tiles - t - 1) / (tiles - t);
    work(from, static_cast<int>(rows));
    from += rows;
  }
}
