#pragma once
// Builds one cuDNN operation graph: tensors, and operations that read and write them. Sizes are given as our
// tensors have them, [N,H,W,C] and [O,kH,kW,C]; cuDNN wants the order N,C,H,W with the strides of the memory,
// and gets it here and nowhere else. Sums and pointwise work are always f32.

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "tern/core/dtype.h"
#include "tern/cuda/dnn_descriptor.h"
#include "tern/ops/conv2d.h"

namespace tern::cu::dnn {

inline constexpr cudnnDataType_t kF32 = CUDNN_DATA_FLOAT;  // of what is computed, whatever is stored

// The tensors of a form, by which execution finds their pointers. Intermediate tensors live inside the
// kernels.
enum Uid : int64_t {
  kX = 1,
  kW,
  kY,
  kBias,
  kResidual,
  kMask,
  kIndex,
  kDy,
  kDx,
  kDw,
  kScale,
  kDscale,
  kDbias,
  kMean,
  kInverseStd,
  kRunningMean,
  kRunningVar,
  kNewRunningMean,
  kNewRunningVar,
  kEpsilon,
  kMomentum,
  kZero,
  kIntermediate = 100
};

using Sizes4 = std::array<int64_t, 4>;  // [N,H,W,C], dense

struct PoolWindow {
  cudnnResampleMode_t mode;
  int64_t kernel_h, kernel_w;
  Size2 stride, padding;
};

class Graph {
 public:
  // alignment: of every pointer, bytes.
  explicit Graph(int64_t alignment) : alignment_(alignment) {}

  using Ref = cudnnBackendDescriptor_t;  // a tensor of this graph
  Ref tensor(Uid uid, const Sizes4& sizes, cudnnDataType_t type);
  Ref channels(Uid uid, int64_t count);                         // f32, one number per channel
  Ref number(Uid uid);                                          // one f32 on the host
  Ref intermediate(const Sizes4& sizes, cudnnDataType_t type);  // never stored

  Ref convolution(const Conv2dGeometry& g);  // the descriptor that the three below share
  void conv_forward(Ref x, Ref w, Ref y, Ref conv);
  void conv_backward_data(Ref dy, Ref w, Ref dx, Ref conv);
  void conv_backward_weight(Ref dy, Ref x, Ref dw, Ref conv);
  void pointwise(cudnnPointwiseMode_t mode, Ref x, Ref y);         // y = f(x)
  void pointwise(cudnnPointwiseMode_t mode, Ref x, Ref b, Ref y);  // y = f(x, b)
  // Batch norm over N, H, W. The further tensors are made here, under their Uids.
  void norm_forward(Ref x, Ref y, int64_t channel_count);
  void norm_backward(Ref x, Ref dy, Ref dx, int64_t channel_count);
  void pool_forward(const PoolWindow& window, Ref x, Ref y, Ref index);  // index: null for none
  void pool_backward(const PoolWindow& window, Ref dy, Ref dx, Ref index);

  // The finalized graph. Throws DeviceError where cuDNN finds it wrong.
  const Descriptor& finish();

 private:
  using Named = std::pair<cudnnBackendAttributeName_t, Ref>;
  Descriptor& make(cudnnBackendDescriptorType_t type);
  Ref make_tensor(int64_t uid, const Sizes4& sizes, cudnnDataType_t type, bool is_virtual, bool by_value);
  Descriptor& operation(cudnnBackendDescriptorType_t type, std::initializer_list<Named> tensors);
  Ref pointwise_mode(cudnnPointwiseMode_t mode);
  Ref pool_window(const PoolWindow& window);

  int64_t alignment_;
  int64_t next_intermediate_ = kIntermediate;
  std::deque<Descriptor> descriptors_;  // everything the graph refers to; addresses stay
  std::vector<Ref> operations_;
};

}  // namespace tern::cu::dnn
