// The suites gemm, conv, norm and pool of tern bench: one operation at a time, at the sizes of the networks.

#include <fmt/format.h>

#include "tern/apps/bench.h"
#include "tern/core/autograd.h"
#include "tern/ops/batch_norm.h"
#include "tern/ops/conv2d.h"
#include "tern/ops/creation.h"
#include "tern/ops/linear.h"
#include "tern/ops/matmul.h"
#include "tern/ops/pool2d.h"
#include "tern/ops/prelu.h"

namespace tern::app {
namespace {

double element_bytes(const Bench& bench) { return static_cast<double>(size_of(bench.settings.precision)); }

// Forward and backward of one operation on an input that requires a gradient.
Bench::Call both_ways(Tensor x, const Tensor& dy, std::function<Tensor(const Tensor&)> op) {
  x.set_requires_grad();
  return [x, dy, op = std::move(op)]() mutable {
    x.clear_grad();
    op(x).backward(dy);
  };
}

}  // namespace

void bench_gemm(Bench& bench) {
  for (const int64_t n : {bench.sized(64), bench.sized(256), bench.sized(1024)})
    bench.row(fmt::format("gemm {} {}x{}x{}", bench.precision(), n, n, n),
              {.flops = 2.0 * static_cast<double>(n * n * n)}, [&bench, n]() -> Bench::Call {
                // bf16 comes with f32 weights, which are packed once while gradients are off.
                const Tensor a = bench.activations({n, n}), b = bench.here(randn({n, n}));
                const bool weights = bench.settings.precision == DType::BF16;
                return [a, b, weights] {
                  const NoGradGuard no_grad;
                  weights ? linear(a, b) : matmul(a, b);
                };
              });
}

namespace {

// The layers of the networks at the sizes they are trained at. Layers that differ from a listed one only in
// that they come again are left out.
struct Layer {
  const char* models;
  int64_t in, size, out, kernel, stride, padding, groups = 1;
};
constexpr Layer kLayers[] = {
    {"resnet18", 3, 112, 64, 7, 2, 3},
    {"resnet18", 64, 28, 64, 3, 1, 1},
    {"resnet18", 64, 28, 128, 3, 2, 1},
    {"resnet18", 64, 28, 128, 1, 2, 0},
    {"resnet18", 128, 14, 128, 3, 1, 1},
    {"resnet18", 128, 14, 256, 3, 2, 1},
    {"resnet18", 256, 7, 256, 3, 1, 1},
    {"resnet18", 256, 7, 512, 3, 2, 1},
    {"resnet18", 512, 4, 512, 3, 1, 1},
    {"iresnet18", 3, 112, 64, 3, 1, 1},
    {"iresnet18", 64, 112, 64, 3, 1, 1},
    {"iresnet18", 64, 112, 64, 3, 2, 1},
    {"iresnet18", 64, 56, 64, 3, 1, 1},
    {"iresnet18", 128, 28, 128, 3, 1, 1},
    {"iresnet18", 256, 14, 256, 3, 1, 1},
    {"iresnet18", 512, 7, 512, 3, 1, 1},
    {"mobilefacenet", 3, 112, 64, 3, 2, 1},
    {"mobilefacenet", 64, 56, 64, 3, 1, 1, 64},
    {"mobilefacenet", 64, 56, 128, 1, 1, 0},
    {"mobilefacenet", 128, 56, 128, 3, 2, 1, 128},
    {"mobilefacenet", 128, 28, 64, 1, 1, 0},
    {"mobilefacenet", 128, 28, 128, 3, 1, 1, 128},
    {"mobilefacenet", 128, 14, 256, 1, 1, 0},
    {"mobilefacenet", 256, 14, 256, 3, 1, 1, 256},
    {"mobilefacenet", 512, 14, 512, 3, 2, 1, 512},
    {"mobilefacenet", 128, 7, 512, 1, 1, 0},
    {"mobilefacenet", 512, 7, 512, 7, 1, 0, 512},
    {"tiny", 1, 64, 32, 3, 1, 1},
    {"tiny", 32, 32, 64, 3, 1, 1},
    {"tiny", 64, 16, 128, 3, 1, 1},
    {"tiny", 128, 8, 128, 3, 1, 1},
    {"face_net", 3, 64, 32, 3, 2, 1},
    {"face_net", 32, 32, 48, 3, 2, 1},
    {"face_net", 48, 16, 48, 3, 1, 1},
    {"face_net", 96, 8, 96, 3, 1, 1},
    {"face_net", 128, 4, 128, 3, 1, 1},
};

void bench_layer(Bench& bench, const Layer& layer) {
  const NoGradGuard no_grad;
  const Conv2dOptions options{.stride = layer.stride, .padding = layer.padding, .groups = layer.groups};
  const int64_t size = bench.sized(layer.size, layer.kernel);
  const Shape x_shape{bench.settings.batch, size, size, layer.in};
  const Shape w_shape{layer.out, layer.kernel, layer.kernel, layer.in / layer.groups};
  const Conv2dGeometry g = conv2d_geometry(x_shape, w_shape, options);
  const double flops = 2.0 * static_cast<double>(g.pixels() * g.o * g.patch());
  // A depthwise layer is a question of bytes: one tensor in, one out; the filters are small.
  const double elements = static_cast<double>(x_shape.numel() + g.y_shape().numel());
  const Work work = layer.groups == 1 ? Work{.flops = flops} : Work{.bytes = elements * element_bytes(bench)};
  const std::string name =
      fmt::format("{} {} {}->{} {}x{} {}x{}/{}", layer.groups == 1 ? "conv" : "depthwise", bench.precision(),
                  layer.in, layer.out, size, size, layer.kernel, layer.kernel, layer.stride);
  // The tensors are made with a row that needs them.
  Tensor x, w, dy;
  const auto inputs = [&] {
    if (x.defined()) return;
    x = bench.activations(x_shape), dy = bench.activations(g.y_shape());
    w = bench.here(randn(w_shape, {.step = 1}));
  };
  bench.row(name + " y", work, [&] {
    inputs();
    return [&] { conv2d(x, w, {}, options); };
  });
  if (layer.in > 3)  // a photo needs no gradient
    bench.row(name + " dx", work, [&] {
      inputs();
      return [&] { conv2d_backward_data(g, dy, w); };
    });
  bench.row(name + " dw", work, [&] {
    inputs();
    return [&] { conv2d_backward_weight(g, dy, x); };
  });
}

}  // namespace

void bench_conv(Bench& bench) {
  for (const Layer& layer : kLayers)
    if (bench.has_model(layer.models)) bench_layer(bench, layer);
}

void bench_norm(Bench& bench) {
  const int64_t size = bench.sized(56, 4);
  const Shape shape{bench.settings.batch, size, size, 64};
  const double tensor_bytes = static_cast<double>(shape.numel()) * element_bytes(bench);
  const std::string tail = fmt::format(" {} {}x{}x64", bench.precision(), size, size);
  const Tensor gamma = bench.here(ones({64})), beta = bench.here(zeros({64}));
  const Tensor slope = bench.here(full({64}, 0.25));
  const auto batch_norm_relu = [&](const Tensor& x, const Tensor& residual) {
    return batch_norm(x, gamma, beta, {}, {}, {.training = true, .relu = true}, residual);
  };
  // Forward: read for the statistics, read again and write; backward: dy and x twice, dx once.
  bench.row("bn+relu" + tail + " forward", {.bytes = 3 * tensor_bytes}, [&]() -> Bench::Call {
    const Tensor x = bench.activations(shape);
    return [&, x] {
      const NoGradGuard no_grad;
      batch_norm_relu(x, {});
    };
  });
  bench.row("bn+relu" + tail + " both ways", {.bytes = 8 * tensor_bytes}, [&] {
    return both_ways(bench.activations(shape), bench.activations(shape),
                     [&](const Tensor& x) { return batch_norm_relu(x, {}); });
  });
  bench.row("bn+add+relu" + tail + " both ways", {.bytes = 10 * tensor_bytes}, [&] {
    Tensor residual = bench.activations(shape);
    residual.set_requires_grad();
    return both_ways(bench.activations(shape), bench.activations(shape),
                     [&, residual](const Tensor& x) mutable {
                       residual.clear_grad();
                       return batch_norm_relu(x, residual);
                     });
  });
  // Forward: x, y; backward: dy, x, dx.
  bench.row("prelu" + tail + " both ways", {.bytes = 5 * tensor_bytes}, [&] {
    Tensor w = slope.clone();
    w.set_requires_grad();
    return both_ways(bench.activations(shape), bench.activations(shape), [w](const Tensor& x) mutable {
      w.clear_grad();
      return prelu(x, w);
    });
  });
}

void bench_pool(Bench& bench) {
  const int64_t size = bench.sized(56, 4);
  const Shape shape{bench.settings.batch, size, size, 64};
  const double in = static_cast<double>(shape.numel()), element = element_bytes(bench);
  for (const MaxPool2dOptions options :
       {MaxPool2dOptions{.kernel = 3, .stride = 2, .padding = 1}, MaxPool2dOptions{.kernel = 2}}) {
    const std::string name = fmt::format("max_pool {} {}x{}x64 {}x{}/2", bench.precision(), size, size,
                                         options.kernel, options.kernel);
    // A quarter of the pixels comes out, with a byte of index each.
    const double forward = in * element + in / 4 * (element + 1);
    bench.row(name + " forward", {.bytes = in * element * 1.25}, [&]() -> Bench::Call {
      const Tensor x = bench.activations(shape);
      return [x, options] {
        const NoGradGuard no_grad;
        max_pool2d(x, options);
      };
    });
    bench.row(name + " both ways", {.bytes = 2 * forward}, [&] {
      return both_ways(bench.activations(shape), bench.activations({shape[0], size / 2, size / 2, 64}),
                       [options](const Tensor& x) { return max_pool2d(x, options); });
    });
  }
  bench.row(fmt::format("global_pool {} {}x{}x64 both ways", bench.precision(), size, size),
            {.bytes = 2 * in * element}, [&] {
              return both_ways(bench.activations(shape), bench.activations({shape[0], 64}),
                               [](const Tensor& x) { return global_avg_pool2d(x); });
            });
}

}  // namespace tern::app
