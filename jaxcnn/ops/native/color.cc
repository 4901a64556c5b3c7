// Colors of bytes: each image has a list of operations, done one after the other in whole numbers. Factors have 16 bits
// behind the point, and every operation ends in bytes, as Pillow's do, so that jax computes the same bits.

#include <array>
#include <cstring>

#include "pixels.h"

namespace {

enum Operation {  // as in ops/recolor.py
  NOTHING, BRIGHTNESS, CONTRAST, SATURATION, HUE, SHARPNESS, SOLARIZE, POSTERIZE, INVERT, AUTOCONTRAST, EQUALIZE,
  GRAYSCALE, SOLARIZE_ADD, OPERATIONS
};

constexpr int32_t ONE = 1 << 16, TURN = 6 * ONE, LARGEST = 64 * ONE;
using Byte = uint8_t;
using Table = std::array<Byte, 256>;

inline Byte byte(int32_t value) { return static_cast<Byte>(std::clamp(value, 0, 255)); }

// From `other` (factor 0) to `value` (factor 1), and beyond; a factor is rounded, by which a whole number may be missed
inline Byte blend(int32_t other, int32_t value, int32_t factor) {
  return byte((other * ONE + factor * (value - other) + 128) >> 16);
}

inline int32_t luminance(int32_t red, int32_t green, int32_t blue) {  // ITU-R 601-2, with Pillow's rounding
  return (19595 * red + 38470 * green + 7471 * blue + ONE / 2) >> 16;
}

template <class Entry>
Table table(Entry entry) {
  Table made;
  for (int32_t value = 0; value < 256; ++value) made[value] = byte(entry(value));
  return made;
}

void look_up(const Table& table, const Byte* from, Byte* to, int64_t count) {
  int64_t i = 0;
#if defined(__AVX512VBMI__) && !defined(__clang__)  // clang has no shuffle by numbers known late
  typedef Byte Bytes __attribute__((vector_size(64)));
  Bytes part[4], values, low, high;
  std::memcpy(part, table.data(), 256);
  for (; i + 64 <= count; i += 64) {
    std::memcpy(&values, from + i, 64);
    low = __builtin_shuffle(part[0], part[1], values);
    high = __builtin_shuffle(part[2], part[3], values);
    values = values < 128 ? low : high;
    std::memcpy(to + i, &values, 64);
  }
#endif
  for (; i < count; ++i) to[i] = table[from[i]];
}

// To the nearest whole number, of entry(0) to entry(pixels - 1)
template <class Entry>
int32_t mean(int64_t pixels, Entry entry) {
  int64_t sum = 0;
  constexpr int64_t at_once = 1 << 16;  // their sum fits into 32 bits
  for (int64_t begin = 0; begin < pixels; begin += at_once) {
    uint32_t part = 0;
    for (int64_t i = begin; i < std::min(begin + at_once, pixels); ++i) part += entry(i);
    sum += part;
  }
  return static_cast<int32_t>((2 * sum + pixels) / (2 * pixels));
}

int64_t pixels(const Size& size) { return size.height * size.width; }

int32_t mean_luminance(const Byte* p, const Size& size) {
  if (size.channels == 1) return mean(pixels(size), [p](int64_t i) { return p[i]; });
  return mean(pixels(size), [p](int64_t i) { return luminance(p[3 * i], p[3 * i + 1], p[3 * i + 2]); });
}

void saturate(const Byte* from, Byte* to, int64_t pixels, int32_t factor) {
  for (int64_t i = 0; i < 3 * pixels; i += 3) {
    int32_t red = from[i], green = from[i + 1], blue = from[i + 2], gray = luminance(red, green, blue);
    to[i] = blend(gray, red, factor);
    to[i + 1] = blend(gray, green, factor);
    to[i + 2] = blend(gray, blue, factor);
  }
}

// HSV without a division: along the six sides of the hue's hexagon, each as long as largest - smallest
void turn_hue(const Byte* from, Byte* to, int64_t pixels, int32_t turn) {
  turn = (turn % TURN + TURN) % TURN;
  for (int64_t i = 0; i < 3 * pixels; i += 3) {
    int32_t red = from[i], green = from[i + 1], blue = from[i + 2];
    int32_t largest = std::max({red, green, blue}), side = largest - std::min({red, green, blue});
    int32_t along = largest == red ? green - blue : largest == green ? 2 * side + blue - red : 4 * side + red - green;
    along = along * ONE + turn * side;
    side *= ONE;
    along += along < 0 ? 6 * side : 0;
    auto value = [&](int32_t sides) {
      int32_t at = along + sides * side;
      at -= at >= 12 * side ? 12 * side : at >= 6 * side ? 6 * side : 0;
      return static_cast<Byte>((largest * ONE + ONE / 2 - std::clamp(std::min(at, 4 * side - at), 0, side)) >> 16);
    };
    to[i] = value(5);
    to[i + 1] = value(3);
    to[i + 2] = value(1);
  }
}

// Away from the mean of 3x3 pixels in which the middle one counts five times; the image's edge stays as it is.
void sharpen(const Byte* from, Byte* to, const Size& size, int32_t factor) {
  int64_t row = size.row(), next = size.channels;
  std::memcpy(to, from, row);
  for (int64_t y = 1; y + 1 < size.height; ++y) {
    const Byte *above = from + (y - 1) * row, *middle = above + row, *below = middle + row;
    Byte* __restrict result = to + y * row;
    for (int64_t i = 0; i < next; ++i) result[i] = middle[i], result[row - 1 - i] = middle[row - 1 - i];
    for (int64_t i = next; i < row - next; ++i) {
      int32_t sum = above[i - next] + above[i] + above[i + next] + middle[i - next] + 5 * middle[i] +
                    middle[i + next] + below[i - next] + below[i] + below[i + next];
      result[i] = blend((sum + 6) / 13, middle[i], factor);
    }
  }
  if (size.height > 1) std::memcpy(to + (size.height - 1) * row, from + (size.height - 1) * row, row);
}

using Counts = std::array<int64_t, 256>;

Table stretched(const Counts& counts) {
  int32_t low = 0, high = 255;
  while (low < 255 && !counts[low]) ++low;
  while (high > 0 && !counts[high]) --high;
  if (high <= low) return table([](int32_t value) { return value; });
  return table([&](int32_t value) { return std::max(value - low, 0) * 255 / (high - low); });
}

Table equalized(const Counts& counts, int64_t pixels) {
  int32_t high = 255;
  while (high > 0 && !counts[high]) --high;
  int64_t step = (pixels - counts[high]) / 255, below = step / 2;
  if (!step) return table([](int32_t value) { return value; });
  return table([&](int32_t value) {
    int64_t entry = std::min<int64_t>(below / step, 255);
    below += counts[value];
    return static_cast<int32_t>(entry);
  });
}

template <int CHANNELS>
void spread(Operation operation, const Byte* from, Byte* to, int64_t pixels) {
  Counts counts[CHANNELS][2] = {};  // two in turn: a count need not wait for the one before
  for (int64_t i = 0; i < pixels; ++i)
    for (int c = 0; c < CHANNELS; ++c) ++counts[c][i & 1][from[i * CHANNELS + c]];
  Table tables[CHANNELS];
  for (int c = 0; c < CHANNELS; ++c) {
    for (int value = 0; value < 256; ++value) counts[c][0][value] += counts[c][1][value];
    tables[c] = operation == EQUALIZE ? equalized(counts[c][0], pixels) : stretched(counts[c][0]);
  }
  for (int64_t i = 0; i < pixels; ++i)
    for (int c = 0; c < CHANNELS; ++c) to[i * CHANNELS + c] = tables[c][from[i * CHANNELS + c]];
}

void to_gray(const Byte* from, Byte* to, int64_t pixels) {
  for (int64_t i = 0; i < 3 * pixels; i += 3)
    to[i] = to[i + 1] = to[i + 2] = static_cast<Byte>(luminance(from[i], from[i + 1], from[i + 2]));
}

// `from` may be `to`
void perform(Operation operation, int32_t amount, const Byte* from, Byte* to, const Size& size) {
  auto by = [&](const Table& table) { look_up(table, from, to, size.bytes()); };
  switch (operation) {
    case BRIGHTNESS: return by(table([&](int32_t value) { return blend(0, value, amount); }));
    case CONTRAST: {
      int32_t mean = mean_luminance(from, size);
      return by(table([&](int32_t value) { return blend(mean, value, amount); }));
    }
    case SOLARIZE_ADD: return by(table([&](int32_t value) { return value < 128 ? value + amount : value; }));
    case SOLARIZE: return by(table([&](int32_t value) { return value < amount ? value : 255 - value; }));
    case POSTERIZE: return by(table([&](int32_t value) { return value & -(1 << std::clamp(8 - amount, 0, 8)); }));
    case INVERT: return by(table([](int32_t value) { return 255 - value; }));
    case SATURATION: return saturate(from, to, pixels(size), amount);
    case HUE: return turn_hue(from, to, pixels(size), amount);
    case GRAYSCALE: return to_gray(from, to, pixels(size));
    case SHARPNESS:
      if (from == to) {
        Byte* copy = scratch<Byte>(COPY, size.bytes());
        std::memcpy(copy, from, size.bytes());
        from = copy;
      }
      return sharpen(from, to, size, amount);
    default:
      return size.channels == 1 ? spread<1>(operation, from, to, pixels(size))
                                : spread<3>(operation, from, to, pixels(size));
  }
}

bool nothing(int32_t operation, int64_t channels) {
  bool of_colors = operation == SATURATION || operation == HUE || operation == GRAYSCALE;
  return operation == NOTHING || (channels == 1 && of_colors);
}

// images (..., H, W, C), operations and their amounts (..., K), into (..., H, W, C)
ffi::Error recolor(ffi::ThreadPool pool, ffi::AnyBuffer images, ffi::AnyBuffer operations, ffi::AnyBuffer amounts,
                   ffi::Result<ffi::AnyBuffer> result) {
  require_images(images, *result);
  require(operations.element_type() == ffi::S32 && amounts.element_type() == ffi::S32,
          "operations and amounts must be of int32");
  require(same_shape(images, *result), "the result must have the images' size");
  require(same_shape(operations, amounts), "every operation must have an amount");
  require_for_each(images, operations, 1);
  Size size(images);
  require(size.channels == 1 || size.channels == 3, "images must have one channel or three");
  for (size_t i = 0; i < operations.element_count(); ++i) {
    int32_t operation = data<int32_t>(operations)[i];
    require(operation >= 0 && operation < OPERATIONS, "there is no operation of this number");
  }
  int64_t length = from_last(operations, 0);
  over_images(pool, images, *result, [&](const Byte* now, int64_t n, Byte* to) {
    for (int64_t k = n * length; k < (n + 1) * length; ++k) {
      int32_t operation = data<int32_t>(operations)[k];
      if (nothing(operation, size.channels)) continue;
      int32_t amount = std::clamp(data<int32_t>(amounts)[k], -LARGEST, LARGEST);
      perform(static_cast<Operation>(operation), amount, now, to, size);
      now = to;
    }
    if (now != to) std::memcpy(to, now, size.bytes());
  });
  return ffi::Error::Success();
}

// images (..., H, W, C) into (..., C)
ffi::Error mean_color(ffi::ThreadPool pool, ffi::AnyBuffer images, ffi::Result<ffi::AnyBuffer> result) {
  require(images.element_type() == ffi::U8 && result->element_type() == ffi::U8, "images must be of uint8");
  require(rank(images) >= 3, "images are (H, W, C), after the dimensions of vmap");
  require_for_each(images, *result, 1);
  Size size(images);
  require(from_last(*result, 0) == size.channels, "images and colors must have one number of channels");
  if (result->element_count() == 0) return ffi::Error::Success();
  require(size.bytes() > 0, "an image must have a pixel");
  parallel(pool, result->element_count() / size.channels, [&](int64_t n) {
    const Byte* p = data<Byte>(images) + n * size.bytes();
    Byte* to = static_cast<Byte*>(result->untyped_data()) + n * size.channels;
    auto of = [&](int64_t channels) {
      for (int64_t c = 0; c < channels; ++c)
        to[c] = static_cast<Byte>(mean(pixels(size), [=](int64_t i) { return p[i * channels + c]; }));
    };
    if (size.channels == 3) of(3);  // a number that the compiler knows
    else of(size.channels);
  });
  return ffi::Error::Success();
}

}  // namespace

HANDLER(jaxcnn_mean_color, mean_color,
        ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>());
HANDLER(jaxcnn_recolor, recolor,
        ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>()
            .Ret<ffi::AnyBuffer>());
