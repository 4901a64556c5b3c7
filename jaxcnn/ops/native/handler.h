// What makes a function a handler of XLA: it is seen, it looks at what it was given before it reads a number of it, and
// whatever goes wrong in it is an error of this one call, which Python raises.

#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using Ints = ffi::Span<const int64_t>;

struct Refused : std::invalid_argument {  // what a handler was given
  using std::invalid_argument::invalid_argument;
};

inline void require(bool holds, const char* sentence) {
  if (!holds) throw Refused(sentence);
}

// `function`, answering with an error where it throws
template <auto function>
struct Guarded;

template <class... Arguments, ffi::Error (*function)(Arguments...)>
struct Guarded<function> {
  static ffi::Error call(Arguments... arguments) {
    try {
      return function(std::move(arguments)...);
    } catch (const Refused& error) {
      return ffi::Error::InvalidArgument(error.what());
    } catch (const std::bad_alloc&) {
      return ffi::Error(ffi::ErrorCode::kResourceExhausted, "there is not enough memory for a copy of the images");
    } catch (const std::length_error&) {
      return ffi::Error(ffi::ErrorCode::kResourceExhausted, "a copy of the images would fit into no memory");
    } catch (const std::exception& error) {
      return ffi::Error::Internal(error.what());
    } catch (...) {
      return ffi::Error::Internal("an exception without a name");
    }
  }
};

// The library shows its handlers; the rest is its own, whatever else a process has loaded.
#define SEEN extern "C" __attribute__((visibility("default")))
#define HANDLER(name, function, binding)        \
  SEEN XLA_FFI_Error* name(XLA_FFI_CallFrame*); \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, Guarded<function>::call, binding)

template <class T>
const T* data(const ffi::AnyBuffer& array) {
  return static_cast<const T*>(array.untyped_data());
}

inline int64_t rank(const ffi::AnyBuffer& array) { return static_cast<int64_t>(array.dimensions().size()); }

// number 0 is the last dimension
inline int64_t from_last(const ffi::AnyBuffer& array, int64_t number) {
  return array.dimensions()[rank(array) - 1 - number];
}

inline bool same_shape(const ffi::AnyBuffer& one, const ffi::AnyBuffer& other) {
  auto a = one.dimensions(), b = other.dimensions();
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// Of float32 or float64, and all of one
template <class... Arrays>
void require_floats(const ffi::AnyBuffer& first, const Arrays&... others) {
  ffi::DataType type = first.element_type();
  require(type == ffi::F32 || type == ffi::F64, "the arrays must be of float32 or float64");
  require(((others.element_type() == type) && ...), "the arrays must be of one dtype");
}

// work.operator()<T>(), T being the float or double that `array` is of
template <class Work>
void with_type(const ffi::AnyBuffer& array, Work work) {
  if (array.element_type() == ffi::F32) work.template operator()<float>();
  else work.template operator()<double>();
}
