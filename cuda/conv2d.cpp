// Convolutions through cuDNN's graphs (cuda/dnn_forms.h); bias, residual and activation are part of the graph
// where cuDNN has one, a pass of our own (cuda/conv2d.cu) elsewhere.

#include "tern/ops/conv2d.h"

#include <chrono>
#include <span>

#include "tern/core/autograd.h"
#include "tern/core/cuda_options.h"
#include "tern/core/derived.h"
#include "tern/core/error.h"
#include "tern/cuda/alignment.h"
#include "tern/cuda/conv2d_kernels.h"
#include "tern/cuda/dnn_cache.h"
#include "tern/cuda/runtime.h"
#include "tern/ops/cast.h"

namespace tern::cu {
namespace {

struct Argument {
  dnn::Uid uid;
  const Tensor& tensor;
};
using Arguments = std::initializer_list<Argument>;

void check_type(DType dtype) {
  check<DTypeError>(dtype == DType::F32 || dtype == DType::BF16, "conv2d: input is ", dtype,
                    "; supported on cuda are f32 and bf16; hint: compute f64 on the CPU");
}

bool is_empty(const Conv2dGeometry& g) { return g.n == 0 || g.h == 0 || g.w == 0; }

void zero(const Tensor& t) {
  TERN_CUDA_CALL(
      cudaMemsetAsync(t.raw_data(), 0, static_cast<size_t>(t.bytes()), runtime(t.device()).compute_stream()));
}

// One form on some tensors, on the compute stream.
class Execution {
 public:
  Execution(Device device, dnn::Form form, const Conv2dGeometry& g, DType dtype, Arguments arguments)
      : device_(device), problem_{form, dtype, g, kFullAlignment} {
    for (const Argument& a : arguments) {
      tensors_.add(a.uid, a.tensor.raw_data());
      problem_.alignment = std::min(problem_.alignment, common_alignment({a.tensor.raw_data()}));
    }
  }

  void run() const { execute(gpu().dnn_plans().get(problem_, policy(), measure())); }
  // False where cuDNN has no such form for these sizes; nothing has been done then.
  bool run_if_planned() const {
    const dnn::Plan* plan = gpu().dnn_plans().find(problem_, policy(), measure());
    if (plan) execute(*plan);
    return plan != nullptr;
  }

 private:
  Runtime& gpu() const { return runtime(device_); }
  static dnn::Policy policy() {
    const CudaOptions options = cuda_options();
    return {.tf32 = options.tf32, .deterministic = options.deterministic};
  }
  dnn::PlanCache::Measure measure() const {
    if (!cuda_options().autotune || cuda_options().deterministic) return {};
    return [this](const dnn::Plan& plan) { return seconds(plan); };
  }

  void execute(const dnn::Plan& plan) const {
    const auto workspace = Storage::allocate(plan.workspace(), device_);
    std::lock_guard lock(gpu().cudnn_mutex());
    plan.execute(gpu().cudnn(), tensors_, workspace->data());
  }

  // One run to load the kernels, then the mean of a few back to back.
  double seconds(const dnn::Plan& plan) const {
    constexpr int kRuns = 5;
    execute(plan);
    gpu().synchronize();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRuns; ++i) execute(plan);
    gpu().synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / kRuns;
  }

  Device device_;
  dnn::Problem problem_;
  dnn::Plan::Pointers tensors_;
};

// The filters in the activations' type. A trained model's bf16 copy is kept with the weight; while gradients
// are recorded weights change every step, and the copy is memory of one call.
Tensor filters(DType activations, const Tensor& w, bool keep) {
  if (activations != DType::BF16) return w;
  const auto make = [&] {
    const Tensor narrow = Tensor::empty(w.shape(), {DType::BF16, w.device()});
    cast(w, narrow);
    return narrow;
  };
  if (!keep) return make();
  struct Bf16Filters {
    Tensor values;
  };
  const auto kept =
      Derived<Bf16Filters>::of(w.storage(), w.element_offset(), [&] { return Bf16Filters{make()}; });
  // Another view of the same bytes was here first.
  return kept->values.shape() == w.shape() ? kept->values : make();
}

void add_epilogue(const Conv2dGeometry& g, const Tensor& bias, const Conv2dEpilogue& e, const Tensor& y) {
  const auto floats = [](const Tensor& t) {
    return t.defined() ? static_cast<const float*>(t.raw_data()) : nullptr;
  };
  const ChannelEpilogue epilogue{.bias = floats(bias),
                                 .residual = e.residual.defined() ? e.residual.raw_data() : nullptr,
                                 .slope = floats(e.slope),
                                 .activation = e.activation};
  if (!epilogue.empty()) channel_epilogue(y.device(), y.dtype(), g.pixels(), g.o, epilogue, y.raw_data());
}

// y = conv(x, w) + bias.
void forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& y) {
  if (bias.defined() && dnn::can_fuse_bias(x.dtype(), g)) {
    const Execution fused(x.device(), dnn::Form::ConvBias, g, x.dtype(),
                          {{dnn::kX, x}, {dnn::kW, w}, {dnn::kBias, bias}, {dnn::kY, y}});
    if (fused.run_if_planned()) return;
  }
  Execution(x.device(), dnn::Form::ConvForward, g, x.dtype(), {{dnn::kX, x}, {dnn::kW, w}, {dnn::kY, y}})
      .run();
  add_epilogue(g, bias, {}, y);
}

}  // namespace

void conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Tensor& y) {
  conv2d_forward_fused(g, x, w, bias, {}, y);
}

void conv2d_forward_fused(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
                          const Conv2dEpilogue& e, const Tensor& y) {
  check_type(x.dtype());
  if (y.numel() == 0) return;
  if (is_empty(g)) {  // only padding: every product is 0
    zero(y);
    return add_epilogue(g, bias, e, y);
  }
  const Tensor narrow = filters(x.dtype(), w, !grad_enabled());
  const bool relu_alone = e.activation == Activation::Relu && !e.residual.defined();
  if (relu_alone && bias.defined() && dnn::can_fuse_bias(x.dtype(), g)) {
    const Execution fused(x.device(), dnn::Form::ConvBiasRelu, g, x.dtype(),
                          {{dnn::kX, x}, {dnn::kW, narrow}, {dnn::kBias, bias}, {dnn::kY, y}});
    if (fused.run_if_planned()) return;
  }
  forward(g, x, narrow, bias, y);
  add_epilogue(g, {}, e, y);
}

void conv2d_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& w, const Tensor& dx) {
  check_type(dy.dtype());
  if (dx.numel() == 0) return;
  const Tensor narrow = filters(dy.dtype(), w, false);
  Execution(dy.device(), dnn::Form::ConvBackwardData, g, dy.dtype(),
            {{dnn::kDy, dy}, {dnn::kW, narrow}, {dnn::kDx, dx}})
      .run();
}

void conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, const Tensor& dw) {
  check_type(dy.dtype());
  if (is_empty(g)) return zero(dw);
  const DType sums = dnn::weight_gradient_type({dnn::Form::ConvBackwardWeight, dy.dtype(), g});
  const Tensor out = sums == dw.dtype() ? dw : Tensor::empty(dw.shape(), {sums, dw.device()});
  Execution(dy.device(), dnn::Form::ConvBackwardWeight, g, dy.dtype(),
            {{dnn::kDy, dy}, {dnn::kX, x}, {dnn::kDw, out}})
      .run();
  if (!out.same(dw)) cast(out, dw);
}

void conv2d_backward_bias(const Conv2dGeometry& g, const Tensor& dy, const Tensor& db) {
  check_type(dy.dtype());
  sum_rows(db.device(), dy.dtype(), g.pixels(), g.o, dy.raw_data(), static_cast<float*>(db.raw_data()));
}

}  // namespace tern::cu
