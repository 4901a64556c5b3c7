// The walk of a sliding window: a place of the result meets places of the other array, each through a place of the
// window, and gathers what it wants of them, vectors of channels at a time. Padding is never met.

#pragma once

#include <vector>

#include "handler.h"
#include "threads.h"
#include "vectors.h"

struct Meeting {  // with a place of the other array, through a place of the window; what the window divides by
  int64_t place, number, count;
};
using Meetings = std::vector<std::vector<Meeting>>;  // of every place along a dimension

// One spatial dimension: windows see places, places are seen by windows.
struct Axis {
  int64_t places, windows, window, stride, before, dilation;
  const int64_t* counts;  // what every window divides by, or null

  Meetings met_by_windows() const {
    Meetings all(windows);
    each([&](int64_t place, int64_t j, int64_t u) { all[j].push_back({place, u, count(j)}); });
    return all;
  }
  Meetings met_by_places() const {
    Meetings all(places);
    each([&](int64_t place, int64_t j, int64_t u) { all[place].push_back({j, u, count(j)}); });
    return all;
  }

 private:
  int64_t count(int64_t j) const { return counts ? counts[j] : 1; }

  template <class Work>
  void each(Work work) const {
    for (int64_t j = 0; j < windows; ++j)
      for (int64_t u = 0; u < window; ++u) {
        int64_t place = j * stride - before + u * dilation;
        if (place >= 0 && place < places) work(place, j, u);
      }
  }
};

// `length` places from `first` on, `step` apart; each meets what lies `other_step` further on than what the one before
// meets.
struct Stretch {
  int64_t first, length;
};

inline std::vector<Stretch> stretches(const Meetings& all, int64_t step, int64_t other_step) {
  std::vector<Stretch> found;
  auto next = [&](Meeting a, Meeting b) { return b.place == a.place + other_step && b.count == a.count; };
  int64_t count = static_cast<int64_t>(all.size());
  for (int64_t phase = 0; phase < std::min(step, count); ++phase)
    for (int64_t i = phase; i < count; i += step) {
      if (i >= step && std::equal(all[i - step].begin(), all[i - step].end(), all[i].begin(), all[i].end(), next))
        ++found.back().length;
      else found.push_back({i, 1});
    }
  return found;
}

template <class T>
struct Met {  // `at` from where the other array's image begins
  int64_t at, number;
  T count, share;
};

// Where a work is: `channel` of a place of the result, which lies at `to`, while the image that it meets begins at
// `from`, both as of that channel. The next place lies `to_next` further on and meets what lies `from_next` further on.
struct Spot {
  int64_t from, to, channel, from_next, to_next;
};

enum Of { WINDOWS, PLACES };  // what the result is of

struct Sliding {
  Axis high, wide;

  // work.gather<bytes, vectors, places>(what is met, where) for all places of all images of the result, which are 1 or
  // TOGETHER at a time. Where all channels are ALIKE to the work, those of neighbors may pass for those of one place.
  template <class T, class Work>
  void walk(ffi::ThreadPool& pool, Of of, int64_t images, int64_t channels, Work work) const {
    bool windows = of == WINDOWS;
    Meetings down = windows ? high.met_by_windows() : high.met_by_places();
    Meetings across = windows ? wide.met_by_windows() : wide.met_by_places();
    int64_t step = windows ? 1 : wide.stride, other_step = windows ? wide.stride : 1;
    std::vector<Stretch> line = stretches(across, step, other_step);

    int64_t rows = static_cast<int64_t>(down.size()), columns = static_cast<int64_t>(across.size());
    int64_t other_columns = windows ? wide.places : wide.windows;
    int64_t image = rows * columns * channels;
    int64_t other_image = (windows ? high.places : high.windows) * other_columns * channels;

    bool neighbors = Work::ALIKE && wide.stride == 1;
    constexpr int64_t worth = 16 * 1024;  // waking a thread: numbers
    int64_t cuts = std::clamp<int64_t>(image / worth, 1, rows);  // of one image, or several of them together
    int64_t together = std::clamp<int64_t>(worth / std::max<int64_t>(image, 1), 1, images);
    parallel(pool, (images + together - 1) / together * cuts, [&](int64_t piece) {
      int64_t first_image = piece / cuts * together, end = std::min(first_image + together, images), cut = piece % cuts;
      std::vector<Met<T>> met;
      for (int64_t row = rows * cut / cuts; row < rows * (cut + 1) / cuts; ++row)
        for (Stretch stretch : line) {
          met.clear();
          for (Meeting y : down[row])
            for (Meeting x : across[stretch.first]) {
              T count = static_cast<T>(y.count * x.count);
              int64_t at = (y.place * other_columns + x.place) * channels;
              met.push_back({at, y.number * wide.window + x.number, count, 1 / count});
            }
          int64_t place = (row * columns + stretch.first) * channels;
          for (int64_t n = first_image; n < end; ++n)
            over_channels<T>(neighbors ? stretch.length * channels : channels, [&]<int B, int COLUMNS>(int64_t c) {
              Spot spot{n * other_image + c, n * image + place + c, c, other_step * channels, step * channels};
              int64_t left = neighbors ? 1 : stretch.length;
              auto gather = [&]<int P>() {
                work.template gather<B, COLUMNS, P>(met, spot);
                left -= P, spot.from += P * spot.from_next, spot.to += P * spot.to_next;
              };
              if constexpr (Work::TOGETHER > 1)
                while (left >= Work::TOGETHER) gather.template operator()<Work::TOGETHER>();
              while (left > 0) gather.template operator()<1>();
            });
        }
    });
  }
};
