#include "tern/cuda/dnn_forms.h"

#include "tern/core/error.h"

namespace tern::cu::dnn {
namespace {

using Ref = Graph::Ref;

cudnnDataType_t type_of(DType dtype) { return dtype == DType::BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

struct Sizes {
  explicit Sizes(const Conv2dGeometry& g)
      : x{g.n, g.h, g.w, g.c}, w{g.o, g.kh, g.kw, g.group_in()}, y{g.n, g.out_h, g.out_w, g.o} {}
  Sizes4 x, w, y;
};

void conv_bias(Graph& graph, const Problem& p, bool relu) {
  const Sizes s(p.sizes);
  const cudnnDataType_t t = type_of(p.dtype);
  const Ref product = graph.intermediate(s.y, kF32), y = graph.tensor(kY, s.y, t);
  graph.conv_forward(graph.tensor(kX, s.x, t), graph.tensor(kW, s.w, t), product, graph.convolution(p.sizes));
  const Ref sum = relu ? graph.intermediate(s.y, kF32) : y;
  graph.pointwise(CUDNN_POINTWISE_ADD, product, graph.channels(kBias, p.sizes.o), sum);
  if (relu) graph.pointwise(CUDNN_POINTWISE_RELU_FWD, sum, y);
}

void conv_backward_weight(Graph& graph, const Problem& p) {
  const Sizes s(p.sizes);
  const cudnnDataType_t t = type_of(p.dtype), dw_type = type_of(weight_gradient_type(p));
  const Ref dw = graph.tensor(kDw, s.w, dw_type);
  const Ref sum = dw_type == t ? dw : graph.intermediate(s.w, kF32);
  graph.conv_backward_weight(graph.tensor(kDy, s.y, t), graph.tensor(kX, s.x, t), sum,
                             graph.convolution(p.sizes));
  if (sum != dw) graph.pointwise(CUDNN_POINTWISE_IDENTITY, sum, dw);
}

void batch_norm(Graph& graph, const Problem& p, bool add_relu_mask) {
  const Sizes s(p.sizes);
  const cudnnDataType_t t = type_of(p.dtype);
  const Ref x = graph.tensor(kX, s.y, t), y = graph.tensor(kY, s.y, t);
  if (!add_relu_mask) return graph.norm_forward(x, y, p.sizes.o);
  const Ref normalized = graph.intermediate(s.y, kF32), sum = graph.intermediate(s.y, kF32);
  graph.norm_forward(x, normalized, p.sizes.o);
  graph.pointwise(CUDNN_POINTWISE_ADD, normalized, graph.tensor(kResidual, s.y, t), sum);
  graph.pointwise(CUDNN_POINTWISE_RELU_FWD, sum, y);
  graph.pointwise(CUDNN_POINTWISE_CMP_GT, y, graph.number(kZero),
                  graph.tensor(kMask, s.y, CUDNN_DATA_BOOLEAN));
}

void batch_norm_backward(Graph& graph, const Problem& p, bool mask) {
  const Sizes s(p.sizes);
  const cudnnDataType_t t = type_of(p.dtype);
  const Ref x = graph.tensor(kX, s.y, t), dx = graph.tensor(kDx, s.y, t);
  Ref dy = graph.tensor(kDy, s.y, t);
  if (mask) {
    const Ref masked = graph.intermediate(s.y, t);
    graph.pointwise(CUDNN_POINTWISE_MUL, dy, graph.tensor(kMask, s.y, CUDNN_DATA_BOOLEAN), masked);
    dy = masked;
  }
  graph.norm_backward(x, dy, dx, p.sizes.o);
}

void pool(Graph& graph, const Problem& p, cudnnResampleMode_t mode, bool backward) {
  const Sizes s(p.sizes);
  const Conv2dGeometry& g = p.sizes;
  const cudnnDataType_t t = type_of(p.dtype);
  const PoolWindow window{mode, g.kh, g.kw, g.stride, g.padding};
  const Ref index = mode == CUDNN_RESAMPLE_MAXPOOL ? graph.tensor(kIndex, s.y, CUDNN_DATA_INT8) : nullptr;
  if (backward) graph.pool_backward(window, graph.tensor(kDy, s.y, t), graph.tensor(kDx, s.x, t), index);
  else graph.pool_forward(window, graph.tensor(kX, s.x, t), graph.tensor(kY, s.y, t), index);
}

void add_operations(Graph& graph, const Problem& p) {
  const Sizes s(p.sizes);
  const cudnnDataType_t t = type_of(p.dtype);
  const auto tensor = [&](Uid uid, const Sizes4& sizes) { return graph.tensor(uid, sizes, t); };
  switch (p.form) {
    case Form::ConvForward:
      return graph.conv_forward(tensor(kX, s.x), tensor(kW, s.w), tensor(kY, s.y),
                                graph.convolution(p.sizes));
    case Form::ConvBias: return conv_bias(graph, p, false);
    case Form::ConvBiasRelu: return conv_bias(graph, p, true);
    case Form::ConvBackwardData:
      return graph.conv_backward_data(tensor(kDy, s.y), tensor(kW, s.w), tensor(kDx, s.x),
                                      graph.convolution(p.sizes));
    case Form::ConvBackwardWeight: return conv_backward_weight(graph, p);
    case Form::BatchNorm: return batch_norm(graph, p, false);
    case Form::BatchNormAddReluMask: return batch_norm(graph, p, true);
    case Form::BatchNormBackward: return batch_norm_backward(graph, p, false);
    case Form::BatchNormMaskBackward: return batch_norm_backward(graph, p, true);
    case Form::MaxPool: return pool(graph, p, CUDNN_RESAMPLE_MAXPOOL, false);
    case Form::MaxPoolBackward: return pool(graph, p, CUDNN_RESAMPLE_MAXPOOL, true);
    case Form::AvgPool: return pool(graph, p, CUDNN_RESAMPLE_AVGPOOL_INCLUDE_PADDING, false);
    case Form::AvgPoolBackward: return pool(graph, p, CUDNN_RESAMPLE_AVGPOOL_INCLUDE_PADDING, true);
  }
}

}  // namespace

std::string_view to_string(Form form) {
  static constexpr std::array<std::string_view, kForms> kNames{"conv_forward",
                                                               "conv_bias",
                                                               "conv_bias_relu",
                                                               "conv_backward_data",
                                                               "conv_backward_weight",
                                                               "batch_norm",
                                                               "batch_norm_add_relu_mask",
                                                               "batch_norm_backward",
                                                               "batch_norm_mask_backward",
                                                               "max_pool",
                                                               "max_pool_backward",
                                                               "avg_pool",
                                                               "avg_pool_backward"};
  return kNames[static_cast<size_t>(form)];
}

std::string to_string(const Problem& p) {
  const Conv2dGeometry& g = p.sizes;
  const auto pair = [](Size2 v) { return v.h == v.w ? concat_text(v.h) : concat_text(v.h, ",", v.w); };
  return concat_text(to_string(p.form), " ", p.dtype, " ", g.n, "x", g.h, "x", g.w, "x", g.c, " w", g.o, "x",
                     g.kh, "x", g.kw, "x", g.group_in(), " s", pair(g.stride), " p", pair(g.padding), " d",
                     pair(g.dilation), " g", g.groups, " a", p.alignment);
}

ProblemKey key_of(const Problem& p) {
  const Conv2dGeometry& g = p.sizes;
  return {static_cast<int64_t>(p.form),
          static_cast<int64_t>(p.dtype),
          p.alignment,
          g.n,
          g.h,
          g.w,
          g.c,
          g.o,
          g.kh,
          g.kw,
          g.out_h,
          g.out_w,
          g.stride.h,
          g.stride.w,
          g.padding.h,
          g.padding.w,
          g.dilation.h,
          g.dilation.w,
          g.groups};
}

DType weight_gradient_type(const Problem& p) {
  const bool eights = p.sizes.c % 8 == 0 && p.sizes.o % 8 == 0;
  return p.dtype == DType::BF16 && !(p.sizes.groups == 1 && eights) ? DType::BF16 : DType::F32;
}

bool is_convolution(Form form) { return form <= Form::ConvBackwardWeight; }

bool wants_tensor_cores(const Problem& p) { return is_convolution(p.form) && p.sizes.groups == 1; }

bool can_fuse_bias(DType dtype, const Conv2dGeometry& sizes) {
  return dtype == DType::F32 || sizes.groups == 1;
}

std::unique_ptr<Graph> build(const Problem& problem) {
  auto graph = std::make_unique<Graph>(problem.alignment);
  add_operations(*graph, problem);
  return graph;
}

}  // namespace tern::cu::dnn
