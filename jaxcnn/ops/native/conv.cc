// The three products of a convolution (see products.py) of images (N, H, W, C) in float32 or float64 on a CPU: which
// way each is computed, and under `vmap`, with which arrays. The README beside this file has a picture.

#include <cstdlib>

#include "depthwise.h"
#include "kernel_gradient.h"
#include "send_back.h"
#include "slide.h"

namespace {

enum Product { FORWARD, INPUT_GRADIENT, KERNEL_GRADIENT };

// An array whose first dimensions, all but four, are those of `vmap`: 1 where the array is the same for all.
struct Mapped {
  ffi::AnyBuffer array;

  int64_t rank() const { return ::rank(array) - 4; }
  int64_t size(int64_t d) const { return array.dimensions()[rank() + d]; }
  int64_t each() const { return size(0) * size(1) * size(2) * size(3); }
  int64_t count() const { return static_cast<int64_t>(array.element_count()); }

  // where the array of number i lies, counted over the mapped dimensions of `all`
  int64_t of(int64_t i, const Mapped& all) const {
    int64_t at = 0, stride = each();
    for (int64_t d = rank() - 1; d >= 0; --d) {
      at += array.dimensions()[d] == 1 ? 0 : i % all.array.dimensions()[d] * stride;
      i /= all.array.dimensions()[d];
      stride *= array.dimensions()[d];
    }
    return at;
  }
};

struct Arrays {
  Mapped images, kernel, gradient;
};

// The arguments and the result of a product, by what they are
Arrays named(Product which, Mapped one, Mapped other, Mapped result) {
  if (which == FORWARD) return {one, other, result};
  if (which == INPUT_GRADIENT) return {result, other, one};
  return {one, result, other};
}

void check(const Mapped& one, const Mapped& other, const Mapped& result, const Arrays& arrays, Ints stride, Ints before,
           Ints dilation, int64_t groups) {
  require_floats(result.array, one.array, other.array);
  require(one.rank() == result.rank() && other.rank() == result.rank(), "the arrays must be of one rank");
  for (int64_t d = 0; d < result.rank(); ++d)
    for (const Mapped* given : {&one, &other}) {
      int64_t size = given->array.dimensions()[d];
      require(size == 1 || size == result.array.dimensions()[d], "a dimension of vmap must be 1 or the result's");
    }
  require(stride.size() == 2 && before.size() == 2 && dilation.size() == 2,
          "stride, before and dilation are of two numbers each: of the rows, of the columns");
  auto [images, kernel, gradient] = arrays;
  require(groups >= 1 && images.size(3) == kernel.size(2) * groups && kernel.size(3) % groups == 0,
          "the images' channels must be the groups times the kernel's, whose outputs the groups must divide");
  require(gradient.size(3) == kernel.size(3) && gradient.size(0) == images.size(0),
          "images and windows must be of one number of images, windows and kernel of one number of outputs");
  double padded = static_cast<double>(std::max(images.size(3), kernel.size(3)));  // numbers of an image, at most
  for (int64_t d = 0; d < 2; ++d) {
    constexpr int64_t most = int64_t{1} << 31;
    require(1 <= stride[d] && stride[d] < most && 1 <= dilation[d] && dilation[d] < most && std::abs(before[d]) < most,
            "stride and dilation must be 1 or more, and they and the padding less than 2^31");
    require(kernel.size(d) >= 1, "a window has one place or more");
    double seen = static_cast<double>(gradient.size(1 + d)) * stride[d], inside = static_cast<double>(images.size(1 + d));
    padded *= static_cast<double>(kernel.size(d)) * dilation[d] + std::abs(before[d]) + std::max(seen, inside);
  }
  require(padded < 1e15, "a padded image would fit into no memory");  // and its places into no int64_t
}

template <class T>
void compute(ffi::ThreadPool& pool, Product which, const Convolution& of, const T* one, const T* other, T* result) {
  bool narrow = of.groups == 1 && of.fan_in < LANES<T> / 2;
  if (which == KERNEL_GRADIENT) kernel_gradient(pool, of, one, other, result);
  else if (of.depthwise()) {
    Sliding sliding{of.high.axis(), of.wide.axis()};
    Weighted<T> work{one, other, of.groups, result};
    sliding.walk<T>(pool, which == FORWARD ? WINDOWS : PLACES, of.images, of.groups, work);
  } else if (which == INPUT_GRADIENT && narrow) send_back(pool, of, one, other, result);
  else slide(pool, which == FORWARD, of, one, other, result);
}

template <Product which>
ffi::Error product(ffi::ThreadPool pool, ffi::AnyBuffer given, ffi::AnyBuffer other_given, ffi::Result<ffi::AnyBuffer> to,
                   Ints stride, Ints before, Ints dilation, int64_t groups) {
  Mapped one{given}, other{other_given}, result{*to};
  for (const Mapped* array : {&one, &other, &result})
    require(array->rank() >= 0, "images are of four dimensions, (N, H, W, C), and kernels, (H, W, I, O), or of more");
  Arrays arrays = named(which, one, other, result);
  check(one, other, result, arrays, stride, before, dilation, groups);
  if (result.count() == 0) return ffi::Error::Success();

  auto [images, kernel, gradient] = arrays;
  auto sizes = [&](int64_t d) {
    return Sizes{.inputs = images.size(d + 1), .window = kernel.size(d), .stride = stride[d], .before = before[d],
                 .dilation = dilation[d], .outputs = gradient.size(d + 1)};
  };
  Convolution of{.images = images.size(0), .high = sizes(0), .wide = sizes(1), .fan_in = kernel.size(2),
                 .fan_out = kernel.size(3) / groups, .groups = groups};
  int64_t maps = result.count() / result.each();
  bool one_kernel = which != KERNEL_GRADIENT && other.count() == other.each();
  if (one_kernel && one.count() == one.each() * maps) of.images *= maps, maps = 1;  // all are one batch
  with_type(*to, [&]<class T>() {
    for (int64_t i = 0; i < maps; ++i)
      compute<T>(pool, which, of, data<T>(given) + one.of(i, result), data<T>(other_given) + other.of(i, result),
                 static_cast<T*>(to->untyped_data()) + i * result.each());
  });
  return ffi::Error::Success();
}

#define BINDING                                                                                             \
  ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>() \
      .Attr<Ints>("stride").Attr<Ints>("before").Attr<Ints>("dilation").Attr<int64_t>("groups")

}  // namespace

HANDLER(jaxcnn_forward, product<FORWARD>, BINDING);
HANDLER(jaxcnn_input_gradient, product<INPUT_GRADIENT>, BINDING);
HANDLER(jaxcnn_kernel_gradient, product<KERNEL_GRADIENT>, BINDING);
