// Input gradient of few channels, which would fill few lanes: lanes are all that a window sends back, its places times
// the input channels; then every window's share is added where it belongs, in a padded image of a thread's own.

#pragma once

#include <memory>
#include <vector>

#include "geometry.h"

// `of` has one group.
template <class T>
void send_back(ffi::ThreadPool& pool, const Convolution& of, const T* gradient, const T* kernel, T* out) {
  Line rows = of.high.sliding(), row = of.wide.sliding();
  int64_t inputs = of.fan_in, outputs = of.fan_out;
  int64_t window_row = of.wide.window * inputs;
  Blocks blocks{of.high.window * window_row, LANES<T>};
  int64_t sent = blocks.vectors * LANES<T>;  // by a window, the last vector filled with zeros

  auto weights = std::make_unique_for_overwrite<T[]>(outputs * sent);
  for (int64_t block = 0; block < blocks.count; ++block) {
    int64_t whole = blocks.vectors_of(block) * LANES<T>, first = blocks.first(block), lanes = blocks.lanes_of(block);
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t lane = 0; lane < whole; ++lane)
        weights[outputs * first + o * whole + lane] = lane < lanes ? kernel[(first + lane) * outputs + o] : T(0);
  }

  std::vector<int64_t> begins, places;  // of a row's windows: their gradients, what they send back
  for (int64_t i = 0; i < row.places; ++i) begins.push_back(i * outputs), places.push_back(i * sent);
  Tiles tiles{row.places};
  Runs all_outputs{{0, 0, outputs}};
  bool in_one = of.wide.dilation == 1;  // a row of the window lies side by side
  int64_t parts = in_one ? 1 : of.wide.window, part = in_one ? window_row : inputs;
  int64_t height = rows.padded(), width = row.padded();
  parallel(pool, of.images, [&](int64_t n) {
    T *image = scratch<T>(COPY, height * width * inputs), *shares = scratch<T>(SECOND_COPY, row.places * sent);
    std::fill_n(image, height * width * inputs, T(0));
    for (int64_t j = 0; j < rows.places; ++j) {
      for (int64_t block = 0; block < blocks.count; ++block) {
        int vectors = blocks.vectors_of(block);
        int64_t first = blocks.first(block);
        for (int64_t t = 0; t < tiles.count; ++t)
          tile_of<T>(tiles.rows(t), vectors, false)(
              {.a = gradient + (n * rows.places + j) * row.places * outputs, .a_begins = &begins[tiles.first(t)],
               .a_step = 1, .b = weights.get() + outputs * first, .b_step = vectors * LANES<T>, .runs = all_outputs,
               .to = shares + first, .to_places = &places[tiles.first(t)], .lanes = vectors * LANES<T>,
               .add = false});
      }
      for (int64_t i = 0; i < row.places; ++i)
        for (int64_t u = 0; u < of.high.window; ++u)
          for (int64_t v = 0; v < parts; ++v) {
            int64_t y = j * rows.step + u * of.high.dilation, x = i * row.step + v * of.wide.dilation;
            T* to = image + (y * width + x) * inputs;
            const T* from = shares + i * sent + u * window_row + v * inputs;
            for (int64_t k = 0; k < part; ++k) to[k] += from[k];
          }
    }
    Image<T>{image, height, width, inputs}.copy_padded(rows.before, rows.inputs, -row.before, row.inputs,
                                                       out + n * rows.inputs * row.inputs * inputs);
  });
}
