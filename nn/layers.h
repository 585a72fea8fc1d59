#pragma once
// The layers. Each is an op of ops/ with its parameters; names, initial values and defaults are PyTorch's.
// Options come first, by name: nn::Conv2d conv{{.in = 3, .out = 16, .kernel = 3, .padding = 1}};

#include <memory>
#include <vector>

#include "tern/nn/module.h"
#include "tern/ops/conv2d.h"
#include "tern/ops/pool2d.h"

namespace tern::nn {

struct LinearOptions {
  int64_t in = 0;
  int64_t out = 0;
  bool bias = true;
};
// y = x w^T + b: x[N,in] w[out,in] b[out] -> y[N,out].
class Linear final : public Module {
 public:
  explicit Linear(LinearOptions options);
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;
  std::string describe() const override;
  Parameter weight, bias;
};

struct Conv2dOptions {
  int64_t in = 0;
  int64_t out = 0;
  Size2 kernel = 3;
  Size2 stride = 1;
  Size2 padding = 0;
  Size2 dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};
// x[N,H,W,in] w[out,kH,kW,in/groups] b[out] -> y[N,Ho,Wo,out]; see ops/conv2d.h.
class Conv2d final : public Module {
 public:
  explicit Conv2d(Conv2dOptions options);
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;
  std::string describe() const override;
  // With the statistics of its output, for a batch normalisation in training (nn/conv_bn.h).
  Conv2dWithStatistics run_with_statistics(const Tensor& x);
  // This convolution with other weights of the same shape and what follows it, for inference (nn/conv_bn.h).
  Tensor run_fused(const Tensor& x, const Tensor& w, const Tensor& b, const Conv2dEpilogue& epilogue);
  // The same as a step of a chain. shape: of its input, becomes that of its output.
  Conv2dStep fused_step(Shape& shape, const Tensor& w, const Tensor& b, const Conv2dEpilogue& epilogue);
  Parameter weight, bias;

 private:
  tern::Conv2dOptions op_options() const;
  Conv2dOptions options_;
};

struct BatchNorm2dOptions {
  int64_t channels = 0;
  double eps = 1e-5;
  double momentum = 0.1;
  bool relu = false;  // y = max(normalised + residual, 0) in one pass
};
// Over the last axis of [N,H,W,C] or [N,C]. In training the batch's statistics, kept as running statistics;
// in evaluation the running ones. bn(x, {.residual, .prelu}) adds the residual and applies the PReLU in the
// same pass; statistics: of x, where somebody has them. See ops/batch_norm.h.
struct BatchNormFollowers;
class BatchNorm2d final : public Module {
 public:
  explicit BatchNorm2d(BatchNorm2dOptions options);
  using Module::operator();
  Tensor operator()(const Tensor& x, const BatchNormFollowers& then, const Tensor& statistics = {});
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;
  std::string describe() const override;
  Parameter weight, bias, running_mean, running_var;
  Parameter num_batches_tracked;  // i64 scalar
  bool has_relu() const { return options_.relu; }
  double eps() const { return options_.eps; }

 private:
  Tensor run(const Tensor& x, const BatchNormFollowers& then, const Tensor& statistics);
  BatchNorm2dOptions options_;
};

struct InstanceNorm2dOptions {
  int64_t channels = 0;
  double eps = 1e-5;
  bool affine = false;  // with a learned weight and bias
};
// Each channel of each image of [N,H,W,C] by its own statistics, in training and in evaluation; see
// ops/instance_norm.h.
class InstanceNorm2d final : public Module {
 public:
  explicit InstanceNorm2d(InstanceNorm2dOptions options);
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;
  std::string describe() const override;
  Parameter weight, bias;

 private:
  InstanceNorm2dOptions options_;
};

class MaxPool2d final : public Module {
 public:
  explicit MaxPool2d(MaxPool2dOptions options = {}) : options_(options) {}
  Tensor forward(const Tensor& x) override { return max_pool2d(x, options_); }
  std::string describe() const override;

 private:
  MaxPool2dOptions options_;
};

class AvgPool2d final : public Module {
 public:
  explicit AvgPool2d(AvgPool2dOptions options = {}) : options_(options) {}
  Tensor forward(const Tensor& x) override { return avg_pool2d(x, options_); }
  std::string describe() const override;

 private:
  AvgPool2dOptions options_;
};

// [N,H,W,C] -> [N,C].
class GlobalAvgPool2d final : public Module {
 public:
  Tensor forward(const Tensor& x) override { return global_avg_pool2d(x); }
  std::string describe() const override { return "GlobalAvgPool2d"; }
};

struct AdaptiveAvgPool2dOptions {
  int64_t out = 1;
};
// [N,H,W,C] -> [N,out,out,C] for any H and W: output i averages the rows floor(i H/out) up to ceil((i+1)
// H/out), as PyTorch's AdaptiveAvgPool2d. Makes a network indifferent to the size of its input while keeping
// a coarse layout.
class AdaptiveAvgPool2d final : public Module {
 public:
  explicit AdaptiveAvgPool2d(AdaptiveAvgPool2dOptions options);
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;

 private:
  int64_t out_;
};

struct DropoutOptions {
  double p = 0.5;  // the fraction of elements set to 0
};
// In training each element is 0 with probability p, else x / (1 - p); in evaluation x itself. Which elements
// is a function of (the layer's key, drawn like an initial value; training step; call within the step).
class Dropout final : public Module {
 public:
  explicit Dropout(DropoutOptions options = {});
  Tensor forward(const Tensor& x) override;
  std::string describe() const override;
  void set_step(uint64_t step) { step_ = step, calls_ = 0; }

 private:
  double p_;
  uint64_t key_;
  uint64_t step_ = 0, calls_ = 0;
};
// Tells every Dropout of a network which training step comes next: a step that is run again, or after a
// resume, draws the same masks.
void set_dropout_step(Module& root, uint64_t step);

struct PReLUOptions {
  int64_t channels = 1;
  double init = 0.25;
};
class PReLU final : public Module {
 public:
  explicit PReLU(PReLUOptions options = {});
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;
  std::string describe() const override;
  Parameter weight;
};

// What follows a normalisation: y = act(bn(x) + residual).
struct BatchNormFollowers {
  Tensor residual = {};
  PReLU* prelu = nullptr;  // not with a ReLU
  bool relu = false;       // also on where the batch norm was made with .relu
};

class ReLU final : public Module {
 public:
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "ReLU"; }
};

// [N,H,W,C] -> [N, C H W] in PyTorch's order, so that imported linear weights fit.
class Flatten final : public Module {
 public:
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "Flatten"; }
};

// Rows of length 1.
class L2Normalize final : public Module {
 public:
  Tensor forward(const Tensor& x) override;
  std::string describe() const override { return "L2Normalize"; }
};

}  // namespace tern::nn
