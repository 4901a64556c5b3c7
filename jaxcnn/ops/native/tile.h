// The loop that every product of a convolution is made of. The README beside this file has a picture of it.

#pragma once

#include <utility>
#include <vector>

#include "vectors.h"

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

struct Run {  // `length` steps of k, beginning at a + a_from and at b + b_from
  int64_t a_from, b_from, length;
};
using Runs = std::vector<Run>;

// R rows of C vectors of sums stay in registers while, over the k of every run, they grow:
//
//     sum[r][c] += a[a_begins[r] + k * a_step] * b[k * b_step + c]
//
// a is one number for all lanes, or, EACH, a number for every lane. Then the `lanes` channels at to + to_places[r]
// become the sums, or, `add`, grow by them.
template <class T>
struct Products {
  const T* a;
  const int64_t* a_begins;
  int64_t a_step;
  const T* b;
  int64_t b_step;
  const Runs& runs;
  T* to;
  const int64_t* to_places;
  int64_t lanes;
  bool add;
};

template <class T, int R, int C, bool EACH>
void tile(const Products<T>& of) {
  constexpr int L = LANES<T>;
  Vector<T> sum[R][C] = {};
  int64_t begins[R];
  std::copy_n(of.a_begins, R, begins);
  const int64_t a_step = of.a_step, b_step = of.b_step;  // kept in registers: 8% where runs are short
  for (const Run& run : of.runs) {
    const T *a = of.a + run.a_from, *b = of.b + run.b_from;
    for (int64_t k = 0; k < run.length; ++k, a += a_step, b += b_step) {
      Vector<T> weight[C];
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) weight[c] = load(b + c * L);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) {
          if constexpr (EACH) sum[r][c] += load(a + begins[r] + c * L) * weight[c];
          else sum[r][c] += a[begins[r]] * weight[c];
        }
    }
  }
  if (!of.add && of.lanes == C * L) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) store(of.to + of.to_places[r] + c * L, sum[r][c]);
    return;
  }
  T flat[R][C * L];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) store(&flat[r][c * L], sum[r][c]);
  for (int r = 0; r < R; ++r) {
    T* channels = of.to + of.to_places[r];
    if (of.add)
      for (int64_t lane = 0; lane < of.lanes; ++lane) channels[lane] += flat[r][lane];
    else std::memcpy(channels, flat[r], of.lanes * SIZE<T>);
  }
}

template <class T>
using Tile = void (*)(const Products<T>&);

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

struct Tiles {  // rows in tiles of nearly equal height, the higher ones first
  int64_t all, count = (all + ROWS - 1) / ROWS, least = all / std::max<int64_t>(count, 1), higher = all - least * count;

  int64_t first(int64_t tile) const { return tile * least + std::min(tile, higher); }
  int rows(int64_t tile) const { return static_cast<int>(least + (tile < higher)); }
};

struct Blocks {  // of the channels of b: VECTORS vectors each, the last maybe less
  int64_t width, lanes, vectors = (width + lanes - 1) / lanes, count = (vectors + VECTORS - 1) / VECTORS;

  int64_t first(int64_t block) const { return block * VECTORS * lanes; }
  int vectors_of(int64_t block) const {
    return static_cast<int>(std::min<int64_t>(VECTORS, vectors - block * VECTORS));
  }
  int64_t lanes_of(int64_t block) const { return std::min(VECTORS * lanes, width - first(block)); }
};
