#pragma once
// Vector code of the optimizers, over n consecutive elements.

#include <cstdint>

namespace tern::cpu {

struct SgdConstants {
  float lr, momentum, decay, scale;
  bool nesterov;
};
struct AdamConstants {
  float step, new_weight1, beta2, new_weight2, root, eps, decay, shrink, scale;
};

struct OptimizerKernels {
  double (*squared_norm)(int64_t n, const float* g);
  void (*sgd)(const SgdConstants& c, int64_t n, const float* g, float* p, float* m);  // m may be null
  void (*adam)(const AdamConstants& c, int64_t n, const float* g, float* p, float* m, float* v);
};

namespace baseline {
extern const OptimizerKernels optimizer_table;
}
namespace avx2 {
extern const OptimizerKernels optimizer_table;
}
namespace avx512 {
extern const OptimizerKernels optimizer_table;
}

}  // namespace tern::cpu
