// Convolution with what follows it: residual and activation for inference, inside of the loops for f32, as a
// pass of its own elsewhere; the statistics of a batch normalisation for training.

#include "tern/core/parallel.h"
#include "tern/cpu/conv2d_tile.h"
#include "tern/cpu/depthwise.h"
#include "tern/cpu/epilogue.h"
#include "tern/cpu/reference/batch_norm.h"

namespace tern::cpu {
namespace {

// The naive loops.
template <class T, class P>
void reference_epilogue(const Conv2dEpilogue& e, int64_t channels, const Tensor& y) {
  T* values = y.mutable_data<T>();
  const T* residual = e.residual.defined() ? e.residual.data<T>() : nullptr;
  for (int64_t i = 0; i < y.numel(); ++i) {
    double z = reference::number(values[i]);
    if (residual) z += reference::number(residual[i]);
    if (z <= 0 && e.activation == Activation::Relu) z = 0;
    if (z <= 0 && e.activation == Activation::Prelu) z *= e.slope.data<P>()[i % channels];
    reference::put(z, values[i]);
  }
}

template <class T>
void epilogue_pass(const Conv2dGeometry& g, const Epilogue<T>& epilogue, T* y) {
  constexpr int64_t kElements = 1 << 14;
  const int64_t grain = std::max<int64_t>(1, kElements / g.o);
  parallel_for(g.pixels(), grain, [&](int64_t begin, int64_t end) {
    epilogue.apply(y + begin * g.o, 0, 0, g.o, end - begin, g.o);
  });
}

}  // namespace

void conv2d_forward_fused(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
                          const Conv2dEpilogue& e, const Tensor& y) {
  if (x.dtype() == DType::F32 && !use_reference())
    return conv2d_forward_f32(g, x.data<float>(), w, bias_data(bias), y.mutable_data<float>(),
                              Epilogue<float>(e, y));
  conv2d_forward(g, x, w, bias, y);
  if (x.dtype() == DType::F64) return reference_epilogue<double, double>(e, g.o, y);
  if (use_reference())
    return x.dtype() == DType::BF16 ? reference_epilogue<bfloat16, float>(e, g.o, y)
                                    : reference_epilogue<float, float>(e, g.o, y);
  const Epilogue<bfloat16> epilogue(e, y);
  if (!epilogue.empty()) epilogue_pass(g, epilogue, y.mutable_data<bfloat16>());
}

bool conv2d_forward_statistics(const Conv2dGeometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
                               const Tensor& y, const Tensor& statistics) {
  if (x.dtype() == DType::F64 || use_reference()) return conv2d_forward(g, x, w, bias, y), false;
  ChannelMoments moments(g.pixels(), g.o);
  if (x.dtype() == DType::F32)
    conv2d_forward_f32(g, x.data<float>(), w, bias_data(bias), Tensor(y).mutable_data<float>(),
                       Epilogue<float>(moments));
  else conv2d_forward_bf16(g, x, w, bias, y, Epilogue<bfloat16>(moments));
  if (!moments.is_cut()) return false;
  double* const mean = Tensor(statistics).mutable_data<double>();
  moments.finish(mean, mean + g.o);
  return true;
}

}  // namespace tern::cpu
