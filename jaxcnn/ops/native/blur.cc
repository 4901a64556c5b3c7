// Images of bytes on a CPU, averaged with their neighbors by weights: along their rows, then along their columns.

#include "pixels.h"

namespace {

int64_t mirrored(int64_t at, int64_t size) {  // at the edge, which is not repeated
  at = at < 0 ? -at : at;
  return at >= size ? 2 * (size - 1) - at : at;
}

// to[i] = the sum of weights[k] * from(k)[i], for all i < count; a whole vector too many may be read and written
template <class From>
void add_up(const float* weights, int64_t length, From from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; i += 4 * L) {
    Floats sum[4] = {};
    for (int64_t k = 0; k < length; ++k)
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) sum[c] += weights[k] * load(from(k) + i + c * L);
    for (int c = 0; c < 4; ++c) store(to + i + c * L, sum[c]);
  }
}

void blur(const uint8_t* image, const Size& size, const float* weights, int64_t length, uint8_t* to) {
  int64_t channels = size.channels, row = size.row(), reach = length / 2;
  int64_t pitch = (row + 4 * L - 1) / (4 * L) * (4 * L);
  float* lines = scratch<float>(COPY, size.height * pitch);
  float* line = scratch<float>(SECOND_COPY, pitch + 2 * reach * channels + pitch);
  float* inside = line + reach * channels;
  for (int64_t y = 0; y < size.height; ++y) {
    const uint8_t* from = image + y * row;
    for (int64_t i = 0; i < row; ++i) inside[i] = from[i];
    for (int64_t x = 1; x <= reach; ++x)
      for (int64_t c = 0; c < channels; ++c) {
        inside[-x * channels + c] = from[mirrored(-x, size.width) * channels + c];
        inside[(size.width - 1 + x) * channels + c] = from[mirrored(size.width - 1 + x, size.width) * channels + c];
      }
    add_up(weights, length, [&](int64_t k) { return line + k * channels; }, row, lines + y * pitch);
  }
  for (int64_t y = 0; y < size.height; ++y) {
    add_up(weights, length, [&](int64_t k) { return lines + mirrored(y + k - reach, size.height) * pitch; }, row, line);
    for (int64_t i = 0; i < row; ++i)
      to[y * row + i] = static_cast<uint8_t>(static_cast<int32_t>(std::clamp(line[i], 0.0f, 255.0f) + 0.5f));
  }
}

// images (..., H, W, C) and weights (..., K), an odd number of them, into (..., H, W, C)
ffi::Error blur_all(ffi::ThreadPool pool, ffi::AnyBuffer images, ffi::AnyBuffer weights,
                    ffi::Result<ffi::AnyBuffer> result) {
  require_images(images, *result);
  require(same_shape(images, *result), "the result must have the images' size");
  require(weights.element_type() == ffi::F32, "weights must be of float32");
  require_for_each(images, weights, 1);
  Size size(images);
  int64_t length = from_last(weights, 0);
  require(length % 2 == 1 && length / 2 < size.height && length / 2 < size.width,
          "weights must be odd in number, and reach less far than the image");
  over_images(pool, images, *result, [&](const uint8_t* image, int64_t n, uint8_t* to) {
    const float* own = data<float>(weights) + n * length;
    int64_t unused = 0;  // on both sides
    while (unused < length / 2 && own[unused] == 0 && own[length - 1 - unused] == 0) ++unused;
    blur(image, size, own + unused, length - 2 * unused, to);
  });
  return ffi::Error::Success();
}

}  // namespace

HANDLER(jaxcnn_blur, blur_all,
        ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>());
