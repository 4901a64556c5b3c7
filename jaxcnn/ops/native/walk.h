// The walk of a sliding window: a place of the result meets places of the other array, each through a place of the
// window, and gathers what it wants of them, vectors of channels at a time. Padding is never met.

#pragma once

#include "common.h"

struct Meeting {  // with a place of the other array, through a place of the window; what the window divides by
  long place, number, count;
};
using Meetings = std::vector<std::vector<Meeting>>;  // of every place along a dimension

// One spatial dimension: windows see places, places are seen by windows.
struct Axis {
  long in, out, window, stride, before, dilation;
  const int64_t* counts;  // what every window divides by, or null

  Meetings windows() const {
    Meetings all(out);
    each([&](long place, long j, long u) { all[j].push_back({place, u, count(j)}); });
    return all;
  }
  Meetings places() const {
    Meetings all(in);
    each([&](long place, long j, long u) { all[place].push_back({j, u, count(j)}); });
    return all;
  }

 private:
  long count(long j) const { return counts ? counts[j] : 1; }

  template <class Work>
  void each(Work work) const {
    for (long j = 0; j < out; ++j)
      for (long u = 0; u < window; ++u) {
        long place = j * stride - before + u * dilation;
        if (place >= 0 && place < in) work(place, j, u);
      }
  }
};

// `length` places from `first` on, `step` apart; each meets what lies `other` further on than what the one before meets.
struct Stretch {
  long first, length;
};

inline std::vector<Stretch> stretches(const Meetings& all, long step, long other) {
  std::vector<Stretch> found;
  auto next = [&](Meeting a, Meeting b) { return b.place == a.place + other && b.count == a.count; };
  long count = all.size();
  for (long phase = 0; phase < std::min(step, count); ++phase)
    for (long i = phase; i < count; i += step) {
      if (i >= step && std::equal(all[i - step].begin(), all[i - step].end(), all[i].begin(), all[i].end(), next))
        ++found.back().length;
      else found.push_back({i, 1});
    }
  return found;
}

template <class T>
struct Met {  // `at` from where the other array's image begins
  long at, number;
  T count, share;
};

enum Of { WINDOWS, PLACES };  // what the result is of

struct Sliding {
  Axis high, wide;

  // work.gather<bytes, vectors, places>(what is met, where its image begins, where the place lies, channel, ...), the
  // two as of that channel, and how far on they lie for the next of the places, which are 1 or TOGETHER. Where all
  // channels are ALIKE to the work, those of neighbours may pass for those of one place.
  template <class T, class Work>
  void walk(xla::ffi::ThreadPool& pool, Of of, long N, long C, Work work) const {
    bool windows = of == WINDOWS;
    Meetings down = windows ? high.windows() : high.places(), across = windows ? wide.windows() : wide.places();
    long step = windows ? 1 : wide.stride, other_step = windows ? wide.stride : 1;
    std::vector<Stretch> line = stretches(across, step, other_step);
    long rows = down.size(), columns = across.size(), other = windows ? wide.in : wide.out;
    long image = rows * columns * C, other_image = other * (windows ? high.in : high.out) * C;
    bool near = Work::ALIKE && wide.stride == 1;
    constexpr long worth = 16 * 1024;  // waking a thread: numbers
    long cuts = std::clamp(image / worth, 1L, rows), together = std::clamp(worth / std::max(image, 1L), 1L, N);
    parallel(pool, (N + together - 1) / together * cuts, [&](long piece) {
      long from = piece / cuts * together, until = std::min(from + together, N), cut = piece % cuts;
      std::vector<Met<T>> met;
      for (long row = rows * cut / cuts; row < rows * (cut + 1) / cuts; ++row)
        for (Stretch stretch : line) {
          met.clear();
          for (Meeting y : down[row])
            for (Meeting x : across[stretch.first]) {
              T count = static_cast<T>(y.count * x.count);
              met.push_back({(y.place * other + x.place) * C, y.number * wide.window + x.number, count, 1 / count});
            }
          for (long n = from; n < until; ++n)
            over_channels<T>(near ? stretch.length * C : C, [&]<int B, int COLUMNS>(long c) {
              long at = n * other_image + c, to = n * image + (row * columns + stretch.first) * C + c;
              long left = near ? 1 : stretch.length, other_next = other_step * C, next = step * C;
              for (constexpr int P = Work::TOGETHER; P > 1 && left >= P; left -= P, at += P * other_next, to += P * next)
                work.template gather<B, COLUMNS, P>(met, at, to, c, other_next, next);
              for (; left > 0; --left, at += other_next, to += next)
                work.template gather<B, COLUMNS, 1>(met, at, to, c, other_next, next);
            });
        }
    });
  }
};
