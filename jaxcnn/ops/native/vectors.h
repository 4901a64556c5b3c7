// Vectors of the processor, of which everything in this program is made.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int BYTES = 64;  // of a vector
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

template <class T>
constexpr int64_t SIZE = sizeof(T);

template <class T>
constexpr int LANES = BYTES / SIZE<T>;

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
void over_channels(int64_t channels, Work work, int64_t c = 0) {
  constexpr int64_t lanes = B / SIZE<T>;
  if constexpr (B == BYTES)
    for (; c + 4 * lanes <= channels; c += 4 * lanes) work.template operator()<B, 4>(c);
  for (; c + lanes <= channels; c += lanes) work.template operator()<B, 1>(c);
  if constexpr (lanes > 1) over_channels<T, B / 2>(channels, work, c);
}
