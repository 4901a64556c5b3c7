// Forward or input gradient of a convolution: a window slides over padded copies of the images. Rows of a tile are
// output places, k the window's places and the channels that are added up, b are the weights. The input gradient is the
// same of the gradient, once for every phase of the stride (see overlap.py).

#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "geometry.h"

// What one phase adds up: the window's places as runs of k over the copied rows, and over its packed weights.
struct Phase {
  int64_t y, x;                                     // of the rows, of the columns
  std::vector<std::pair<int64_t, int64_t>> places;  // where in the copied rows, which of the window
  std::vector<Runs> chunks;                         // each meets no more weights than stay in the cache
  int64_t weights;                                  // where its packed weights begin

  struct Rows {  // as copied: `columns` of `channels` numbers, of which a group adds up `inner`
    int64_t columns, channels, inner;
  };

  // A run is as long as what it adds up lies side by side.
  Phase(int64_t y, int64_t x, const std::vector<Tap>& down, const std::vector<Tap>& across, int64_t window_columns,
        Rows copied, int64_t weights)
      : y(y), x(x), chunks(1), weights(weights) {
    constexpr int64_t most = NEAR / (VECTORS * BYTES);
    int64_t met = 0, in_chunk = 0;
    for (Tap high : down)
      for (Tap wide : across) {
        int64_t place = (high.at * copied.columns + wide.at) * copied.channels;
        places.emplace_back(place, high.number * window_columns + wide.number);
        for (int64_t k = 0; k < copied.inner;) {
          if (in_chunk == most) chunks.emplace_back(), in_chunk = 0;
          int64_t from = place + k, length = std::min(copied.inner - k, most - in_chunk);
          Run* last = chunks.back().empty() ? nullptr : &chunks.back().back();
          bool beside = last && copied.inner == copied.channels && last->a_from + last->length == from;
          if (beside) last->length += length;
          else chunks.back().push_back({from, met, length});
          k += length, met += length, in_chunk += length;
        }
      }
  }
};

// The weights as the tiles meet them: for every phase, group and block of channels, k after k, each with the block's
// vectors side by side.
template <class T>
struct Packed {
  int64_t groups, inner;  // channels of a group that are added up
  Blocks blocks;
  std::vector<Phase> phases;
  std::unique_ptr<T[]> numbers;
  int64_t size = 0;

  Packed(ffi::ThreadPool& pool, const Convolution& of, bool forward, int64_t columns, const T* kernel)
      : groups(of.groups), inner(forward ? of.fan_in : of.fan_out),
        blocks{forward ? of.fan_out : of.fan_in, LANES<T>} {
    Taps down = forward ? of.high.seen() : of.high.received(), across = forward ? of.wide.seen() : of.wide.received();
    for (size_t y = 0; y < down.size(); ++y)
      for (size_t x = 0; x < across.size(); ++x) {
        Phase::Rows copied{columns, inner * groups, inner};
        phases.emplace_back(y, x, down[y], across[x], of.wide.window, copied, size);
        size += met(phases.back()) * groups * blocks.vectors * LANES<T>;
      }
    numbers = std::make_unique_for_overwrite<T[]>(size);
    int64_t outputs = of.fan_out * groups, each = groups * blocks.count;
    parallel(pool, static_cast<int64_t>(phases.size()) * each, [&](int64_t i) {
      const Phase& phase = phases[i / each];
      int64_t group = i / blocks.count % groups, block = i % blocks.count, first = blocks.first(block);
      int64_t lanes = blocks.lanes_of(block), whole = blocks.vectors_of(block) * LANES<T>;
      T* to = at(phase, group, block);
      for (auto [_, number] : phase.places)
        for (int64_t k = 0; k < inner; ++k, to += whole) {
          const T* from = kernel + number * of.fan_in * outputs + group * of.fan_out;
          if (forward) std::memcpy(to, from + k * outputs + first, lanes * SIZE<T>);
          else
            for (int64_t lane = 0; lane < lanes; ++lane) to[lane] = from[(first + lane) * outputs + k];
          std::fill(to + lanes, to + whole, T(0));
        }
    });
  }

  int64_t met(const Phase& phase) const { return static_cast<int64_t>(phase.places.size()) * inner; }
  T* at(const Phase& phase, int64_t group, int64_t block) const {
    int64_t vectors = group * blocks.vectors + block * VECTORS;
    return numbers.get() + phase.weights + met(phase) * LANES<T> * vectors;
  }
};

template <class T>
void slide(ffi::ThreadPool& pool, bool forward, const Convolution& of, const T* x, const T* kernel, T* out) {
  Line rows = forward ? of.high.sliding() : of.high.receiving();
  Line row = forward ? of.wide.sliding() : of.wide.receiving();
  int64_t columns = row.padded();
  Packed<T> packed(pool, of, forward, columns, kernel);
  int64_t channels = packed.inner * of.groups, out_channels = packed.blocks.width * of.groups;

  int64_t row_bytes = columns * channels * SIZE<T>;
  Pieces pieces(of.images, rows.places,
                {.row = row_bytes * rows.step, .image = row_bytes * (rows.reach - rows.step), .weights = packed.size * SIZE<T>});
  int64_t all_blocks = of.groups * packed.blocks.count;
  // The channels of a piece's output are shared out where pieces are few: the same sums, by other threads.
  int64_t shares = std::clamp<int64_t>(4 * threads(pool) / std::max<int64_t>(pieces.count, 1), 1, all_blocks);
  parallel(pool, pieces.count * shares, [&](int64_t task) {
    Pieces::Piece piece = pieces[task / shares];
    int64_t share = task % shares, seen = rows.seen(piece.rows()), copied_image = seen * columns * channels;
    T* copied = scratch<T>(COPY, piece.images * copied_image + VECTORS * LANES<T>);
    for (int64_t m = 0; m < piece.images; ++m) {
      const T* numbers = x + (piece.image + m) * rows.inputs * row.inputs * channels;
      Image<T>{numbers, rows.inputs, row.inputs, channels}.copy_padded(
          piece.from * rows.step - rows.before, seen, row.before, columns, copied + m * copied_image);
    }
    std::vector<int64_t> begins, places;  // of every output place: where it looks in the copy, where it lies
    Runs runs;
    for (const Phase& phase : packed.phases) {
      begins.clear(), places.clear();
      for (int64_t m = 0; m < piece.images; ++m)
        for (int64_t j = std::max(piece.from, rows.first(phase.y)); j < std::min(piece.until, rows.end(phase.y)); ++j)
          for (int64_t i = row.first(phase.x); i < row.end(phase.x); ++i) {
            begins.push_back(m * copied_image + ((j - piece.from) * rows.step * columns + i * row.step) * channels);
            int64_t out_row = (piece.image + m) * rows.outputs + rows.output(j, phase.y);
            places.push_back((out_row * row.outputs + row.output(i, phase.x)) * out_channels);
          }
      Tiles tiles{static_cast<int64_t>(begins.size())};
      for (int64_t one = all_blocks * share / shares; one < all_blocks * (share + 1) / shares; ++one) {
        int64_t group = one / packed.blocks.count, block = one % packed.blocks.count;
        int vectors = packed.blocks.vectors_of(block);
        int64_t channel = group * packed.blocks.width + packed.blocks.first(block);
        for (const Runs& chunk : phase.chunks) {
          runs = chunk;
          for (Run& run : runs) run.b_from *= vectors * LANES<T>;
          for (int64_t t = 0; t < tiles.count; ++t)
            tile_of<T>(tiles.rows(t), vectors, false)(
                {.a = copied + group * packed.inner, .a_begins = &begins[tiles.first(t)], .a_step = 1,
                 .b = packed.at(phase, group, block), .b_step = vectors * LANES<T>, .runs = runs, .to = out + channel,
                 .to_places = &places[tiles.first(t)], .lanes = packed.blocks.lanes_of(block),
                 .add = &chunk != &phase.chunks.front()});
        }
      }
    }
  });
}
