// Sums: per channel over the places of an image, what batch normalization needs of its batch, in one pass; and of the
// squares of whole trees of arrays.

#include <cmath>
#include <numeric>

#include "common.h"

namespace ffi = xla::ffi;

namespace {

// For P places of some channels of C: the sums of w and of w * (x - shift), w being the gradient, or
// x - shift itself. COLUMNS vectors side by side, so that an addition need not wait for the one before.
template <class T, int COLUMNS, int B, bool MOMENTS>
void columns(const T* gradient, const T* x, const T* shift, long P, long C, T* sums) {
  constexpr long L = B / sizeof(T);
  Vector<T, B> first[COLUMNS] = {}, second[COLUMNS] = {}, middle[COLUMNS];
  for (int c = 0; c < COLUMNS; ++c) middle[c] = load<T, B>(shift + c * L);
  for (long p = 0; p < P; ++p, x += C, gradient += C) {
#pragma GCC unroll 8
    for (int c = 0; c < COLUMNS; ++c) {
      auto from_middle = load<T, B>(x + c * L) - middle[c], weight = MOMENTS ? from_middle : load<T, B>(gradient + c * L);
      first[c] += weight;
      second[c] += weight * from_middle;
    }
  }
  for (int c = 0; c < COLUMNS; ++c) store<T, B>(sums + c * L, first[c]), store<T, B>(sums + C + c * L, second[c]);
}

// gradient and x (E, P, C), shift (S, C) with S the number of `vmap`s, sums (E, 2, C)
template <class T, bool MOMENTS>
void all(ffi::ThreadPool& pool, const T* gradient, const T* x, const T* shift, long E, long S, long P, long C,
         T* sums) {
  long together = std::max(1L, 64 * 1024 / std::max(P * C, 1L));  // examples: what is worth waking a thread for
  parallel(pool, (E + together - 1) / together, [&](long i) {
    for (long e = i * together; e < std::min((i + 1) * together, E); ++e) {
      const T *g = gradient + e * P * C, *v = x + e * P * C, *s = shift + e * S / E * C;
      T* to = sums + e * 2 * C;
      over_channels<T>(C, [&]<int B, int COLUMNS>(long c) {
        columns<T, COLUMNS, B, MOMENTS>(g + c, v + c, s + c, P, C, to + c);
      });
    }
  });
}

template <bool MOMENTS>
ffi::Error sums(ffi::ThreadPool pool, ffi::AnyBuffer gradient, ffi::AnyBuffer x, ffi::AnyBuffer shift,
                ffi::Result<ffi::AnyBuffer> result) {
  long C = x.dimensions().back(), P = x.dimensions()[x.dimensions().size() - 2];
  if (result->element_count() == 0) return ffi::Error::Success();
  long E = result->element_count() / (2 * C), S = shift.element_count() / C;
  auto run = [&]<class T>(T*) {
    all<T, MOMENTS>(pool, static_cast<const T*>(gradient.untyped_data()), static_cast<const T*>(x.untyped_data()),
                    static_cast<const T*>(shift.untyped_data()), E, S, P, C, static_cast<T*>(result->untyped_data()));
  };
  if (x.element_type() == ffi::F32) run(static_cast<float*>(nullptr));
  else run(static_cast<double*>(nullptr));
  return ffi::Error::Success();
}

template <class T>
T squares(const T* from, long count) {
  Vector<T> sum[4] = {};
  long i = 0, L = LANES<T>;
  for (; i + 4 * L <= count; i += 4 * L)
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      auto values = load(from + i + c * L);
      sum[c] += values * values;
    }
  Vector<T> all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  T total = 0;
  for (; i < count; ++i) total += from[i] * from[i];
  for (int lane = 0; lane < L; ++lane) total += all[lane];
  return total;
}

// The Euclidean norm of all arrays together: pieces are added up in float64, always in the same order.
template <class T>
double norm_of(ffi::ThreadPool& pool, const std::vector<ffi::AnyBuffer>& arrays) {
  constexpr long size = 16 * 1024, at_once = 16;
  std::vector<std::pair<const T*, long>> pieces;
  for (const ffi::AnyBuffer& array : arrays)
    for (long count = array.element_count(), i = 0; i < count; i += size)
      pieces.emplace_back(static_cast<const T*>(array.untyped_data()) + i, std::min(size, count - i));
  long count = pieces.size();
  std::vector<double> sums(count);
  parallel(pool, (count + at_once - 1) / at_once, [&](long part) {
    for (long i = part * at_once; i < std::min((part + 1) * at_once, count); ++i)
      sums[i] = squares(pieces[i].first, pieces[i].second);
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

ffi::Error norm(ffi::ThreadPool pool, ffi::RemainingArgs given, ffi::Result<ffi::AnyBuffer> result) {
  std::vector<ffi::AnyBuffer> arrays;
  for (size_t i = 0; i < given.size(); ++i) {
    auto array = given.get<ffi::AnyBuffer>(i);
    if (!array) return array.error();
    arrays.push_back(*array);
  }
  if (result->element_type() == ffi::F32) *static_cast<float*>(result->untyped_data()) = norm_of<float>(pool, arrays);
  else *static_cast<double*>(result->untyped_data()) = norm_of<double>(pool, arrays);
  return ffi::Error::Success();
}

#define SUMS_OF                                                                                                     \
  ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>()         \
      .Ret<ffi::AnyBuffer>()

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_moments, sums<true>, SUMS_OF);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_sums, sums<false>, SUMS_OF);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_norm, norm,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().RemainingArgs().Ret<ffi::AnyBuffer>());
