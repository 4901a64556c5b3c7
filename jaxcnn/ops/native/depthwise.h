// Forward or input gradient of a depthwise convolution: a walk, which needs no copy.

#pragma once

#include "walk.h"

// What is met, each times the weights of that place of the window.
template <class T>
struct Weighted {
  static constexpr bool ALIKE = false;
  static constexpr int TOGETHER = BYTES == 64 ? 4 : 2;  // places that share weights: four vectors of sums for each
  const T *x, *kernel;
  int64_t channels;
  T* y;

  template <int B, int COLUMNS, int P>
  void gather(const std::vector<Met<T>>& met, Spot spot) const {
    constexpr int L = B / SIZE<T>;
    Vector<T, B> sum[P][COLUMNS] = {};
    for (const Met<T>& m : met) {
      const T *values = x + spot.from + m.at, *weights = kernel + m.number * channels + spot.channel;
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) {
        auto weight = load<T, B>(weights + c * L);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sum[p][c] += load<T, B>(values + p * spot.from_next + c * L) * weight;
      }
    }
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) store<T, B>(y + spot.to + p * spot.to_next + c * L, sum[p][c]);
  }
};
