// Sums over the places of an image, per channel: what batch normalization needs of its batch, in one pass.

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

#define SUMS_OF                                                                                                     \
  ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>()         \
      .Ret<ffi::AnyBuffer>()

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_moments, sums<true>, SUMS_OF);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_sums, sums<false>, SUMS_OF);
