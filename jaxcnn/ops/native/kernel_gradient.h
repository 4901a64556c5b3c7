// Kernel gradient of a convolution. Rows of a tile are the window's places and the input channels, k are the output
// places, b is the gradient. A depthwise convolution has a vector of channels for a too.
//
// The pieces of the batch are cut into parts; each adds up its own gradient, and these are added in their order. How
// many there are depends on the sizes alone, so that the bits do not depend on the threads; the threads share out the
// parts and, where these are few, the tiles of each.

#pragma once

#include <vector>

#include "geometry.h"

template <class T>
int64_t parts_of(int64_t pieces, int64_t kernel) {
  constexpr int64_t most = 8, bytes = 2 * 1024 * 1024;  // of all parts together, so that they stay near
  return std::clamp<int64_t>(bytes / std::max<int64_t>(kernel * SIZE<T>, 1), 1, std::clamp<int64_t>(pieces, 1, most));
}

template <class T>
void kernel_gradient(ffi::ThreadPool& pool, const Convolution& of, const T* x, const T* gradient, T* out) {
  bool each = of.depthwise();
  Line rows = of.high.sliding(), row = of.wide.sliding();
  int64_t sets = each ? 1 : of.groups, inputs = of.fan_in * of.groups, outputs = of.fan_out * of.groups;
  Blocks blocks{each ? of.groups : of.fan_out, LANES<T>};
  int64_t columns = row.padded(), size = of.high.window * of.wide.window * of.fan_in * outputs;
  bool partly = blocks.width % LANES<T>;  // the last vector would be read beyond the end of the gradient

  std::vector<int64_t> begins, places;  // of every row of the tiles: where it looks in the copy, where its sums lie
  for (int64_t u = 0; u < of.high.window; ++u)
    for (int64_t v = 0; v < of.wide.window; ++v)
      for (int64_t i = 0; i < of.fan_in; ++i) {
        begins.push_back((u * of.high.dilation * columns + v * of.wide.dilation) * inputs + i);
        places.push_back(static_cast<int64_t>(places.size()) * outputs);
      }
  Tiles tiles{static_cast<int64_t>(begins.size())};

  int64_t row_bytes = columns * inputs * SIZE<T>;
  Pieces pieces(of.images, rows.places,
                {.row = row_bytes * rows.step + row.places * outputs * SIZE<T>,
                 .image = row_bytes * (rows.reach - rows.step), .weights = size * SIZE<T>});
  int64_t parts = parts_of<T>(pieces.count, size), all_tiles = sets * blocks.count * tiles.count;
  int64_t tasks = threads(pool) == 1 ? 1 : 2 * threads(pool);
  int64_t shares = std::clamp<int64_t>((tasks + parts - 1) / parts, 1, all_tiles);
  T* sums = scratch<T>(PARTS, (parts - 1) * size);  // but of the first part, which are the result's own
  if (pieces.count == 0) std::fill_n(out, size, T(0));
  parallel(pool, parts * shares, [&](int64_t task) {
    int64_t part = task / shares, share = task % shares, first_piece = pieces.count * part / parts;
    T* mine = part == 0 ? out : sums + (part - 1) * size;
    Runs runs;
    for (int64_t number = first_piece; number < pieces.count * (part + 1) / parts; ++number) {
      Pieces::Piece piece = pieces[number];
      int64_t seen = rows.seen(piece.rows()), copied_image = seen * columns * inputs;
      int64_t windows = piece.rows() * row.places;
      T* copied = scratch<T>(COPY, piece.images * copied_image + VECTORS * LANES<T>);
      for (int64_t m = 0; m < piece.images; ++m) {
        const T* numbers = x + (piece.image + m) * rows.inputs * row.inputs * inputs;
        Image<T>{numbers, rows.inputs, row.inputs, inputs}.copy_padded(
            piece.from * rows.step - rows.before, seen, row.before, columns, copied + m * copied_image);
      }
      const T* g = gradient + (piece.image * rows.places + piece.from) * row.places * outputs;
      if (partly) {
        T* whole = scratch<T>(SECOND_COPY, piece.images * windows * outputs + VECTORS * LANES<T>);
        std::memcpy(whole, g, piece.images * windows * outputs * SIZE<T>);
        g = whole;
      }
      runs.clear();
      for (int64_t m = 0; m < piece.images; ++m)
        for (int64_t j = 0; j < piece.rows(); ++j)
          runs.push_back({.a_from = m * copied_image + j * rows.step * columns * inputs,
                          .b_from = (m * windows + j * row.places) * outputs, .length = row.places});
      for (int64_t one = all_tiles * share / shares; one < all_tiles * (share + 1) / shares; ++one) {
        int64_t t = one % tiles.count, block = one / tiles.count % blocks.count;
        int64_t set = one / tiles.count / blocks.count, channel = set * blocks.width + blocks.first(block);
        tile_of<T>(tiles.rows(t), blocks.vectors_of(block), each)(
            {.a = copied + (each ? channel : set * of.fan_in), .a_begins = &begins[tiles.first(t)],
             .a_step = row.step * inputs, .b = g + channel, .b_step = outputs, .runs = runs, .to = mine + channel,
             .to_places = &places[tiles.first(t)], .lanes = blocks.lanes_of(block), .add = number != first_piece});
      }
    }
  });

  if (parts == 1) return;
  constexpr int64_t worth = 64 * 1024;  // waking a thread: numbers
  int64_t cuts = std::max<int64_t>(parts * size / worth, 1);
  parallel(pool, cuts, [&](int64_t cut) {
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t i = size * cut / cuts; i < size * (cut + 1) / cuts; ++i) out[i] += sums[(part - 1) * size + i];
  });
}
