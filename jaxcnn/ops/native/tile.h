// The loop that every product of a convolution is made of, and how its work is shared among threads.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

#if defined(__AVX512F__)
constexpr int BYTES = 64, ROWS = 14;  // of a vector; of a tile: 14 x 2 of the 32 registers hold its sums
#elif defined(__AVX__)
constexpr int BYTES = 32, ROWS = 6;  // 6 x 2 of 16
#elif defined(__aarch64__)
constexpr int BYTES = 16, ROWS = 12;  // 12 x 2 of 32
#else
constexpr int BYTES = 16, ROWS = 6;
#endif
constexpr int VECTORS = 2;  // columns of a tile

template <class T>
constexpr int LANES = BYTES / sizeof(T);

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
  typedef T Vector __attribute__((vector_size(BYTES)));
  typedef T Anywhere __attribute__((vector_size(BYTES), aligned(sizeof(T))));
  constexpr int L = LANES<T>;
  auto load = [](const T* from) -> Vector { return *reinterpret_cast<const Anywhere*>(from); };

  Vector sum[R][C] = {};
  long at[R];
  std::copy_n(from, R, at);
  for (const Run& run : runs) {
    const T *one = a + run.from, *other = b + run.other;
    for (long k = 0; k < run.length; ++k, one += step.a, other += step.b) {
      Vector weight[C];
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
      for (int c = 0; c < C; ++c) *reinterpret_cast<Anywhere*>(to + place[r] + c * L) = sum[r][c];
    return;
  }
  T flat[R][C * L];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) *reinterpret_cast<Anywhere*>(&flat[r][c * L]) = sum[r][c];
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

inline long threads(xla::ffi::ThreadPool& pool) { return std::max<long>(1, pool.num_threads()); }

// work(0) to work(count - 1), by the threads of XLA that are free and by this one. Who comes late finds nothing to do
// and touches nothing, so that this waits only for work that has begun: it cannot wait for a thread that waits.
template <class Work>
void parallel(xla::ffi::ThreadPool& pool, long count, Work work) {
  struct Progress {
    std::atomic<long> next{0}, done{0};
  };
  auto progress = std::make_shared<Progress>();
  auto run = [progress, count, &work] {
    for (long i; (i = progress->next.fetch_add(1)) < count;) {
      work(i);
      if (progress->done.fetch_add(1) + 1 == count) progress->done.notify_all();
    }
  };
  for (long helpers = std::min(count, threads(pool)) - 1; helpers > 0; --helpers)
    pool.Schedule(decltype(run)(run));
  run();
  for (long done; (done = progress->done.load()) < count;) progress->done.wait(done);
}

// A thread's own memory: it grows and is used again.
template <class T>
T* scratch(int which, long count) {
  static thread_local std::vector<T> memory[2];
  if (static_cast<long>(memory[which].size()) < count) memory[which].resize(count);
  return memory[which].data();
}
