// The three products of a convolution (see products.py) of images (N, H, W, C) in float32 or float64 on a CPU.
//
// All of them are the loop `tile`, b being a vector of channels. Forward: rows are output places, k the window's places
// and the input channels, b is the kernel. Input gradient: the same of the gradient, once for every phase of the stride
// (see overlap.py). Kernel gradient: rows are the kernel's places and input channels, k the output places, b is the
// gradient. A depthwise convolution's kernel gradient has a vector of channels for a too; its other two products are a
// walk (see walk.h), which needs no copy.
//
// Padding costs nothing inside the loop: the rows at work are first copied, padded, to a thread's own memory.

#include "tile.h"
#include "walk.h"

namespace ffi = xla::ffi;
using Ints = ffi::Span<const int64_t>;

namespace {

constexpr long NEAR = 128 * 1024, FAR = 512 * 1024;  // bytes that stay in the cache of a core beside others, and alone

// One spatial dimension. Place j looks at `reach` inputs from j*step - before on, and makes the outputs
// j*spread + phase - crop, one for every phase.
struct Line {
  long in, out, places, step, before, reach, spread, crop;

  long first(long phase) const { return std::max(0L, (crop - phase + spread - 1) / spread); }
  long place(long j, long phase) const { return j * spread + phase - crop; }
  long last(long phase) const { return std::min(places, (out + crop - phase + spread - 1) / spread); }
};

struct Tap {  // a place of the window: `at` from where an output place begins to look, and its number
  long at, number;
};

struct Sizes {  // of a convolution: its window, stride, padding before and dilation along an axis, inputs and outputs
  long in, window, stride, before, dilation, out;

  Axis axis() const { return {in, out, window, stride, before, dilation, nullptr}; }
  long back() const { return (window - 1) * dilation / stride; }
  Line sliding() const { return {in, out, out, stride, before, (window - 1) * dilation + 1, 1, 0}; }
  Line receiving() const {
    return {out, in, (before + in + stride - 1) / stride, 1, back(), back() + 1, stride, before};
  }

  std::vector<std::vector<Tap>> seen() const {
    std::vector<std::vector<Tap>> taps(1);
    for (long u = 0; u < window; ++u) taps[0].push_back({u * dilation, u});
    return taps;
  }
  // u*dilation = q*stride + phase: place u brings a phase what came from q windows before
  std::vector<std::vector<Tap>> received() const {
    std::vector<std::vector<Tap>> taps(stride);
    for (long u = window - 1; u >= 0; --u) taps[u * dilation % stride].push_back({back() - u * dilation / stride, u});
    return taps;
  }
};

struct Channels {
  long fan_in, fan_out, groups;

  bool depthwise() const { return groups > 1 && fan_in == 1 && fan_out == 1; }
};

struct Blocks {  // of the channels of b: VECTORS vectors each, the last maybe less
  long width, lanes, vectors = (width + lanes - 1) / lanes, count = (vectors + VECTORS - 1) / VECTORS;

  long first(long block) const { return block * VECTORS * lanes; }
  int vectors_of(long block) const { return static_cast<int>(std::min<long>(VECTORS, vectors - block * VECTORS)); }
  long lanes_of(long block) const { return std::min(VECTORS * lanes, width - first(block)); }
};

// Images cut into pieces: some rows of places of one image, or several whole images.
struct Pieces {
  long rows, cuts, together, count;

  // `fixed` bytes and `per_row` more for every row of places; more of them where many `weights` wait to be used again
  Pieces(long images, long places, long fixed, long per_row, long weights, long least) {
    long room = std::clamp(weights, NEAR, FAR);
    rows = std::clamp((room - fixed) / std::max(per_row, 1L), 1L, places);
    cuts = (places + rows - 1) / rows;
    rows = (places + cuts - 1) / cuts;
    long whole = fixed + per_row * places;
    together = cuts > 1 ? 1 : std::clamp(room / std::max(whole, 1L), 1L, std::max(1L, images / least));
    count = (images + together - 1) / together * cuts;
  }
};

// `count` rows of an image from `row` on, with `before` columns of zeros and then `columns` in all
template <class T>
void copy_padded(const T* image, long height, long width, long C, long row, long count, long before, long columns,
                 T* to) {
  long from = std::clamp(-before, 0L, width), until = std::clamp(columns - before, from, width);
  long left = std::clamp(before, 0L, columns) * C, middle = (until - from) * C, right = columns * C - left - middle;
  for (long r = row; r < row + count; ++r, to += columns * C) {
    if (r < 0 || r >= height || middle == 0) {
      std::fill_n(to, columns * C, T(0));
      continue;
    }
    std::fill_n(to, left, T(0));
    std::memcpy(to + left, image + (r * width + from) * C, middle * sizeof(T));
    std::fill_n(to + left + middle, right, T(0));
  }
}

// What one phase adds up: the window's places as runs of k over the copied rows, and over its packed weights.
struct Phase {
  long y, x;
  std::vector<std::pair<long, long>> places;  // where in the copied rows, which of the window
  std::vector<Runs> chunks;                   // each meets no more weights than stay in the cache

  // `inner` numbers are added up at every place of the window, of the C that lie there; side by side, they are one run
  Phase(long y, long x, const std::vector<Tap>& high, const std::vector<Tap>& wide, long window, long columns, long C,
        long inner) : y(y), x(x), chunks(1) {
    constexpr long most = NEAR / (VECTORS * BYTES);
    long met = 0, in_chunk = 0;
    for (Tap down : high)
      for (Tap across : wide) {
        places.emplace_back((down.at * columns + across.at) * C, down.number * window + across.number);
        for (long k = 0; k < inner;) {
          if (in_chunk == most) chunks.emplace_back(), in_chunk = 0;
          long from = places.back().first + k, length = std::min(inner - k, most - in_chunk);
          Run* last = chunks.back().empty() ? nullptr : &chunks.back().back();
          if (last && inner == C && last->from + last->length == from) last->length += length;
          else chunks.back().push_back({from, met, length});
          k += length, met += length, in_chunk += length;
        }
      }
  }
};

// Forward (`forward`) or input gradient, but of depthwise convolutions
template <class T>
void slide(ffi::ThreadPool& pool, bool forward, const T* x, long N, const Sizes& high, const Sizes& wide,
           Channels channels, const T* kernel, T* out) {
  long fan_in = channels.fan_in, fan_out = channels.fan_out, groups = channels.groups;
  Line rows = forward ? high.sliding() : high.receiving(), row = forward ? wide.sliding() : wide.receiving();
  long inner = forward ? fan_in : fan_out, C = inner * groups, O = fan_out * groups;
  Blocks blocks{forward ? fan_out : fan_in, LANES<T>};
  long columns = (row.places - 1) * row.step + row.reach, out_channels = blocks.width * groups;

  std::vector<Phase> phases;
  std::vector<long> weights_of;  // where the weights of a phase begin
  long size = 0;
  auto y_taps = forward ? high.seen() : high.received(), x_taps = forward ? wide.seen() : wide.received();
  for (size_t y = 0; y < y_taps.size(); ++y)
    for (size_t x = 0; x < x_taps.size(); ++x) {
      phases.emplace_back(y, x, y_taps[y], x_taps[x], wide.window, columns, C, inner);
      weights_of.push_back(size);
      size += static_cast<long>(phases.back().places.size()) * inner * groups * blocks.vectors * LANES<T>;
    }

  auto weights = std::make_unique_for_overwrite<T[]>(size);
  auto packed = [&](long phase, long set, long block) {
    long met = static_cast<long>(phases[phase].places.size()) * inner;
    return weights.get() + weights_of[phase] + met * LANES<T> * (set * blocks.vectors + block * VECTORS);
  };
  parallel(pool, static_cast<long>(phases.size()) * groups * blocks.count, [&](long i) {
    long phase = i / (groups * blocks.count), set = i / blocks.count % groups, block = i % blocks.count;
    long lanes = blocks.lanes_of(block), all = blocks.vectors_of(block) * LANES<T>, first = blocks.first(block);
    T* to = packed(phase, set, block);
    for (auto [where, number] : phases[phase].places)
      for (long k = 0; k < inner; ++k, to += all) {
        const T* from = kernel + number * fan_in * O + set * fan_out;
        if (forward) std::memcpy(to, from + k * O + first, lanes * sizeof(T));
        else for (long lane = 0; lane < lanes; ++lane) to[lane] = from[(first + lane) * O + k];
        std::fill(to + lanes, to + all, T(0));
      }
  });

  long row_bytes = columns * C * sizeof(T);
  Pieces pieces(N, rows.places, row_bytes * (rows.reach - rows.step), row_bytes * rows.step, size * sizeof(T),
                4 * threads(pool));
  long shares = std::clamp(4 * threads(pool) / pieces.count, 1L, groups * blocks.count);  // of the output channels
  parallel(pool, pieces.count * shares, [&](long i) {
    long piece = i / shares, share = i % shares;
    long n = piece / pieces.cuts * pieces.together, images = std::min(pieces.together, N - n);
    long from = piece % pieces.cuts * pieces.rows, until = std::min(from + pieces.rows, rows.places);
    if (from >= until) return;
    long seen = (until - from - 1) * rows.step + rows.reach;
    T* copied = scratch<T>(0, images * seen * columns * C + VECTORS * LANES<T>);
    for (long m = 0; m < images; ++m)
      copy_padded(x + (n + m) * rows.in * row.in * C, rows.in, row.in, C, from * rows.step - rows.before, seen,
                  row.before, columns, copied + m * seen * columns * C);
    std::vector<long> begins, places;  // of every output place: where it looks in the copy, where it lies
    for (size_t p = 0; p < phases.size(); ++p) {
      const Phase& phase = phases[p];
      begins.clear(), places.clear();
      for (long m = 0; m < images; ++m)
        for (long j = std::max(from, rows.first(phase.y)); j < std::min(until, rows.last(phase.y)); ++j)
          for (long i = row.first(phase.x); i < row.last(phase.x); ++i) {
            begins.push_back(((m * seen + (j - from) * rows.step) * columns + i * row.step) * C);
            long out_row = (n + m) * rows.out + rows.place(j, phase.y);
            places.push_back((out_row * row.out + row.place(i, phase.x)) * out_channels);
          }
      for (long one = groups * blocks.count * share / shares; one < groups * blocks.count * (share + 1) / shares; ++one) {
        long set = one / blocks.count, block = one % blocks.count;
        int vectors = blocks.vectors_of(block);
        long channel = set * blocks.width + blocks.first(block);
        const T *a = copied + set * inner, *b = packed(p, set, block);
        Runs runs;
        for (const Runs& chunk : phase.chunks) {
          runs = chunk;
          for (Run& run : runs) run.other *= vectors * LANES<T>;
          in_tiles(begins.size(), [&](long at, int count) {
            auto sum = tile_of<T>(count, vectors, false);
            sum(a, &begins[at], b, {1, vectors * LANES<T>}, runs, out + channel, &places[at], blocks.lanes_of(block),
                &chunk != &phase.chunks.front());
          });
        }
      }
    }
  });
}

// Forward or input gradient of a depthwise convolution: what is met, each times the weights of that place of the window.
template <class T>
struct Weighted {
  static constexpr bool ALIKE = false;
  static constexpr int TOGETHER = BYTES == 64 ? 4 : 2;  // places that share weights: four vectors of sums for each
  const T *x, *kernel;
  long C;
  T* y;

  template <int B, int COLUMNS, int P>
  void gather(const std::vector<Met<T>>& met, long from, long to, long channel, long other_next, long next) const {
    constexpr int L = B / sizeof(T);
    Vector<T, B> sum[P][COLUMNS] = {};
    for (const Met<T>& m : met) {
      const T *values = x + from + m.at, *weights = kernel + m.number * C + channel;
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) {
        auto weight = load<T, B>(weights + c * L);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sum[p][c] += load<T, B>(values + p * other_next + c * L) * weight;
      }
    }
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; ++c) store<T, B>(y + to + p * next + c * L, sum[p][c]);
  }
};

// Input gradient of few channels, which would fill few lanes: lanes are all that a window sends back, its places times
// the input channels; then every window's share is added where it belongs, in a padded image of a thread's own.
template <class T>
void send_back(ffi::ThreadPool& pool, const T* gradient, long N, const Sizes& high, const Sizes& wide, long I, long O,
               const T* kernel, T* out) {
  Line rows = high.sliding(), row = wide.sliding();
  long span = wide.window * I;  // of a window's row
  Blocks blocks{high.window * span, LANES<T>};
  long sent = blocks.vectors * LANES<T>;
  auto weights = std::make_unique_for_overwrite<T[]>(O * sent);
  for (long block = 0; block < blocks.count; ++block) {
    long all = blocks.vectors_of(block) * LANES<T>, first = blocks.first(block);
    for (long o = 0; o < O; ++o)
      for (long lane = 0; lane < all; ++lane)
        weights[O * first + o * all + lane] = lane < blocks.lanes_of(block) ? kernel[(first + lane) * O + o] : T(0);
  }
  long height = (rows.places - 1) * rows.step + rows.reach, width = (row.places - 1) * row.step + row.reach;
  parallel(pool, N, [&](long n) {
    T *image = scratch<T>(0, height * width * I), *shares = scratch<T>(1, row.places * sent);
    std::fill_n(image, height * width * I, T(0));
    std::vector<long> begins, places;
    for (long i = 0; i < row.places; ++i) begins.push_back(i * O), places.push_back(i * sent);
    for (long j = 0; j < rows.places; ++j) {
      const T* a = gradient + (n * rows.places + j) * row.places * O;
      for (long block = 0; block < blocks.count; ++block) {
        long first = blocks.first(block), all = blocks.vectors_of(block) * LANES<T>;
        in_tiles(row.places, [&](long at, int count) {
          auto sum = tile_of<T>(count, blocks.vectors_of(block), false);
          sum(a, &begins[at], weights.get() + O * first, {1, all}, {{0, 0, O}}, shares + first, &places[at], all,
              false);
        });
      }
      for (long i = 0; i < row.places; ++i)
        for (long u = 0; u < high.window; ++u)
          for (long v = 0; v < (wide.dilation == 1 ? 1 : wide.window); ++v) {
            T* to = image + ((j * rows.step + u * high.dilation) * width + i * row.step + v * wide.dilation) * I;
            const T* from = shares + i * sent + u * span + v * I;
            for (long k = 0; k < (wide.dilation == 1 ? span : I); ++k) to[k] += from[k];
          }
    }
    copy_padded(image, height, width, I, rows.before, rows.in, -row.before, row.in, out + n * rows.in * row.in * I);
  });
}

// Every thread adds up the gradients of its share of the pieces; then they are added.
template <class T>
void kernel_gradient(ffi::ThreadPool& pool, const T* x, const T* gradient, long N, const Sizes& high, const Sizes& wide,
                     Channels channels, T* out) {
  long fan_in = channels.fan_in, fan_out = channels.fan_out, groups = channels.groups;
  bool each = channels.depthwise();
  Line rows = high.sliding(), row = wide.sliding();
  long sets = each ? 1 : groups, I = fan_in * groups, O = fan_out * groups;
  Blocks blocks{each ? groups : fan_out, LANES<T>};
  long columns = (row.places - 1) * row.step + row.reach, size = high.window * wide.window * fan_in * O;
  bool partly = blocks.width % LANES<T>;  // the last vector would be read beyond the end of the gradient

  // Rows of a tile: the window's places and the input channels of a group.
  std::vector<long> begins, places;
  for (long u = 0; u < high.window; ++u)
    for (long v = 0; v < wide.window; ++v)
      for (long i = 0; i < fan_in; ++i) {
        begins.push_back((u * high.dilation * columns + v * wide.dilation) * I + i);
        places.push_back(static_cast<long>(places.size()) * O);
      }

  Pieces pieces(N, rows.places, columns * I * (rows.reach - rows.step) * sizeof(T),
                (columns * I * rows.step + row.places * O) * sizeof(T), size * sizeof(T), threads(pool));
  long parts = std::clamp(pieces.count, 1L, threads(pool));
  auto sums = std::make_unique<T[]>((parts - 1) * size);
  std::fill_n(out, size, T(0));
  parallel(pool, parts, [&](long part) {
    T* mine = part == 0 ? out : sums.get() + (part - 1) * size;
    Runs runs;
    for (long piece = pieces.count * part / parts; piece < pieces.count * (part + 1) / parts; ++piece) {
      long n = piece / pieces.cuts * pieces.together, images = std::min(pieces.together, N - n);
      long from = piece % pieces.cuts * pieces.rows, until = std::min(from + pieces.rows, rows.places);
      if (from >= until) continue;
      long seen = (until - from - 1) * rows.step + rows.reach, count = (until - from) * row.places;
      T* copied = scratch<T>(0, images * seen * columns * I + VECTORS * LANES<T>);
      for (long m = 0; m < images; ++m)
        copy_padded(x + (n + m) * rows.in * row.in * I, rows.in, row.in, I, from * rows.step - rows.before, seen,
                    row.before, columns, copied + m * seen * columns * I);
      const T* g = gradient + (n * rows.places + from) * row.places * O;
      if (partly) {
        T* whole = scratch<T>(1, images * count * O + VECTORS * LANES<T>);
        std::memcpy(whole, g, images * count * O * sizeof(T));
        g = whole;
      }
      runs.clear();
      for (long m = 0; m < images; ++m)
        for (long j = 0; j < until - from; ++j)
          runs.push_back({(m * seen + j * rows.step) * columns * I, (m * count + j * row.places) * O, row.places});
      for (long set = 0; set < sets; ++set)
        for (long block = 0; block < blocks.count; ++block) {
          long channel = set * blocks.width + blocks.first(block);
          const T* a = copied + (each ? channel : set * fan_in);
          in_tiles(begins.size(), [&](long at, int height) {
            auto sum = tile_of<T>(height, blocks.vectors_of(block), each);
            sum(a, &begins[at], g + channel, {row.step * I, O}, runs, mine + channel, &places[at],
                blocks.lanes_of(block), true);
          });
        }
    }
  });
  for (long part = 1; part < parts; ++part)
    for (long i = 0; i < size; ++i) out[i] += sums[(part - 1) * size + i];
}

enum Product { FORWARD, INPUT_GRADIENT, KERNEL_GRADIENT };

// An array whose first dimensions, all but four, are those of `vmap`: 1 where the array is the same for all.
struct Mapped {
  ffi::AnyBuffer array;

  long rank() const { return array.dimensions().size() - 4; }
  long size(long d) const { return array.dimensions()[rank() + d]; }
  long each() const { return size(0) * size(1) * size(2) * size(3); }
  // where the array of number i lies, counted over the mapped dimensions of `all`
  long of(long i, const Mapped& all) const {
    long at = 0, stride = each();
    for (long d = rank() - 1; d >= 0; --d) {
      at += array.dimensions()[d] == 1 ? 0 : i % all.array.dimensions()[d] * stride;
      i /= all.array.dimensions()[d];
      stride *= array.dimensions()[d];
    }
    return at;
  }
};

template <class T>
void compute(ffi::ThreadPool& pool, Product which, Mapped one, Mapped other, Mapped out, Ints stride, Ints before,
             Ints dilation, long groups) {
  const Mapped& images = which == INPUT_GRADIENT ? out : one;
  const Mapped& kernel = which == KERNEL_GRADIENT ? out : other;
  const Mapped& gradient = which == FORWARD ? out : which == INPUT_GRADIENT ? one : other;
  auto sizes = [&](long d) {
    return Sizes{images.size(d + 1), kernel.size(d), stride[d], before[d], dilation[d], gradient.size(d + 1)};
  };
  Sizes high = sizes(0), wide = sizes(1);
  Channels channels{kernel.size(2), kernel.size(3) / groups, groups};
  long maps = out.array.element_count() / std::max(out.each(), 1L), N = images.size(0);
  if (which != KERNEL_GRADIENT && static_cast<long>(other.array.element_count()) == other.each()) {
    N *= maps;  // one kernel for all: they are one batch, unless the images too are the same for all
    if (static_cast<long>(one.array.element_count()) == one.each() * maps) maps = 1;
    else N /= maps;
  }
  for (long i = 0; i < maps; ++i) {
    const T* a = static_cast<const T*>(one.array.untyped_data()) + one.of(i, out);
    const T* b = static_cast<const T*>(other.array.untyped_data()) + other.of(i, out);
    T* to = static_cast<T*>(out.array.untyped_data()) + i * out.each();
    bool narrow = channels.groups == 1 && channels.fan_in < LANES<T> / 2;
    if (which != KERNEL_GRADIENT && channels.depthwise()) {
      Sliding sliding{high.axis(), wide.axis()};
      sliding.walk<T>(pool, which == FORWARD ? WINDOWS : PLACES, N, groups, Weighted<T>{a, b, groups, to});
    } else if (which == INPUT_GRADIENT && narrow)
      send_back(pool, a, N, high, wide, channels.fan_in, channels.fan_out, b, to);
    else if (which == KERNEL_GRADIENT) kernel_gradient(pool, a, b, N, high, wide, channels, to);
    else slide(pool, which == FORWARD, a, N, high, wide, channels, b, to);
  }
}

template <Product which>
ffi::Error product(ffi::ThreadPool pool, ffi::AnyBuffer one, ffi::AnyBuffer other, ffi::Result<ffi::AnyBuffer> result,
                   Ints stride, Ints before, Ints dilation, int64_t groups) {
  if (result->element_count() == 0) return ffi::Error::Success();
  auto run = one.element_type() == ffi::F32 ? compute<float> : compute<double>;
  run(pool, which, {one}, {other}, {*result}, stride, before, dilation, groups);
  return ffi::Error::Success();
}

#define BINDING                                                                                                        \
  ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>()            \
      .Attr<Ints>("stride").Attr<Ints>("before").Attr<Ints>("dilation").Attr<int64_t>("groups")

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_forward, product<FORWARD>, BINDING);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_input_gradient, product<INPUT_GRADIENT>, BINDING);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxcnn_kernel_gradient, product<KERNEL_GRADIENT>, BINDING);
