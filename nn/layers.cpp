#include "tern/nn/layers.h"

#include "tern/nn/init.h"
#include "tern/ops/batch_norm.h"
#include "tern/ops/dropout.h"
#include "tern/ops/instance_norm.h"
#include "tern/ops/l2_normalize.h"
#include "tern/ops/linear.h"
#include "tern/ops/pointwise.h"
#include "tern/ops/prelu.h"
#include "tern/ops/shape_ops.h"

namespace tern::nn {
namespace {

std::string pair_text(const Size2& size, const char* between) {
  return size.h == size.w && *between == ' ' ? concat_text(size.h) : concat_text(size.h, between, size.w);
}

// A buffer: saved, but without a gradient.
Tensor buffer_of(const Shape& shape, double value, DType dtype = DType::F32) {
  Tensor tensor = Tensor::empty(shape, {.dtype = dtype});
  tensor.fill(value);
  return tensor;
}

}  // namespace

Linear::Linear(LinearOptions options) {
  check(options.in >= 1 && options.out >= 1, "Linear: in and out must be at least 1 (", options.in, ", ",
        options.out, ")");
  weight = init_kaiming({options.out, options.in}, options.in);
  if (options.bias) bias = init_uniform({options.out}, init_bound(options.in));
}
Tensor Linear::forward(const Tensor& x) { return linear(x, weight, bias); }
void Linear::visit(Visitor& visitor) {
  visitor.parameter("weight", weight);
  visitor.parameter("bias", bias);
}
std::string Linear::describe() const {
  return concat_text("Linear(", weight.size(1), " -> ", weight.size(0), bias.defined() ? ")" : ", no bias)");
}

Conv2d::Conv2d(Conv2dOptions options) : options_(options) {
  check(options.groups >= 1 && options.in >= 1 && options.out >= 1 && options.kernel.h >= 1 &&
            options.kernel.w >= 1,
        "Conv2d: in, out, kernel and groups must be at least 1 (", options.in, ", ", options.out, ", ",
        options.kernel.h, " x ", options.kernel.w, ", ", options.groups, ")");
  check(options.in % options.groups == 0 && options.out % options.groups == 0, "Conv2d: groups (",
        options.groups, ") must divide in (", options.in, ") and out (", options.out, ")");
  const int64_t group_in = options.in / options.groups;
  const int64_t fan_in = group_in * options.kernel.h * options.kernel.w;
  weight = init_kaiming({options.out, options.kernel.h, options.kernel.w, group_in}, fan_in);
  if (options.bias) bias = init_uniform({options.out}, init_bound(fan_in));
}
tern::Conv2dOptions Conv2d::op_options() const {
  return {.stride = options_.stride,
          .padding = options_.padding,
          .dilation = options_.dilation,
          .groups = options_.groups};
}
Tensor Conv2d::forward(const Tensor& x) { return conv2d(x, weight, bias, op_options()); }
Conv2dWithStatistics Conv2d::run_with_statistics(const Tensor& x) {
  const Call call(*this);
  return conv2d_with_statistics(x, weight, bias, op_options());
}
Tensor Conv2d::run_fused(const Tensor& x, const Tensor& w, const Tensor& b, const Conv2dEpilogue& epilogue) {
  const Call call(*this);
  return conv2d_fused(x, w, b, op_options(), epilogue);
}
Conv2dStep Conv2d::fused_step(Shape& shape, const Tensor& w, const Tensor& b,
                              const Conv2dEpilogue& epilogue) {
  const Call call(*this);
  shape = conv2d_geometry(shape, w.shape(), op_options()).y_shape();
  return {w, b, op_options(), epilogue};
}
void Conv2d::visit(Visitor& visitor) {
  visitor.parameter("weight", weight, Layout::Convolution);
  visitor.parameter("bias", bias);
}
std::string Conv2d::describe() const {
  std::string text =
      concat_text("Conv2d(", options_.in, " -> ", options_.out, ", ", pair_text(options_.kernel, "x"));
  if (options_.stride != Size2(1)) text += concat_text(", stride ", pair_text(options_.stride, " x "));
  if (options_.padding != Size2(0)) text += concat_text(", padding ", pair_text(options_.padding, " x "));
  if (options_.dilation != Size2(1)) text += concat_text(", dilation ", pair_text(options_.dilation, " x "));
  if (options_.groups != 1) text += concat_text(", groups ", options_.groups);
  return text + ")";
}

BatchNorm2d::BatchNorm2d(BatchNorm2dOptions options) : options_(options) {
  check(options.channels >= 1, "BatchNorm2d: channels must be at least 1 (", options.channels, ")");
  const Shape shape{options.channels};
  weight = init_constant(shape, 1);
  bias = init_constant(shape, 0);
  running_mean = buffer_of(shape, 0);
  running_var = buffer_of(shape, 1);
  num_batches_tracked = buffer_of(Shape{}, 0, DType::I64);
}
Tensor BatchNorm2d::run(const Tensor& x, const BatchNormFollowers& then, const Tensor& statistics) {
  const bool fused = then.prelu && then.prelu->weight.numel() == weight.numel();
  const Tensor y = batch_norm({.x = x,
                               .gamma = weight,
                               .beta = bias,
                               .running_mean = running_mean,
                               .running_var = running_var,
                               .residual = then.residual,
                               .slope = fused ? then.prelu->weight.share() : Tensor(),
                               .statistics = statistics},
                              {.eps = options_.eps,
                               .momentum = options_.momentum,
                               .training = training(),
                               .relu = options_.relu || then.relu});
  if (training()) ++*num_batches_tracked.mutable_data<int64_t>();
  return then.prelu && !fused ? (*then.prelu)(y) : y;
}
Tensor BatchNorm2d::operator()(const Tensor& x, const BatchNormFollowers& then, const Tensor& statistics) {
  const Call call(*this);
  return run(x, then, statistics);
}
Tensor BatchNorm2d::forward(const Tensor& x) { return run(x, {}, {}); }
void BatchNorm2d::visit(Visitor& visitor) {
  visitor.parameter("weight", weight);
  visitor.parameter("bias", bias);
  visitor.buffer("running_mean", running_mean);
  visitor.buffer("running_var", running_var);
  visitor.buffer("num_batches_tracked", num_batches_tracked);
}
std::string BatchNorm2d::describe() const {
  return concat_text("BatchNorm2d(", options_.channels, options_.relu ? ", relu)" : ")");
}

InstanceNorm2d::InstanceNorm2d(InstanceNorm2dOptions options) : options_(options) {
  check(options.channels >= 1, "InstanceNorm2d: channels must be at least 1 (", options.channels, ")");
  if (!options.affine) return;
  weight = init_constant({options.channels}, 1);
  bias = init_constant({options.channels}, 0);
}
Tensor InstanceNorm2d::forward(const Tensor& x) {
  check<ShapeError>(x.rank() == 4 && x.size(3) == options_.channels, "InstanceNorm2d: input must be [N,H,W,",
                    options_.channels, "], got ", x.shape());
  return instance_norm(x, weight, bias, {.eps = options_.eps});
}
void InstanceNorm2d::visit(Visitor& visitor) {
  visitor.parameter("weight", weight);
  visitor.parameter("bias", bias);
}
std::string InstanceNorm2d::describe() const {
  return concat_text("InstanceNorm2d(", options_.channels, options_.affine ? ", affine)" : ")");
}

std::string MaxPool2d::describe() const {
  return concat_text("MaxPool2d(", options_.kernel, ", stride ",
                     options_.stride ? options_.stride : options_.kernel, ")");
}
std::string AvgPool2d::describe() const {
  return concat_text("AvgPool2d(", options_.kernel, ", stride ",
                     options_.stride ? options_.stride : options_.kernel, ")");
}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(AdaptiveAvgPool2dOptions options) : out_(options.out) {
  check(out_ >= 1, "AdaptiveAvgPool2d: out must be at least 1 (", out_, ")");
}
Tensor AdaptiveAvgPool2d::forward(const Tensor& x) {
  check<ShapeError>(x.rank() == 4 && x.size(1) >= 1 && x.size(2) >= 1,
                    "AdaptiveAvgPool2d: input must be [N,H,W,C] with pixels, got ", x.shape());
  const int64_t h = x.size(1), w = x.size(2);
  if (h == out_ && w == out_) return x;
  if (h == w && h % out_ == 0) return avg_pool2d(x, {.kernel = h / out_});
  // Windows of unequal sizes: cut out one after the other. The maps this is for have a handful of pixels.
  const auto begin = [this](int64_t i, int64_t size) { return i * size / out_; };
  const auto end = [this](int64_t i, int64_t size) { return ((i + 1) * size + out_ - 1) / out_; };
  std::vector<Tensor> cells;
  for (int64_t i = 0; i < out_; ++i) {
    const Tensor rows = narrow(x, 1, begin(i, h), end(i, h) - begin(i, h));
    for (int64_t j = 0; j < out_; ++j) {
      cells.push_back(global_avg_pool2d(narrow(rows, 2, begin(j, w), end(j, w) - begin(j, w))));
    }
  }
  return reshape(concat(cells, 1), {x.size(0), out_, out_, x.size(3)});
}
std::string AdaptiveAvgPool2d::describe() const { return concat_text("AdaptiveAvgPool2d(", out_, ")"); }

Dropout::Dropout(DropoutOptions options) : p_(options.p), key_(init_key()) {
  check(p_ >= 0 && p_ < 1, "Dropout: p must be in [0, 1), got ", p_);
}
Tensor Dropout::forward(const Tensor& x) {
  if (!training() || p_ == 0) return x;
  constexpr uint64_t kCallsPerStep = 1 << 12;
  return dropout(x, {.p = p_,
                     .training = true,
                     .seed = key_,
                     .step = step_ * kCallsPerStep + calls_++,
                     .per_step = kCallsPerStep});
}
std::string Dropout::describe() const { return concat_text("Dropout(", p_, ")"); }

void set_dropout_step(Module& root, uint64_t step) {
  for_each_module(root, [step](const std::string&, Module& module) {
    if (auto* layer = dynamic_cast<Dropout*>(&module)) layer->set_step(step);
  });
}

PReLU::PReLU(PReLUOptions options) {
  check(options.channels >= 1, "PReLU: channels must be at least 1 (", options.channels, ")");
  weight = init_constant({options.channels}, options.init);
}
Tensor PReLU::forward(const Tensor& x) { return prelu(x, weight); }
void PReLU::visit(Visitor& visitor) { visitor.parameter("weight", weight); }
std::string PReLU::describe() const { return concat_text("PReLU(", weight.size(0), ")"); }

Tensor ReLU::forward(const Tensor& x) { return relu(x); }
Tensor Flatten::forward(const Tensor& x) { return flatten(x); }
Tensor L2Normalize::forward(const Tensor& x) { return l2_normalize(x); }

}  // namespace tern::nn
