// Random bits on a CPU: Threefry-2x32 with 20 rounds (Salmon et al. 2011), as jax counts with it.

#include "handler.h"
#include "threads.h"

namespace {

using Bits = uint32_t;

inline Bits turned(Bits value, int by) { return value << by | value >> (32 - by); }

// Of the counts from `begin` on: both words of the cipher of (0, count) in one
void encipher(const Bits* key, int64_t begin, int64_t count, Bits* to) {
  constexpr int turns[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const Bits keys[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1bd11bda};
  for (int64_t i = 0; i < count; ++i) {
    Bits first = keys[0], second = static_cast<Bits>(begin + i) + keys[1];
#pragma GCC unroll 5
    for (int five = 0; five < 5; ++five) {
#pragma GCC unroll 4
      for (int four = 0; four < 4; ++four) {
        first += second;
        second = turned(second, turns[five % 2][four]) ^ first;
      }
      first += keys[(five + 1) % 3];
      second += keys[(five + 2) % 3] + five + 1;
    }
    to[i] = first ^ second;
  }
}

// keys (..., 2) into (..., N)
ffi::Error random_bits(ffi::ThreadPool pool, ffi::AnyBuffer keys, ffi::Result<ffi::AnyBuffer> result) {
  require(keys.element_type() == ffi::U32 && result->element_type() == ffi::U32, "keys and bits must be of uint32");
  require(rank(keys) >= 1 && from_last(keys, 0) == 2 && rank(*result) == rank(keys), "keys are (2,), and bits (N,)");
  for (int64_t d = 0; d < rank(keys) - 1; ++d)
    require(keys.dimensions()[d] == result->dimensions()[d], "every dimension of vmap must be that of all arrays");
  int64_t length = from_last(*result, 0), count = keys.element_count() / 2;
  require(length <= UINT32_MAX, "bits must be fewer for one key");
  if (result->element_count() == 0) return ffi::Error::Success();

  constexpr int64_t at_once = 32 * 1024;
  int64_t parts = (length + at_once - 1) / at_once;
  parallel(pool, count * parts, [&](int64_t i) {
    int64_t n = i / parts, begin = i % parts * at_once;
    Bits* to = static_cast<Bits*>(result->untyped_data()) + n * length + begin;
    encipher(data<Bits>(keys) + 2 * n, begin, std::min(at_once, length - begin), to);
  });
  return ffi::Error::Success();
}

}  // namespace

HANDLER(jaxcnn_random_bits, random_bits,
        ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>());
