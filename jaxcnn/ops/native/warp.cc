// Images of bytes on a CPU, seen through a homography.

#include "pixels.h"

namespace {

// An image between a pixel of `fill` on every side: the four neighbors of every place in it or near it are there.
struct Bordered {
  const Word* words;
  int64_t height, width;  // of the image

  int64_t pitch() const { return width + 2; }

  template <int LANES>
  static Bordered copy(const uint8_t* image, const uint8_t* fill, Size size, Word* to) {
    Word outside = 0;
    std::memcpy(&outside, fill, LANES);
    Bordered made{to, size.height, size.width};
    to = std::fill_n(to, made.pitch(), outside);
    for (int64_t y = 0; y < size.height; ++y, image += size.row()) {
      *to++ = outside;
      read_row<LANES>(image, size.width, size.channels, to);
      to += size.width;
      *to++ = outside;
    }
    std::fill_n(to, made.pitch(), outside);
    return made;
  }
};

// A row of the result, in whole vectors: where each pixel looks, how far to the right and down of that, what it sees
struct Row {
  Word* at;
  float *right, *down;
  Word *neighbors[4], *seen;

  Row(int64_t width)
      : at(scratch<Word>(SECOND_COPY, 6 * width)), right(scratch<float>(COPY, 2 * width)), down(right + width),
        seen(at + 5 * width) {
    for (int64_t i = 0; i < 4; ++i) neighbors[i] = at + (i + 1) * width;
  }
};

constexpr float TO_EVEN = 3 << 22;  // a float that it is added to is rounded, and the integer in its last bits

Words rounded(Floats values) {
  values += TO_EVEN;
  Words bits;
  std::memcpy(&bits, &values, BYTES);
  return bits - of_each_word(0x4b400000);  // the bits of TO_EVEN
}

Floats between(Floats values, float last) {  // 0 where it is not a number
  values = values > 0.0f ? values : Floats{};
  return values < last ? values : of_each_float(last);
}

// Where row y of the result looks. The middle of pixel (x, y) is at (x + 1/2, y + 1/2); who looks past the image looks
// at its border.
template <bool NEAREST>
void look(const float* matrix, int64_t y, int64_t width, const Bordered& image, Row to) {
  float up[3], middle = static_cast<float>(y) + 0.5f;
  for (int i = 0; i < 3; ++i) up[i] = matrix[3 * i + 1] * middle + matrix[3 * i + 2];
  Words last_column = of_each_word(image.width), last_row = of_each_word(image.height);
  Words pitch = of_each_word(image.pitch());
  Floats steps;
  for (int64_t lane = 0; lane < L; ++lane) steps[lane] = static_cast<float>(lane) + 0.5f;
  for (int64_t x = 0; x < width; x += L) {
    Floats across = steps + static_cast<float>(x), depth = matrix[6] * across + up[2];
    Floats column = between((matrix[0] * across + up[0]) / depth + 0.5f, image.width + 1);
    Floats row = between((matrix[3] * across + up[1]) / depth + 0.5f, image.height + 1);
    if (NEAREST) {
      Words one = of_each_word(1);  // rounded as places of the image, without the border
      store(to.at + x, (rounded(row - 1.0f) + one) * pitch + rounded(column - 1.0f) + one);
      continue;
    }
    Words j = __builtin_convertvector(column, Words), i = __builtin_convertvector(row, Words);
    j = j < last_column ? j : last_column;
    i = i < last_row ? i : last_row;
    store(to.at + x, i * pitch + j);
    store(to.right + x, column - __builtin_convertvector(j, Floats));
    store(to.down + x, row - __builtin_convertvector(i, Floats));
  }
}

Floats channel(Words words, int lane) { return __builtin_convertvector((words >> (8 * lane)) & 255, Floats); }

template <int LANES>
void blend(const Bordered& image, int64_t width, Row row) {
  for (int64_t i = 0; i < 4; ++i)
    gather(image.words + i / 2 * image.pitch() + i % 2, row.at, width, row.neighbors[i]);
  for (int64_t x = 0; x < width; x += L) {
    Floats right = load(row.right + x), down = load(row.down + x);
    Words seen = {}, pixels[4];
    for (int i = 0; i < 4; ++i) pixels[i] = load(row.neighbors[i] + x);
#pragma GCC unroll 4
    for (int lane = 0; lane < LANES; ++lane) {
      Floats upper_left = channel(pixels[0], lane), upper_right = channel(pixels[1], lane);
      Floats left = upper_left + down * (channel(pixels[2], lane) - upper_left);
      Floats other = upper_right + down * (channel(pixels[3], lane) - upper_right);
      seen |= rounded(left + right * (other - left)) << (8 * lane);
    }
    store(row.seen + x, seen);
  }
}

bool is_identity(const float* matrix) {
  constexpr float identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  return std::equal(identity, identity + 9, matrix);
}

// images (..., H, W, C), matrix (..., 3, 3) from places of the result to places of the image, and fill (..., C), into
// (..., H', W', C)
ffi::Error warp(ffi::ThreadPool pool, ffi::AnyBuffer images, ffi::AnyBuffer matrix, ffi::AnyBuffer fill,
                ffi::Result<ffi::AnyBuffer> result, int64_t nearest) {
  require_images(images, *result);
  bool is_matrix = rank(matrix) >= 2 && from_last(matrix, 0) == 3 && from_last(matrix, 1) == 3;
  require(is_matrix && matrix.element_type() == ffi::F32, "the matrix must be of float32 (3, 3)");
  require(fill.element_type() == ffi::U8 && rank(fill) >= 1 && from_last(fill, 0) == from_last(images, 0),
          "the fill must be of uint8, one number for every channel");
  require_for_each(images, *result, 3);
  require_for_each(images, matrix, 2);
  require_for_each(images, fill, 1);
  Size size(images), wanted(*result);
  require(size.height + 2 <= INT32_MAX / (size.width + 2), "images must have fewer pixels");
  bool same_size = same_shape(images, *result);
  over_images(pool, images, *result, [&](const uint8_t* image, int64_t n, uint8_t* to) {
    if (same_size && is_identity(data<float>(matrix) + n * 9)) {
      std::memcpy(to, image, size.bytes());
      return;
    }
    int64_t width = whole_vectors(wanted.width);
    Row row(width);
    Word* copy = scratch<Word>(COPY, (size.height + 2) * (size.width + 2));
    over_fours(size.channels, [&]<int LANES>(int64_t c) {
      auto bordered = Bordered::copy<LANES>(image + c, data<uint8_t>(fill) + n * size.channels + c, size, copy);
      for (int64_t y = 0; y < wanted.height; ++y) {
        if (nearest) {
          look<true>(data<float>(matrix) + n * 9, y, width, bordered, row);
          gather(bordered.words, row.at, width, row.seen);
        } else {
          look<false>(data<float>(matrix) + n * 9, y, width, bordered, row);
          blend<LANES>(bordered, width, row);
        }
        write_row<LANES>(row.seen, wanted.width, size.channels, to + c + y * wanted.row());
      }
    });
  });
  return ffi::Error::Success();
}

}  // namespace

HANDLER(jaxcnn_warp, warp,
        ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>()
            .Ret<ffi::AnyBuffer>().Attr<int64_t>("nearest"));
