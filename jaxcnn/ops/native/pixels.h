// Images (H, W, C) of bytes. Up to four channels of a pixel are a word of memory, and go together; what a word holds
// beyond its LANES channels does not matter.

#pragma once

#include "handler.h"
#include "threads.h"
#include "vectors.h"

using Word = int32_t;
using Words = Vector<Word>;
using Floats = Vector<float>;
constexpr int64_t L = LANES<Word>;

inline int64_t whole_vectors(int64_t width) { return (width + L - 1) / L * L; }

inline Words of_each_word(int64_t value) { return Words{} + static_cast<Word>(value); }
inline Floats of_each_float(float value) { return Floats{} + value; }

// `width` pixels of `channels` bytes, of which LANES are read
template <int LANES>
void read_row(const uint8_t* from, int64_t width, int64_t channels, Word* to) {
  int64_t followed = LANES == 3 ? std::max<int64_t>(width - 1, 0) : 0;  // by a pixel: four bytes can be read at once
  for (int64_t x = 0; x < followed; ++x) std::memcpy(to + x, from + x * channels, sizeof(Word));
  for (int64_t x = followed; x < width; ++x) std::memcpy(to + x, from + x * channels, LANES);
}

template <int LANES>
void write_row(const Word* from, int64_t width, int64_t channels, uint8_t* to) {
  int64_t followed = LANES == 3 && channels == 3 ? width - 1 : 0;  // a fourth byte is written over
  for (int64_t x = 0; x < followed; ++x) std::memcpy(to + x * channels, from + x, sizeof(Word));
  for (int64_t x = followed; x < width; ++x) std::memcpy(to + x * channels, from + x, LANES);
}

// Loops so plain that a compiler knows them for the processor's own way to look words up
inline void gather(const Word* __restrict from, const Word* __restrict at, int64_t count, Word* __restrict to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[at[i]];
}

// work.operator()<LANES>(first channel), until all are done
template <class Work>
void over_fours(int64_t channels, Work work) {
  int64_t c = 0;
  for (; c + 4 <= channels; c += 4) work.template operator()<4>(c);
  switch (channels - c) {
    case 1: return work.template operator()<1>(c);
    case 2: return work.template operator()<2>(c);
    case 3: return work.template operator()<3>(c);
  }
}

struct Size {
  int64_t height, width, channels;

  explicit Size(const ffi::AnyBuffer& images)
      : height(from_last(images, 2)), width(from_last(images, 1)), channels(from_last(images, 0)) {}
  int64_t row() const { return width * channels; }
  int64_t bytes() const { return height * row(); }
};

// Images and results, (..., H, W, C) of bytes
inline void require_images(const ffi::AnyBuffer& images, const ffi::AnyBuffer& result) {
  require(images.element_type() == ffi::U8 && result.element_type() == ffi::U8, "images must be of uint8");
  require(rank(images) >= 3 && rank(result) == rank(images), "images are (H, W, C), after the dimensions of vmap");
  require(from_last(images, 0) == from_last(result, 0), "images and results must have one number of channels");
  for (int64_t d = 0; d < 3; ++d) require(from_last(images, d) < INT32_MAX / 4, "images must have fewer pixels");
}

// `other` has `dimensions` dimensions for every image
inline void require_for_each(const ffi::AnyBuffer& images, const ffi::AnyBuffer& other, int64_t dimensions) {
  bool holds = rank(other) - dimensions == rank(images) - 3;
  for (int64_t d = 0; holds && d < rank(images) - 3; ++d) holds = other.dimensions()[d] == images.dimensions()[d];
  require(holds, "every dimension of vmap must be that of all arrays");
}

// work(image, its number, its result) for all of them; few pixels are not worth waking a thread
template <class Work>
void over_images(ffi::ThreadPool& pool, const ffi::AnyBuffer& images, ffi::AnyBuffer& result, Work work) {
  if (result.element_count() == 0) return;
  Size size(images), wanted(result);
  int64_t count = result.element_count() / wanted.bytes();
  int64_t together = std::max<int64_t>(1, 32 * 1024 / wanted.bytes());
  auto from = data<uint8_t>(images);
  auto to = static_cast<uint8_t*>(result.untyped_data());
  parallel(pool, (count + together - 1) / together, [&](int64_t i) {
    for (int64_t n = i * together; n < std::min((i + 1) * together, count); ++n)
      work(from + n * size.bytes(), n, to + n * wanted.bytes());
  });
}
