// Boxes of images of bytes on a CPU, resized with antialias.

#include <cmath>

#include "pixels.h"

namespace {

constexpr int BITS = 22;  // of a share, as in Pillow: what it is multiplied by and 8 bits fit in an integer

// How each pixel of a line is a mean of pixels of another: a triangle as wide as the pixels, or those of the result if
// these are wider (antialias), cut off at the line's ends.
struct Shares {
  int64_t places, most;  // of the result; of pixels that one of them sees
  Word *first, *counts, *shares;  // (places,), (places,) and (most, places); 0 beyond the count

  Shares(int64_t pixels, int64_t count, Scratch where) : places(whole_vectors(count)) {
    double scale = static_cast<double>(pixels) / count, reach = std::max(scale, 1.0), slope = 1 / reach;
    int64_t at_most = static_cast<int64_t>(std::ceil(reach)) * 2 + 1;
    first = scratch<Word>(where, (at_most + 2) * places);
    counts = first + places;
    shares = counts + places;
    std::fill_n(first, (at_most + 2) * places, 0);
    double* triangle = scratch<double>(COPY, at_most);
    for (int64_t i = 0; i < count; ++i) {
      double center = (i + 0.5) * scale, sum = 0;
      first[i] = std::max<Word>(static_cast<Word>(center - reach + 0.5), 0);
      counts[i] = static_cast<Word>(std::min<int64_t>(static_cast<int64_t>(center + reach + 0.5), pixels)) - first[i];
      for (Word k = 0; k < counts[i]; ++k)
        sum += triangle[k] = std::max(1 - std::abs((first[i] + k - center + 0.5) * slope), 0.0);
      for (Word k = 0; k < counts[i]; ++k)
        shares[k * places + i] = static_cast<Word>(triangle[k] / sum * (1 << BITS) + 0.5);
    }
    most = *std::max_element(counts, counts + count);
  }
};

template <int LANES>
struct Sums {  // of the channels of a vector of pixels
  Words sums[LANES];

  Sums() {
    for (Words& sum : sums) sum = of_each_word(1 << (BITS - 1));
  }
  void add(Words pixels, Words share) {
#pragma GCC unroll 4
    for (int lane = 0; lane < LANES; ++lane) sums[lane] += ((pixels >> (8 * lane)) & 255) * share;
  }
  Words levels() const {
    Words all = {}, white = of_each_word(255);
#pragma GCC unroll 4
    for (int lane = 0; lane < LANES; ++lane) {
      Words level = sums[lane] >> BITS;
      all |= (level < white ? level : white) << (8 * lane);
    }
    return all;
  }
};

struct Box {
  int32_t top, left, height, width;

  bool inside(Size size) const {
    bool starts = top >= 0 && left >= 0 && height > 0 && width > 0;
    return starts && top <= size.height - height && left <= size.width - width;
  }
};

// A box (..., 4) of images (..., H, W, C) resized to (..., H', W', C): along the rows, and then along the columns,
// with bytes in between
ffi::Error resized_crop(ffi::ThreadPool pool, ffi::AnyBuffer images, ffi::AnyBuffer boxes,
                        ffi::Result<ffi::AnyBuffer> result) {
  require_images(images, *result);
  require(boxes.element_type() == ffi::S32 && rank(boxes) >= 1 && from_last(boxes, 0) == 4, "boxes are of int32 (4,)");
  require_for_each(images, *result, 3);
  require_for_each(images, boxes, 1);
  Size size(images), wanted(*result);
  over_images(pool, images, *result, [&](const uint8_t* image, int64_t n, uint8_t* to) {
    Box box;
    std::memcpy(&box, data<int32_t>(boxes) + n * 4, sizeof(box));
    require(box.inside(size), "a box (top, left, height, width) must lie in its image");
    Shares wide(box.width, wanted.width, COPY), high(box.height, wanted.height, SECOND_COPY);
    int64_t width = wide.places;
    // a row of the box with room to look past its end, where no share is; what is gathered of it; and all rows, resized
    Word* from = scratch<Word>(PARTS, box.width + wide.most + (wide.most + box.height) * width);
    Word *gathered = from + box.width + wide.most, *rows = gathered + wide.most * width;
    over_fours(size.channels, [&]<int LANES>(int64_t c) {
      std::fill_n(from + box.width, wide.most, 0);
      const uint8_t* corner = image + box.top * size.row() + box.left * size.channels + c;
      for (int64_t y = 0; y < box.height; ++y) {
        read_row<LANES>(corner + y * size.row(), box.width, size.channels, from);
        for (int64_t k = 0; k < wide.most; ++k) gather(from + k, wide.first, width, gathered + k * width);
        for (int64_t x = 0; x < width; x += L) {
          Sums<LANES> sums;
          for (int64_t k = x; k < wide.most * width; k += width) sums.add(load(gathered + k), load(wide.shares + k));
          store(rows + y * width + x, sums.levels());
        }
      }
      for (int64_t y = 0; y < wanted.height; ++y) {
        const Word* seen = rows + high.first[y] * width;
        for (int64_t x = 0; x < width; x += L) {
          Sums<LANES> sums;
          for (int64_t k = 0; k < high.counts[y]; ++k)
            sums.add(load(seen + k * width + x), of_each_word(high.shares[k * high.places + y]));
          store(gathered + x, sums.levels());
        }
        write_row<LANES>(gathered, wanted.width, size.channels, to + c + y * wanted.row());
      }
    });
  });
  return ffi::Error::Success();
}

}  // namespace

HANDLER(jaxcnn_resized_crop, resized_crop,
        ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>());
