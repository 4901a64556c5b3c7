// The geometry of a convolution: its dimensions, the pieces into which a batch is cut, and the padded copies of these.

#pragma once

#include <vector>

#include "tile.h"
#include "walk.h"

constexpr int64_t NEAR = 128 * 1024, FAR = 512 * 1024;  // bytes that stay in a core's cache beside others, and alone

// One spatial dimension. Place j looks at `reach` inputs from j*step - before on, and makes the outputs
// j*spread + phase - crop, one for every phase.
struct Line {
  int64_t inputs, outputs, places, step, before, reach, spread, crop;

  int64_t first(int64_t phase) const { return std::max<int64_t>(0, (crop - phase + spread - 1) / spread); }
  int64_t end(int64_t phase) const { return std::min(places, (outputs + crop - phase + spread - 1) / spread); }
  int64_t output(int64_t j, int64_t phase) const { return j * spread + phase - crop; }
  int64_t padded() const { return seen(places); }
  int64_t seen(int64_t neighbors) const { return (neighbors - 1) * step + reach; }
};

struct Tap {  // a place of the window: `at` from where an output place begins to look, and its number
  int64_t at, number;
};
using Taps = std::vector<std::vector<Tap>>;  // of every phase

struct Sizes {  // of a convolution along one dimension
  int64_t inputs, window, stride, before, dilation, outputs;

  Axis axis() const { return {inputs, outputs, window, stride, before, dilation, nullptr}; }
  int64_t reach() const { return (window - 1) * dilation + 1; }
  int64_t back() const { return (window - 1) * dilation / stride; }

  Line sliding() const {
    return {.inputs = inputs, .outputs = outputs, .places = outputs, .step = stride, .before = before,
            .reach = reach(), .spread = 1, .crop = 0};
  }
  Line receiving() const {
    return {.inputs = outputs, .outputs = inputs, .places = (before + inputs + stride - 1) / stride, .step = 1,
            .before = back(), .reach = back() + 1, .spread = stride, .crop = before};
  }

  Taps seen() const {
    Taps taps(1);
    for (int64_t u = 0; u < window; ++u) taps[0].push_back({u * dilation, u});
    return taps;
  }
  // u*dilation = q*stride + phase: place u brings a phase what came from q windows before
  Taps received() const {
    Taps taps(stride);
    for (int64_t u = window - 1; u >= 0; --u)
      taps[u * dilation % stride].push_back({back() - u * dilation / stride, u});
    return taps;
  }
};

struct Convolution {
  int64_t images;
  Sizes high, wide;
  int64_t fan_in, fan_out, groups;  // the channels of a group

  bool depthwise() const { return groups > 1 && fan_in == 1 && fan_out == 1; }
};

// Images cut into pieces: some rows of places of one image, or several whole images. By their sizes alone, as a kernel's
// gradient is added up piece by piece.
struct Pieces {
  int64_t images, places, rows, cuts, together, count;

  struct Needs {  // in bytes: for every row of places, for an image beside its rows, and for the weights that all share
    int64_t row, image, weights;
  };

  Pieces(int64_t images, int64_t places, Needs needs) : images(images), places(places) {
    constexpr int64_t at_least = 8;
    int64_t room = std::clamp(needs.weights, NEAR, FAR);  // more of them where many weights wait to be used again
    int64_t fitting = std::clamp<int64_t>((room - needs.image) / std::max<int64_t>(needs.row, 1), 1, places);
    cuts = (places + fitting - 1) / fitting;
    rows = (places + cuts - 1) / cuts;
    cuts = (places + rows - 1) / rows;  // none of them empty
    int64_t whole = needs.image + needs.row * places, most = std::max<int64_t>(1, images / at_least);
    together = cuts > 1 ? 1 : std::clamp<int64_t>(room / std::max<int64_t>(whole, 1), 1, most);
    count = (images + together - 1) / together * cuts;
  }

  struct Piece {  // `images` images from number `image` on, their rows of places from `from` to before `until`
    int64_t image, images, from, until;

    int64_t rows() const { return until - from; }
  };
  Piece operator[](int64_t number) const {
    int64_t image = number / cuts * together, from = number % cuts * rows;
    return {image, std::min(together, images - image), from, std::min(from + rows, places)};
  }
};

template <class T>
struct Image {
  const T* numbers;
  int64_t height, width, channels;

  // `count` rows from `row` on, `columns` of them from -before on; zeros where there is no image
  void copy_padded(int64_t row, int64_t count, int64_t before, int64_t columns, T* to) const {
    int64_t from = std::clamp<int64_t>(-before, 0, width), until = std::clamp(columns - before, from, width);
    int64_t left = std::clamp<int64_t>(before, 0, columns) * channels, middle = (until - from) * channels;
    int64_t right = columns * channels - left - middle;
    for (int64_t r = row; r < row + count; ++r, to += columns * channels) {
      if (r < 0 || r >= height || middle == 0) {
        std::fill_n(to, columns * channels, T(0));
        continue;
      }
      std::fill_n(to, left, T(0));
      std::memcpy(to + left, numbers + (r * width + from) * channels, middle * SIZE<T>);
      std::fill_n(to + left + middle, right, T(0));
    }
  }
};
