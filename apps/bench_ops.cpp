// The gemm and conv suites of tern bench.

#include <fmt/format.h>

#include "tern/apps/bench.h"
#include "tern/core/autograd.h"
#include "tern/cpu/gemm.h"
#include "tern/ops/conv2d.h"
#include "tern/ops/creation.h"

namespace tern::app {

void bench_gemm(const BenchSettings& settings, std::vector<BenchResult>& results) {
  for (const int64_t n : {64, 256, 1024}) {
    const Tensor a = randn({n, n}), b = randn({n, n}, {.step = 1});
    Tensor c = Tensor::empty({n, n});
    cpu::GemmProblem problem{
        .m = n, .n = n, .k = n, .a = a.data<float>(), .b = b.data<float>(), .c = c.mutable_data<float>()};
    const double flops = 2.0 * static_cast<double>(n * n * n);
    results.push_back(
        measure(fmt::format("gemm {0}x{0}x{0}", n), settings, {.flops = flops}, [&] { cpu::gemm(problem); }));
  }
}

namespace {

// The layers of ResNet-18 at 112x112 input.
struct Layer {
  int64_t in, size, out, kernel, stride, padding;
};
constexpr Layer kLayers[] = {
    {3, 112, 64, 7, 2, 3},   {64, 28, 64, 3, 1, 1},   {64, 28, 128, 3, 2, 1},
    {128, 14, 128, 3, 1, 1}, {128, 14, 256, 3, 2, 1}, {256, 7, 256, 3, 1, 1},
    {256, 7, 512, 3, 2, 1},  {512, 4, 512, 3, 1, 1},  {64, 28, 128, 1, 2, 0},
};

}  // namespace

void bench_conv(const BenchSettings& settings, std::vector<BenchResult>& results) {
  NoGradGuard no_grad;
  for (const Layer& layer : kLayers) {
    const Tensor x = randn({settings.batch, layer.size, layer.size, layer.in});
    const Tensor w = randn({layer.out, layer.kernel, layer.kernel, layer.in}, {.step = 1});
    const Conv2dOptions options{.stride = layer.stride, .padding = layer.padding};
    const Conv2dGeometry g = conv2d_geometry(x.shape(), w.shape(), options);
    const Tensor dy = conv2d(x, w, {}, options);
    const double flops = 2.0 * static_cast<double>(dy.numel() * w.numel() / layer.out);
    const std::string name = fmt::format("conv {}->{} {}x{} k{} s{}", layer.in, layer.out, layer.size,
                                         layer.size, layer.kernel, layer.stride);
    results.push_back(
        measure(name + " forward", settings, {.flops = flops}, [&] { conv2d(x, w, {}, options); }));
    if (layer.in > 3)
      results.push_back(
          measure(name + " data", settings, {.flops = flops}, [&] { conv2d_backward_data(g, dy, w); }));
    results.push_back(
        measure(name + " weight", settings, {.flops = flops}, [&] { conv2d_backward_weight(g, dy, x); }));
  }
}

}  // namespace tern::app
