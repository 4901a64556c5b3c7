// Pooling of images (N, H, W, C) in float32 or float64 on a CPU: maxima and means of windows, and their gradients.

#include "walk.h"

namespace ffi = xla::ffi;
using Ints = ffi::Span<const int64_t>;

namespace {

template <class T>
using Lane = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

// A number below 256 for every lane of vectors.
template <class T, int B, int COLUMNS>
void read_numbers(const uint8_t* __restrict from, Vector<Lane<T>, B>* numbers) {
  constexpr int L = B / sizeof(T);
  Lane<T> wide[COLUMNS * L];
  for (int i = 0; i < COLUMNS * L; ++i) wide[i] = from[i];
  for (int c = 0; c < COLUMNS; ++c) numbers[c] = load<Lane<T>, B>(wide + c * L);
}
template <class T, int B, int COLUMNS>
void write_numbers(const Vector<Lane<T>, B>* numbers, uint8_t* __restrict to) {
  constexpr int L = B / sizeof(T);
  Lane<T> wide[COLUMNS * L];
  for (int c = 0; c < COLUMNS; ++c) store<Lane<T>, B>(wide + c * L, numbers[c]);
  for (int i = 0; i < COLUMNS * L; ++i) to[i] = wide[i];
}

// Of what is met, the first of the greatest, and through which place of the window; NaN is greater than all.
template <class T, bool WHERE>
struct Maximum {
  static constexpr bool ALIKE = true;
  static constexpr int TOGETHER = 1;
  const T* x;
  T* y;
  uint8_t* where;

  template <int B, int COLUMNS, int>
  void gather(const std::vector<Met<T>>& met, long from, long to, long, long, long) const {
    constexpr int L = B / sizeof(T);
    auto all = [](long number) { return Vector<Lane<T>, B>{} + static_cast<Lane<T>>(number); };
    Vector<T, B> best[COLUMNS];
    Vector<Lane<T>, B> number[COLUMNS];
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) {
      best[c] = load<T, B>(x + from + met[0].at + c * L);
      number[c] = all(met[0].number);
    }
    for (size_t m = 1; m < met.size(); ++m)
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) {
        auto value = load<T, B>(x + from + met[m].at + c * L);
        auto greater = ~(value <= best[c]) & (best[c] == best[c]);
        best[c] = greater ? value : best[c];
        if (WHERE) number[c] = greater ? all(met[m].number) : number[c];
      }
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) store<T, B>(y + to + c * L, best[c]);
    if (WHERE) write_numbers<T, B, COLUMNS>(number, where + to);
  }
};

// The gradients of the windows that are met through the place where their maximum is.
template <class T>
struct ToMaximum {
  static constexpr bool ALIKE = true;
  static constexpr int TOGETHER = 1;
  const T* gradient;
  const uint8_t* where;
  T* dx;

  template <int B, int COLUMNS, int>
  void gather(const std::vector<Met<T>>& met, long from, long to, long, long, long) const {
    constexpr int L = B / sizeof(T);
    Vector<T, B> sum[COLUMNS] = {};
    for (const Met<T>& m : met) {
      long at = from + m.at;
      Vector<Lane<T>, B> numbers[COLUMNS];
      read_numbers<T, B, COLUMNS>(where + at, numbers);
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c)
        sum[c] += numbers[c] == static_cast<Lane<T>>(m.number) ? load<T, B>(gradient + at + c * L) : Vector<T, B>{};
    }
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) store<T, B>(dx + to + c * L, sum[c]);
  }
};

// Of windows: the sum of what is met, over what the window divides by. Of places: what the windows that are met send
// back, each its gradient times its share.
template <class T, bool SHARES>
struct Mean {
  static constexpr bool ALIKE = true;
  static constexpr int TOGETHER = 1;
  const T* x;
  T* y;

  template <int B, int COLUMNS, int>
  void gather(const std::vector<Met<T>>& met, long from, long to, long, long, long) const {
    constexpr int L = B / sizeof(T);
    Vector<T, B> sum[COLUMNS] = {};
    for (const Met<T>& m : met)
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) {
        auto value = load<T, B>(x + from + m.at + c * L);
        sum[c] += SHARES ? value * m.share : value;
      }
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) store<T, B>(y + to + c * L, SHARES ? sum[c] : sum[c] / met[0].count);
  }
};

// `slide`: the window, stride, padding before and dilation, two numbers of each; `counts`: of the rows, the columns
Sliding sliding(const ffi::AnyBuffer& images, const ffi::AnyBuffer& windows, Ints slide, Ints counts = {}) {
  auto axis = [&](int d, const int64_t* counts) {
    auto size = [&](const ffi::AnyBuffer& array) { return array.dimensions().last(3)[d]; };
    return Axis{size(images), size(windows), slide[d], slide[2 + d], slide[4 + d], slide[6 + d], counts};
  };
  Axis high = axis(0, counts.size() ? counts.begin() : nullptr);
  return {high, axis(1, counts.size() ? counts.begin() + high.out : nullptr)};
}

// work(T's pointer to the result, examples, C), T being float or double, unless there is nothing to do
template <class Work>
ffi::Error each_type(ffi::AnyBuffer& result, Work work) {
  auto sizes = result.dimensions().last(3);
  long count = result.element_count();
  if (count == 0) return ffi::Error::Success();
  long examples = count / (sizes[0] * sizes[1] * sizes[2]);
  if (result.element_type() == ffi::F32) work(static_cast<float*>(result.untyped_data()), examples, sizes[2]);
  else work(static_cast<double*>(result.untyped_data()), examples, sizes[2]);
  return ffi::Error::Success();
}

template <class T>
const T* data(const ffi::AnyBuffer& array) { return static_cast<const T*>(array.untyped_data()); }

ffi::Error maximum(ffi::ThreadPool threads, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> result, Ints slide) {
  return each_type(*result, [&]<class T>(T* y, long N, long C) {
    sliding(x, *result, slide).walk<T>(threads, WINDOWS, N, C, Maximum<T, false>{data<T>(x), y, nullptr});
  });
}

ffi::Error first_maximum(ffi::ThreadPool threads, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> result,
                         ffi::Result<ffi::AnyBuffer> where, Ints slide) {
  return each_type(*result, [&]<class T>(T* y, long N, long C) {
    Maximum<T, true> work{data<T>(x), y, static_cast<uint8_t*>(where->untyped_data())};
    sliding(x, *result, slide).walk<T>(threads, WINDOWS, N, C, work);
  });
}

ffi::Error to_maximum(ffi::ThreadPool threads, ffi::AnyBuffer gradient, ffi::AnyBuffer where,
                      ffi::Result<ffi::AnyBuffer> result, Ints slide) {
  return each_type(*result, [&]<class T>(T* dx, long N, long C) {
    ToMaximum<T> work{data<T>(gradient), data<uint8_t>(where), dx};
    sliding(*result, gradient, slide).walk<T>(threads, PLACES, N, C, work);
  });
}

ffi::Error mean(ffi::ThreadPool threads, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> result, Ints slide,
                Ints counts) {
  return each_type(*result, [&]<class T>(T* y, long N, long C) {
    sliding(x, *result, slide, counts).walk<T>(threads, WINDOWS, N, C, Mean<T, false>{data<T>(x), y});
  });
}

ffi::Error spread(ffi::ThreadPool threads, ffi::AnyBuffer gradient, ffi::Result<ffi::AnyBuffer> result, Ints slide,
                  Ints counts) {
  return each_type(*result, [&]<class T>(T* dx, long N, long C) {
    sliding(*result, gradient, slide, counts).walk<T>(threads, PLACES, N, C, Mean<T, true>{data<T>(gradient), dx});
  });
}

#define POOL ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>()
#define SLIDE Ret<ffi::AnyBuffer>().Attr<Ints>("slide")

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_maximum, maximum, POOL.SLIDE);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_first_maximum, first_maximum, POOL.Ret<ffi::AnyBuffer>().SLIDE);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_to_maximum, to_maximum, POOL.Arg<ffi::AnyBuffer>().SLIDE);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_mean, mean, POOL.SLIDE.Attr<Ints>("counts"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_spread, spread, POOL.SLIDE.Attr<Ints>("counts"));
