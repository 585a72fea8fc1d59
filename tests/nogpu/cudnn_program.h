#pragma once
// A cuDNN plan as the stand-in executes it: the operations of its graph, copied out of the descriptors when
// the plan was finalized.

#include <cudnn.h>

#include <cstdint>
#include <map>
#include <vector>

namespace nogpu {

struct GraphTensor {
  int64_t uid = 0, alignment = 1;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  bool intermediate = false;
  std::vector<int64_t> sizes, strides;  // N, C, H, W
  int64_t extent() const {              // elements from the first to the last
    int64_t last = 0;
    for (size_t i = 0; i < sizes.size(); ++i) last += (sizes[i] - 1) * strides[i];
    return last + 1;
  }
};

struct GraphOperation {
  cudnnBackendDescriptorType_t type;
  GraphTensor x, w, y;  // of a convolution, whatever the pass; of a pointwise operation x, b (in w), y
  bool binary = false;
  std::vector<int64_t> strides, padding, dilation;
  cudnnPointwiseMode_t mode = CUDNN_POINTWISE_IDENTITY;
  bool keeps_nan = false;  // of ReLU
};

struct Program {
  std::vector<GraphOperation> operations;
  int64_t workspace = 0;
};

using Pointers = std::map<int64_t, void*>;  // by uid
// Runs now. Throws Fault.
void run_program(const Program& program, const Pointers& pointers);
// Every tensor that is not intermediate.
std::vector<const GraphTensor*> tensors_of(const Program& program);

}  // namespace nogpu
