// Pooling of images (N, H, W, C) in float32 or float64 on a CPU: maxima and means of windows, and their gradients.

#include "walk.h"

namespace {

template <class T>
using Lane = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

// A number below 256 for every lane of vectors.
template <class T, int B, int COLUMNS>
void read_numbers(const uint8_t* __restrict from, Vector<Lane<T>, B>* numbers) {
  constexpr int L = B / SIZE<T>;
  Lane<T> wide[COLUMNS * L];
  for (int i = 0; i < COLUMNS * L; ++i) wide[i] = from[i];
  for (int c = 0; c < COLUMNS; ++c) numbers[c] = load<Lane<T>, B>(wide + c * L);
}
template <class T, int B, int COLUMNS>
void write_numbers(const Vector<Lane<T>, B>* numbers, uint8_t* __restrict to) {
  constexpr int L = B / SIZE<T>;
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
  void gather(const std::vector<Met<T>>& met, Spot spot) const {
    constexpr int L = B / SIZE<T>;
    auto all = [](int64_t number) { return Vector<Lane<T>, B>{} + static_cast<Lane<T>>(number); };
    Vector<T, B> best[COLUMNS];
    Vector<Lane<T>, B> number[COLUMNS];
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) {
      best[c] = load<T, B>(x + spot.from + met[0].at + c * L);
      number[c] = all(met[0].number);
    }
    for (size_t m = 1; m < met.size(); ++m)
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) {
        auto value = load<T, B>(x + spot.from + met[m].at + c * L);
        auto greater = ~(value <= best[c]) & (best[c] == best[c]);
        best[c] = greater ? value : best[c];
        if (WHERE) number[c] = greater ? all(met[m].number) : number[c];
      }
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) store<T, B>(y + spot.to + c * L, best[c]);
    if (WHERE) write_numbers<T, B, COLUMNS>(number, where + spot.to);
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
  void gather(const std::vector<Met<T>>& met, Spot spot) const {
    constexpr int L = B / SIZE<T>;
    Vector<T, B> sum[COLUMNS] = {};
    for (const Met<T>& m : met) {
      int64_t at = spot.from + m.at;
      Vector<Lane<T>, B> numbers[COLUMNS];
      read_numbers<T, B, COLUMNS>(where + at, numbers);
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c)
        sum[c] += numbers[c] == static_cast<Lane<T>>(m.number) ? load<T, B>(gradient + at + c * L) : Vector<T, B>{};
    }
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) store<T, B>(dx + spot.to + c * L, sum[c]);
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
  void gather(const std::vector<Met<T>>& met, Spot spot) const {
    constexpr int L = B / SIZE<T>;
    Vector<T, B> sum[COLUMNS] = {};
    for (const Met<T>& m : met)
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) {
        auto value = load<T, B>(x + spot.from + m.at + c * L);
        sum[c] += SHARES ? value * m.share : value;
      }
#pragma GCC unroll 4
    for (int c = 0; c < COLUMNS; ++c) store<T, B>(y + spot.to + c * L, SHARES ? sum[c] : sum[c] / met[0].count);
  }
};

// Checks what was given, and says how windows slide over images. `slide`: the window, stride, padding before and
// dilation, two numbers of each; `counts`: what the windows divide by, of the rows and then of the columns.
Sliding sliding(const ffi::AnyBuffer& images, const ffi::AnyBuffer& windows, Ints slide) {
  require_floats(images, windows);
  require(rank(images) >= 4 && rank(windows) == rank(images), "images and windows are (N, H, W, C), or more dimensions");
  for (int64_t d = 0; d < rank(images); ++d)
    require((d >= rank(images) - 3 && d < rank(images) - 1) || images.dimensions()[d] == windows.dimensions()[d],
            "images and windows must be of one number of images and of channels");
  require(slide.size() == 8, "a window, stride, padding and dilation are eight numbers");
  auto axis = [&](int64_t d) {
    Axis axis{.places = from_last(images, 2 - d), .windows = from_last(windows, 2 - d), .window = slide[d],
              .stride = slide[2 + d], .before = slide[4 + d], .dilation = slide[6 + d], .counts = nullptr};
    constexpr int64_t most = int64_t{1} << 31;  // larger ones are in no memory
    for (int64_t number : {axis.window, axis.stride, axis.dilation})
      require(1 <= number && number < most, "window, stride and dilation must be 1 or more and less than 2^31");
    require(-most < axis.before && axis.before < most, "padding must be less than 2^31");
    return axis;
  };
  return {axis(0), axis(1)};
}

// Of the maximum or the mean of a window that holds nothing there is no saying.
void check_windows(const Sliding& sliding) {
  for (const Axis* axis : {&sliding.high, &sliding.wide})
    for (const auto& met : axis->met_by_windows()) require(!met.empty(), "a window holds nothing but padding");
}

Sliding sliding(const ffi::AnyBuffer& images, const ffi::AnyBuffer& windows, Ints slide, Ints counts) {
  Sliding found = sliding(images, windows, slide);
  require(static_cast<int64_t>(counts.size()) == found.high.windows + found.wide.windows,
          "there must be a count for every row of windows and for every column");
  found.high.counts = counts.begin();
  found.wide.counts = counts.begin() + found.high.windows;
  return found;
}

void check_numbers(const ffi::AnyBuffer& where, const ffi::AnyBuffer& windows, const Sliding& sliding) {
  require(where.element_type() == ffi::U8 && same_shape(where, windows), "a window's place is a uint8 for every maximum");
  require(sliding.high.window < 256 && sliding.wide.window < 256 && sliding.high.window * sliding.wide.window < 255,
          "a window must have less than 255 places, as their numbers are uint8");
}

// work.operator()<T>(the result, examples, channels), unless there is nothing to do
template <class Work>
ffi::Error fill(ffi::AnyBuffer& result, Work work) {
  int64_t count = result.element_count(), channels = from_last(result, 0);
  if (count == 0) return ffi::Error::Success();
  int64_t examples = count / (from_last(result, 2) * from_last(result, 1) * channels);
  with_type(result, [&]<class T>() {
    work.template operator()<T>(static_cast<T*>(result.untyped_data()), examples, channels);
  });
  return ffi::Error::Success();
}

ffi::Error maximum(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> result, Ints slide) {
  Sliding window = sliding(x, *result, slide);
  check_windows(window);
  return fill(*result, [&]<class T>(T* y, int64_t images, int64_t channels) {
    window.walk<T>(pool, WINDOWS, images, channels, Maximum<T, false>{data<T>(x), y, nullptr});
  });
}

ffi::Error first_maximum(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> result,
                         ffi::Result<ffi::AnyBuffer> where, Ints slide) {
  Sliding window = sliding(x, *result, slide);
  check_windows(window);
  check_numbers(*where, *result, window);
  return fill(*result, [&]<class T>(T* y, int64_t images, int64_t channels) {
    Maximum<T, true> work{data<T>(x), y, static_cast<uint8_t*>(where->untyped_data())};
    window.walk<T>(pool, WINDOWS, images, channels, work);
  });
}

ffi::Error to_maximum(ffi::ThreadPool pool, ffi::AnyBuffer gradient, ffi::AnyBuffer where,
                      ffi::Result<ffi::AnyBuffer> result, Ints slide) {
  Sliding window = sliding(*result, gradient, slide);
  check_numbers(where, gradient, window);
  return fill(*result, [&]<class T>(T* dx, int64_t images, int64_t channels) {
    ToMaximum<T> work{data<T>(gradient), data<uint8_t>(where), dx};
    window.walk<T>(pool, PLACES, images, channels, work);
  });
}

ffi::Error mean(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Result<ffi::AnyBuffer> result, Ints slide, Ints counts) {
  Sliding window = sliding(x, *result, slide, counts);
  check_windows(window);
  return fill(*result, [&]<class T>(T* y, int64_t images, int64_t channels) {
    window.walk<T>(pool, WINDOWS, images, channels, Mean<T, false>{data<T>(x), y});
  });
}

ffi::Error spread(ffi::ThreadPool pool, ffi::AnyBuffer gradient, ffi::Result<ffi::AnyBuffer> result, Ints slide,
                  Ints counts) {
  Sliding window = sliding(*result, gradient, slide, counts);
  return fill(*result, [&]<class T>(T* dx, int64_t images, int64_t channels) {
    window.walk<T>(pool, PLACES, images, channels, Mean<T, true>{data<T>(gradient), dx});
  });
}

#define POOL ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>()
#define SLIDE Ret<ffi::AnyBuffer>().Attr<Ints>("slide")

}  // namespace

HANDLER(jaxcnn_maximum, maximum, POOL.SLIDE);
HANDLER(jaxcnn_first_maximum, first_maximum, POOL.Ret<ffi::AnyBuffer>().SLIDE);
HANDLER(jaxcnn_to_maximum, to_maximum, POOL.Arg<ffi::AnyBuffer>().SLIDE);
HANDLER(jaxcnn_mean, mean, POOL.SLIDE.Attr<Ints>("counts"));
HANDLER(jaxcnn_spread, spread, POOL.SLIDE.Attr<Ints>("counts"));
