// Pooling of images (N, H, W, C) in float32 or float64 on a CPU: maxima and means of windows, and their gradients.
//
// All are one walk: a place of the result meets places of the other array, each through a place of the window, and
// gathers what it wants of them, vectors of channels at a time. Padding is never met.

#include "common.h"

namespace ffi = xla::ffi;
using Ints = ffi::Span<const int64_t>;

namespace {

struct Met {  // a place of the other array, and the number of the window's place between
  long place, number;
};
using Meetings = std::vector<std::vector<Met>>;  // of every place along a dimension

// One spatial dimension: windows see places, places are seen by windows.
struct Axis {
  long in, out, window, stride, before, dilation;

  Meetings windows() const {
    Meetings all(out);
    each([&](long place, long output, long u) { all[output].push_back({place, u}); });
    return all;
  }
  Meetings places() const {
    Meetings all(in);
    each([&](long place, long output, long u) { all[place].push_back({output, u}); });
    return all;
  }

 private:
  template <class Work>
  void each(Work work) const {
    for (long j = 0; j < out; ++j)
      for (long u = 0; u < window; ++u) {
        long place = j * stride - before + u * dilation;
        if (place >= 0 && place < in) work(place, j, u);
      }
  }
};

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
  const T* x;
  T* y;
  uint8_t* where;

  template <int B, int COLUMNS>
  void gather(const std::vector<Met>& met, long C, long from, long, long to) const {
    constexpr int L = B / sizeof(T);
    auto all = [](long number) { return Vector<Lane<T>, B>{} + static_cast<Lane<T>>(number); };
    Vector<T, B> best[COLUMNS];
    Vector<Lane<T>, B> number[COLUMNS];
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) {
      best[c] = load<T, B>(x + from + met[0].place * C + c * L);
      number[c] = all(met[0].number);
    }
    for (size_t m = 1; m < met.size(); ++m)
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) {
        auto value = load<T, B>(x + from + met[m].place * C + c * L);
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
  const T* gradient;
  const uint8_t* where;
  T* dx;

  template <int B, int COLUMNS>
  void gather(const std::vector<Met>& met, long C, long from, long, long to) const {
    constexpr int L = B / sizeof(T);
    Vector<T, B> sum[COLUMNS] = {};
    for (Met m : met) {
      long at = from + m.place * C;
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

// The sum of what is met over a divisor of each place: a mean.
template <class T>
struct Mean {
  const T* x;
  const T* divisor;
  T* y;

  template <int B, int COLUMNS>
  void gather(const std::vector<Met>& met, long C, long from, long place, long to) const {
    constexpr int L = B / sizeof(T);
    Vector<T, B> sum[COLUMNS] = {};
    for (Met m : met)
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) sum[c] += load<T, B>(x + from + m.place * C + c * L);
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) store<T, B>(y + to + c * L, sum[c] / divisor[place]);
  }
};

// What every mean that is met sends back: its gradient times its share.
template <class T>
struct Spread {
  const T* gradient;
  const T* share;
  T* dx;

  template <int B, int COLUMNS>
  void gather(const std::vector<Met>& met, long C, long from, long, long to) const {
    constexpr int L = B / sizeof(T);
    Vector<T, B> sum[COLUMNS] = {};
    for (Met m : met)
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) sum[c] += load<T, B>(gradient + from + m.place * C + c * L) * share[m.place];
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) store<T, B>(dx + to + c * L, sum[c]);
  }
};

enum Of { WINDOWS, PLACES };  // what the result is of

struct Pool {
  Axis high, wide;

  // work.gather(what is met, C, where its image begins, the number of the place, where it lies)
  template <class T, class Work>
  void walk(ffi::ThreadPool& pool, Of of, long N, long C, Work work) const {
    bool windows = of == WINDOWS;
    Meetings down = windows ? high.windows() : high.places(), across = windows ? wide.windows() : wide.places();
    long rows = down.size(), columns = across.size(), row = windows ? wide.in : wide.out;
    long image = row * (windows ? high.in : high.out) * C;
    long together = std::max(1L, 16 * 1024 / std::max(columns * C, 1L));  // rows: what is worth waking a thread for
    parallel(pool, (N * rows + together - 1) / together, [&](long i) {
      std::vector<Met> met;
      for (long r = i * together; r < std::min((i + 1) * together, N * rows); ++r)
        for (long column = 0; column < columns; ++column) {
          met.clear();
          for (Met y : down[r % rows])
            for (Met x : across[column]) met.push_back({y.place * row + x.place, y.number * wide.window + x.number});
          over_channels<T>(C, [&]<int B, int COLUMNS>(long c) {
            work.template gather<B, COLUMNS>(met, C, r / rows * image + c, r % rows * columns + column,
                                             (r * columns + column) * C + c);
          });
        }
    });
  }
};

// `slide`: the window, stride, padding before and dilation, two numbers of each
Pool pool_of(const ffi::AnyBuffer& images, const ffi::AnyBuffer& windows, Ints slide) {
  auto axis = [&](int d) {
    auto size = [&](const ffi::AnyBuffer& array) { return array.dimensions().last(3)[d]; };
    return Axis{size(images), size(windows), slide[d], slide[2 + d], slide[4 + d], slide[6 + d]};
  };
  return {axis(0), axis(1)};
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
    pool_of(x, *result, slide).walk<T>(threads, WINDOWS, N, C, Maximum<T, false>{data<T>(x), y, nullptr});
  });
}

ffi::Error first_maximum(ffi::ThreadPool threads, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> result,
                         ffi::Result<ffi::AnyBuffer> where, Ints slide) {
  return each_type(*result, [&]<class T>(T* y, long N, long C) {
    Maximum<T, true> work{data<T>(x), y, static_cast<uint8_t*>(where->untyped_data())};
    pool_of(x, *result, slide).walk<T>(threads, WINDOWS, N, C, work);
  });
}

ffi::Error to_maximum(ffi::ThreadPool threads, ffi::AnyBuffer gradient, ffi::AnyBuffer where,
                      ffi::Result<ffi::AnyBuffer> result, Ints slide) {
  return each_type(*result, [&]<class T>(T* dx, long N, long C) {
    ToMaximum<T> work{data<T>(gradient), data<uint8_t>(where), dx};
    pool_of(*result, gradient, slide).walk<T>(threads, PLACES, N, C, work);
  });
}

// `counts`: the places that the windows' rows and then their columns divide by; what is wanted of a window's own
template <class T, class Of>
std::vector<T> of_windows(const Pool& pool, Ints counts, Of of) {
  std::vector<T> all;
  for (long y = 0; y < pool.high.out; ++y)
    for (long x = 0; x < pool.wide.out; ++x) all.push_back(of(static_cast<T>(counts[y] * counts[pool.high.out + x])));
  return all;
}

ffi::Error mean(ffi::ThreadPool threads, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> result, Ints slide,
                Ints counts) {
  return each_type(*result, [&]<class T>(T* y, long N, long C) {
    Pool pool = pool_of(x, *result, slide);
    auto divisors = of_windows<T>(pool, counts, [](T count) { return count; });
    pool.walk<T>(threads, WINDOWS, N, C, Mean<T>{data<T>(x), divisors.data(), y});
  });
}

ffi::Error spread(ffi::ThreadPool threads, ffi::AnyBuffer gradient, ffi::Result<ffi::AnyBuffer> result, Ints slide,
                  Ints counts) {
  return each_type(*result, [&]<class T>(T* dx, long N, long C) {
    Pool pool = pool_of(*result, gradient, slide);
    auto shares = of_windows<T>(pool, counts, [](T count) { return 1 / count; });
    pool.walk<T>(threads, PLACES, N, C, Spread<T>{data<T>(gradient), shares.data(), dx});
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
