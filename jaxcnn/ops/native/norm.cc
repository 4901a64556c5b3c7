// Sums: per channel over the places of an image, what batch normalization needs of its batch, in one pass; and of the
// squares of whole trees of arrays.

#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "handler.h"
#include "threads.h"
#include "vectors.h"

namespace {

// For the places of some channels: the sums of w and of w * (x - shift), w being the gradient, or x - shift itself.
// COLUMNS vectors side by side, so that an addition need not wait for the one before.
template <class T, int COLUMNS, int B, bool MOMENTS>
void add_up(const T* gradient, const T* x, const T* shift, int64_t places, int64_t channels, T* sums) {
  constexpr int64_t lanes = B / SIZE<T>;
  Vector<T, B> first[COLUMNS] = {}, second[COLUMNS] = {}, middle[COLUMNS];
  for (int c = 0; c < COLUMNS; ++c) middle[c] = load<T, B>(shift + c * lanes);
  for (int64_t p = 0; p < places; ++p, x += channels, gradient += channels) {
#pragma GCC unroll 8
    for (int c = 0; c < COLUMNS; ++c) {
      auto from_middle = load<T, B>(x + c * lanes) - middle[c];
      auto weight = MOMENTS ? from_middle : load<T, B>(gradient + c * lanes);
      first[c] += weight;
      second[c] += weight * from_middle;
    }
  }
  for (int c = 0; c < COLUMNS; ++c) {
    store<T, B>(sums + c * lanes, first[c]);
    store<T, B>(sums + channels + c * lanes, second[c]);
  }
}

// gradient and x (examples, places, channels), shift (maps, channels) with `maps` those of vmap, into
// (examples, 2, channels)
template <bool MOMENTS>
ffi::Error sums(ffi::ThreadPool pool, ffi::AnyBuffer gradient, ffi::AnyBuffer x, ffi::AnyBuffer shift,
                ffi::Result<ffi::AnyBuffer> result) {
  require_floats(x, gradient, shift, *result);
  require(rank(x) >= 3 && same_shape(x, gradient) && rank(*result) == rank(x) && rank(shift) == rank(x) - 2,
          "arrays are twice (N, P, C), (C,) and (N, 2, C), after the dimensions of vmap");
  int64_t channels = from_last(x, 0), places = from_last(x, 1);
  require(from_last(shift, 0) == channels && from_last(*result, 0) == channels && from_last(*result, 1) == 2,
          "arrays of (N, P, C) have a shift of (C,) and sums of (N, 2, C)");
  for (int64_t d = 0; d < rank(x) - 2; ++d)
    require(result->dimensions()[d] == x.dimensions()[d], "arrays and sums must be of one number of examples");
  for (int64_t d = 0; d < rank(x) - 3; ++d)
    require(shift.dimensions()[d] == x.dimensions()[d], "every dimension of vmap must be that of all arrays");
  if (result->element_count() == 0) return ffi::Error::Success();

  int64_t examples = result->element_count() / (2 * channels), of_one_shift = from_last(x, 2);
  int64_t together = std::max<int64_t>(1, 64 * 1024 / std::max<int64_t>(places * channels, 1));  // worth waking a thread
  with_type(x, [&]<class T>() {
    parallel(pool, (examples + together - 1) / together, [&](int64_t i) {
      for (int64_t e = i * together; e < std::min((i + 1) * together, examples); ++e) {
        const T *g = data<T>(gradient) + e * places * channels, *v = data<T>(x) + e * places * channels;
        const T* s = data<T>(shift) + e / of_one_shift * channels;
        T* to = static_cast<T*>(result->untyped_data()) + e * 2 * channels;
        over_channels<T>(channels, [&]<int B, int COLUMNS>(int64_t c) {
          add_up<T, COLUMNS, B, MOMENTS>(g + c, v + c, s + c, places, channels, to + c);
        });
      }
    });
  });
  return ffi::Error::Success();
}

template <class T>
T squares(const T* from, int64_t count) {
  constexpr int64_t lanes = LANES<T>;
  Vector<T> sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes)
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      auto values = load(from + i + c * lanes);
      sum[c] += values * values;
    }
  Vector<T> all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  T total = 0;
  for (; i < count; ++i) total += from[i] * from[i];
  for (int64_t lane = 0; lane < lanes; ++lane) total += all[lane];
  return total;
}

// Pieces of all arrays are added up in float64, always in the same order.
template <class T>
double norm_of(ffi::ThreadPool& pool, const std::vector<ffi::AnyBuffer>& arrays) {
  constexpr int64_t size = 16 * 1024, at_once = 16;
  std::vector<std::pair<const T*, int64_t>> pieces;
  for (const ffi::AnyBuffer& array : arrays)
    for (int64_t count = array.element_count(), i = 0; i < count; i += size)
      pieces.emplace_back(data<T>(array) + i, std::min(size, count - i));
  int64_t count = static_cast<int64_t>(pieces.size());
  std::vector<double> sums(count);
  parallel(pool, (count + at_once - 1) / at_once, [&](int64_t part) {
    for (int64_t i = part * at_once; i < std::min((part + 1) * at_once, count); ++i)
      sums[i] = squares(pieces[i].first, pieces[i].second);
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

// The Euclidean norm of all arrays together
ffi::Error norm(ffi::ThreadPool pool, ffi::RemainingArgs given, ffi::Result<ffi::AnyBuffer> result) {
  require(result->element_count() == 1, "the result is one number");
  std::vector<ffi::AnyBuffer> arrays;
  for (size_t i = 0; i < given.size(); ++i) {
    auto array = given.get<ffi::AnyBuffer>(i);
    if (!array) return array.error();
    require_floats(*result, *array);
    arrays.push_back(*array);
  }
  require_floats(*result);
  with_type(*result, [&]<class T>() { *static_cast<T*>(result->untyped_data()) = norm_of<T>(pool, arrays); });
  return ffi::Error::Success();
}

#define SUMS_OF                                                                                                     \
  ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>()         \
      .Ret<ffi::AnyBuffer>()

}  // namespace

HANDLER(jaxcnn_moments, sums<true>, SUMS_OF);
HANDLER(jaxcnn_sums, sums<false>, SUMS_OF);
HANDLER(jaxcnn_norm, norm,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().RemainingArgs().Ret<ffi::AnyBuffer>());

// For tests (see threads.h).
SEEN void jaxcnn_cut_for(int64_t threads) { cut_for = threads; }
