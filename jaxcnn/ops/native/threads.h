// Work in pieces, by the threads of XLA; and memory of a thread's own.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "xla/ffi/api/ffi.h"

// For how many threads work is cut, where a test says so: as if XLA had as many.
inline std::atomic<int64_t> cut_for{0};

// How work is cut may depend on it; which numbers are added up in which order may not, as the bits would differ.
inline int64_t threads(const xla::ffi::ThreadPool& pool) {
  int64_t said = cut_for.load();
  return said > 0 ? said : std::max<int64_t>(1, pool.num_threads());
}

// work(0) to work(count - 1), by the threads of XLA that are free and by this one. Who comes late finds nothing to do
// and touches nothing, so that this waits only for work that has begun: it cannot wait for a thread that waits.
// What the work throws, in whichever thread, is thrown here once no work is under way.
template <class Work>
void parallel(xla::ffi::ThreadPool& pool, int64_t count, Work work) {
  struct Progress {
    std::atomic<int64_t> next{0}, done{0};
    std::atomic_flag failed;
    std::exception_ptr reason;
  };
  auto progress = std::make_shared<Progress>();
  auto run = [progress, count, &work] {
    for (int64_t i; (i = progress->next.fetch_add(1)) < count;) {
      try {
        if (!progress->failed.test()) work(i);
      } catch (...) {
        if (!progress->failed.test_and_set()) progress->reason = std::current_exception();
      }
      if (progress->done.fetch_add(1) + 1 == count) progress->done.notify_all();
    }
  };
  try {
    for (int64_t helpers = std::min(count, threads(pool)) - 1; helpers > 0; --helpers)
      pool.Schedule(decltype(run)(run));
  } catch (const std::bad_alloc&) {  // then with the helpers that there are: they may have begun
  }
  run();
  for (int64_t done; (done = progress->done.load()) < count;) progress->done.wait(done);
  if (progress->reason) std::rethrow_exception(progress->reason);
}

// A thread's own memory, several of them: each grows and is used again.
enum Scratch { COPY, SECOND_COPY, PARTS, SCRATCHES };

template <class T>
T* scratch(Scratch which, int64_t count) {
  static thread_local std::vector<T> memory[SCRATCHES];
  if (static_cast<int64_t>(memory[which].size()) < count) {
    memory[which].clear();  // nothing of it is copied to the larger one
    memory[which].resize(count);
  }
  return memory[which].data();
}
