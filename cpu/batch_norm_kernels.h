#pragma once
// Vector code of batch normalisation. A kernel works on a block: some rows times at most kBatchNormBlock
// channels of a row-major matrix whose rows are `stride` elements apart; every pointer below points at the
// block's first element.

#include <cstdint>

namespace tern::cpu {

inline constexpr int64_t kBatchNormBlock = 512;    // channels of a block, so that its accumulators fit in L1
inline constexpr int64_t kBatchNormMaskRows = 32;  // rows whose mask bits share a word
inline constexpr int64_t kBatchNormSumRows = 128;  // rows summed in f32 before they are added up in f64

struct BatchNormBlock {
  int64_t rows, channels, stride;
};

// y = [max(0,)] (x - shift) scale + bias [+ residual], and bit r % 32 of mask[r / 32][c] where it is above 0.
struct BatchNormApply {
  const float* x;
  const float* residual;  // may be null
  const float* shift;
  const float* scale;
  const float* bias;
  float* y;
  int32_t* mask;  // may be null
  bool relu;
};

// g = dy where the mask has its bit (everywhere if mask is null).
struct BatchNormReduce {
  const float* dy;
  const float* x;
  const float* shift;
  const int32_t* mask;
  double* sum_g;   // sum g
  double* sum_gx;  // sum g (x - shift)
};

// dx = scale g [+ slope (x - shift) + offset]
struct BatchNormBackwardApply {
  const float* dy;
  const float* x;  // null: the bracket is left out
  const float* shift;
  const float* scale;
  const float* slope;
  const float* offset;
  const int32_t* mask;
  float* dx;
  float* dresidual;  // may be null
};

struct BatchNormKernels {
  // Mean and sum of squared deviations of each channel of the block.
  void (*statistics)(const BatchNormBlock& b, const float* x, double* mean, double* squares);
  void (*apply)(const BatchNormBlock& b, const BatchNormApply& a);
  void (*backward_reduce)(const BatchNormBlock& b, const BatchNormReduce& a);
  void (*backward_apply)(const BatchNormBlock& b, const BatchNormBackwardApply& a);
};

namespace baseline {
extern const BatchNormKernels batch_norm_table;
}
namespace avx2 {
extern const BatchNormKernels batch_norm_table;
}
namespace avx512 {
extern const BatchNormKernels batch_norm_table;
}

}  // namespace tern::cpu
