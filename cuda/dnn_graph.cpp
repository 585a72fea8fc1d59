#include "tern/cuda/dnn_graph.h"

namespace tern::cu::dnn {
int64_t Descriptor::descriptors(cudnnBackendAttributeName_t name, std::span<Descriptor> targets) const {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& target : targets) raw.push_back(target.get());
  int64_t count = 0;
  TERN_CUDNN_CALL(vendor::cudnn().GetAttribute(descriptor_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                               static_cast<int64_t>(raw.size()), &count,
                                               raw.empty() ? nullptr : raw.data()));
  return count;
}

Descriptor& Graph::make(cudnnBackendDescriptorType_t type) { return descriptors_.emplace_back(type); }

Graph::Ref Graph::make_tensor(int64_t uid, const Sizes4& sizes, cudnnDataType_t type, bool is_virtual,
                              bool by_value) {
  const auto [n, h, w, c] = sizes;
  const std::array<int64_t, 4> dims{n, c, h, w}, strides{h * w * c, 1, w * c, c};
  Descriptor& d = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const int64_t>(dims))
      .set(CUDNN_ATTR_TENSOR_STRIDES, std::span<const int64_t>(strides))
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment_);
  if (is_virtual) d.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
  if (by_value) d.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true);
  d.finalize();
  return d.get();
}

Graph::Ref Graph::tensor(Uid uid, const Sizes4& sizes, cudnnDataType_t type) {
  return make_tensor(uid, sizes, type, false, false);
}
Graph::Ref Graph::channels(Uid uid, int64_t count) {
  return make_tensor(uid, {1, 1, 1, count}, kF32, false, false);
}
Graph::Ref Graph::number(Uid uid) { return make_tensor(uid, {1, 1, 1, 1}, kF32, false, true); }
Graph::Ref Graph::intermediate(const Sizes4& sizes, cudnnDataType_t type) {
  return make_tensor(next_intermediate_++, sizes, type, true, false);
}

Descriptor& Graph::operation(cudnnBackendDescriptorType_t type, std::initializer_list<Named> tensors) {
  Descriptor& d = make(type);
  for (const auto& [name, tensor] : tensors)
    if (tensor) d.set(name, tensor);
  operations_.push_back(d.get());
  return d;
}

Graph::Ref Graph::convolution(const Conv2dGeometry& g) {
  const std::array<int64_t, 2> stride{g.stride.h, g.stride.w}, padding{g.padding.h, g.padding.w},
      dilation{g.dilation.h, g.dilation.w};
  Descriptor& d = make(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  d.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, kF32)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, std::span<const int64_t>(stride))
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, std::span<const int64_t>(padding))
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, std::span<const int64_t>(padding))
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, std::span<const int64_t>(dilation))
      .finalize();
  return d.get();
}

// The results are written, not added to: alpha 1, beta 0.
void Graph::conv_forward(Ref x, Ref w, Ref y, Ref conv) {
  operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
            {{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, conv}})
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0)
      .finalize();
}
void Graph::conv_backward_data(Ref dy, Ref w, Ref dx, Ref conv) {
  operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
            {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, conv}})
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1.0)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0.0)
      .finalize();
}
void Graph::conv_backward_weight(Ref dy, Ref x, Ref dw, Ref conv) {
  operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
            {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, dw},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, conv}})
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, 1.0)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, 0.0)
      .finalize();
}

Graph::Ref Graph::pointwise_mode(cudnnPointwiseMode_t mode) {
  Descriptor& d = make(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  d.set(CUDNN_ATTR_POINTWISE_MODE, mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, kF32);
  // NaN stays NaN, as everywhere in tern; cuDNN's own ReLU would make it 0.
  if (mode == CUDNN_POINTWISE_RELU_FWD) d.set(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_PROPAGATE_NAN);
  d.finalize();
  return d.get();
}
void Graph::pointwise(cudnnPointwiseMode_t mode, Ref x, Ref y) { pointwise(mode, x, nullptr, y); }
void Graph::pointwise(cudnnPointwiseMode_t mode, Ref x, Ref b, Ref y) {
  operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
            {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise_mode(mode)},
             {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x},
             {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b},
             {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y}})
      .finalize();
}

void Graph::norm_forward(Ref x, Ref y, int64_t c) {
  operation(CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR,
            {{CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, x},
             {CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, channels(kScale, c)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, channels(kBias, c)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, number(kEpsilon)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_EXP_AVG_FACTOR_DESC, number(kMomentum)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_MEAN_DESC, channels(kRunningMean, c)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_VAR_DESC, channels(kRunningVar, c)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_MEAN_DESC, channels(kNewRunningMean, c)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_VAR_DESC, channels(kNewRunningVar, c)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, channels(kMean, c)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, channels(kInverseStd, c)},
             {CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, y}})
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_BATCH_NORM)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_NORM_FWD_TRAINING)
      .finalize();
}
void Graph::norm_backward(Ref x, Ref dy, Ref dx, int64_t c) {
  operation(CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR,
            {{CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, x},
             {CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, dy},
             {CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, channels(kScale, c)},
             {CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC, channels(kMean, c)},
             {CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, channels(kInverseStd, c)},
             {CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, channels(kDscale, c)},
             {CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC, channels(kDbias, c)},
             {CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, dx}})
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_MODE, CUDNN_BATCH_NORM)
      .finalize();
}

Graph::Ref Graph::pool_window(const PoolWindow& p) {
  const auto pair = [](int64_t h, int64_t w) { return std::array<cudnnFraction_t, 2>{{{h, 1}, {w, 1}}}; };
  const auto window = pair(p.kernel_h, p.kernel_w), stride = pair(p.stride.h, p.stride.w),
             padding = pair(p.padding.h, p.padding.w);
  const bool is_max = p.mode == CUDNN_RESAMPLE_MAXPOOL;
  Descriptor& d = make(CUDNN_BACKEND_RESAMPLE_DESCRIPTOR);
  d.set(CUDNN_ATTR_RESAMPLE_MODE, p.mode)
      .set(CUDNN_ATTR_RESAMPLE_COMP_TYPE, kF32)
      .set(CUDNN_ATTR_RESAMPLE_SPATIAL_DIMS, int64_t{2})
      .set(CUDNN_ATTR_RESAMPLE_PADDING_MODE, is_max ? CUDNN_NEG_INF_PAD : CUDNN_ZERO_PAD)
      .set(CUDNN_ATTR_RESAMPLE_WINDOW_DIMS, std::span<const cudnnFraction_t>(window))
      .set(CUDNN_ATTR_RESAMPLE_STRIDES, std::span<const cudnnFraction_t>(stride))
      .set(CUDNN_ATTR_RESAMPLE_PRE_PADDINGS, std::span<const cudnnFraction_t>(padding))
      .set(CUDNN_ATTR_RESAMPLE_POST_PADDINGS, std::span<const cudnnFraction_t>(padding))
      .finalize();
  return d.get();
}
void Graph::pool_forward(const PoolWindow& window, Ref x, Ref y, Ref index) {
  operation(CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR,
            {{CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC, pool_window(window)},
             {CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC, x},
             {CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC, y},
             {CUDNN_ATTR_OPERATION_RESAMPLE_FWD_IDXDESC, index}})
      .finalize();
}
void Graph::pool_backward(const PoolWindow& window, Ref dy, Ref dx, Ref index) {
  operation(CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR,
            {{CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DESC, pool_window(window)},
             {CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DYDESC, dy},
             {CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DXDESC, dx},
             {CUDNN_ATTR_OPERATION_RESAMPLE_BWD_IDXDESC, index}})
      .finalize();
}

const Descriptor& Graph::finish() {
  Descriptor& d = make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, std::span<const Ref>(operations_)).finalize();
  return d;
}

}  // namespace tern::cu::dnn
