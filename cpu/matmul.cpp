#include "tern/ops/matmul.h"

#include "tern/cpu/filter_cache.h"
#include "tern/cpu/gemm.h"
#include "tern/cpu/reference/matmul.h"

namespace tern::cpu {

void matmul(const MatmulGeometry& g, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  Tensor out = y;
  if (a.dtype() == DType::F64) {
    reference::matmul<double>({.m = g.m,
                               .n = g.n,
                               .k = g.k,
                               .a = a.data<double>(),
                               .a_row = g.transpose_a ? 1 : g.k,
                               .a_column = g.transpose_a ? g.m : 1,
                               .b = b.data<double>(),
                               .b_row = g.transpose_b ? 1 : g.n,
                               .b_column = g.transpose_b ? g.k : 1,
                               .c = out.mutable_data<double>(),
                               .ldc = g.n,
                               .bias = bias.defined() ? bias.data<double>() : nullptr});
    return;
  }
  const GemmProblem problem{.m = g.m,
                            .n = g.n,
                            .k = g.k,
                            .a = a.data<float>(),
                            .transpose_a = g.transpose_a,
                            .b = b.data<float>(),
                            .transpose_b = g.transpose_b,
                            .c = out.mutable_data<float>(),
                            .bias = bias.defined() ? bias.data<float>() : nullptr};
  if (!g.b_is_weight || grad_enabled() || use_reference()) return gemm(problem);
  const auto packed = cached_filters<PackedB>(b, FilterForm::Matrix, 0, [&] {
    auto panels = std::make_unique<PackedB>(g.k, g.n);
    panels->pack(problem.b, g.transpose_b ? g.k : g.n, g.transpose_b);
    return panels;
  });
  gemm(problem, *packed);
}

}  // namespace tern::cpu
