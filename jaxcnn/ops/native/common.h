// What all of the program shares: vectors of the processor, the threads of XLA, memory of a thread's own.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

#if defined(__AVX512F__)
constexpr int BYTES = 64;  // of a vector
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

template <class T>
constexpr int LANES = BYTES / sizeof(T);

template <class T, int B>
struct Vectors {  // of B bytes, in a register and anywhere in memory
  typedef T Vector __attribute__((vector_size(B)));
  typedef T Anywhere __attribute__((vector_size(B), aligned(sizeof(T)), may_alias));
};
template <class T, int B = BYTES>
using Vector = typename Vectors<T, B>::Vector;

template <class T, int B = BYTES>
Vector<T, B> load(const T* from) {
  return *reinterpret_cast<const typename Vectors<T, B>::Anywhere*>(from);
}

template <class T, int B = BYTES>
void store(T* to, Vector<T, B> values) {
  *reinterpret_cast<typename Vectors<T, B>::Anywhere*>(to) = values;
}

// work<bytes of a vector, vectors>(first channel), until all are done: four vectors, then one, then smaller ones
template <class T, int B = BYTES, class Work>
void over_channels(long C, Work work, long c = 0) {
  constexpr long L = B / sizeof(T);
  if constexpr (B == BYTES)
    for (; c + 4 * L <= C; c += 4 * L) work.template operator()<B, 4>(c);
  for (; c + L <= C; c += L) work.template operator()<B, 1>(c);
  if constexpr (L > 1) over_channels<T, B / 2>(C, work, c);
}

inline long threads(xla::ffi::ThreadPool& pool) { return std::max<long>(1, pool.num_threads()); }

// work(0) to work(count - 1), by the threads of XLA that are free and by this one. Who comes late finds nothing to do
// and touches nothing, so that this waits only for work that has begun: it cannot wait for a thread that waits.
template <class Work>
void parallel(xla::ffi::ThreadPool& pool, long count, Work work) {
  struct Progress {
    std::atomic<long> next{0}, done{0};
  };
  auto progress = std::make_shared<Progress>();
  auto run = [progress, count, &work] {
    for (long i; (i = progress->next.fetch_add(1)) < count;) {
      work(i);
      if (progress->done.fetch_add(1) + 1 == count) progress->done.notify_all();
    }
  };
  for (long helpers = std::min(count, threads(pool)) - 1; helpers > 0; --helpers)
    pool.Schedule(decltype(run)(run));
  run();
  for (long done; (done = progress->done.load()) < count;) progress->done.wait(done);
}

// A thread's own memory: it grows and is used again.
template <class T>
T* scratch(int which, long count) {
  static thread_local std::vector<T> memory[2];
  if (static_cast<long>(memory[which].size()) < count) memory[which].resize(count);
  return memory[which].data();
}
