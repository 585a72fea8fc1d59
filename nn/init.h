#pragma once
// Initial values of parameters. Every parameter is keyed by (seed, its number in the order of construction)
// and every element by its position (Philox, stream Init), so a seed means the same network on every machine.
//
// PyTorch's defaults: weights of Linear and Conv2d are uniform in +-1/sqrt(fan_in), which is what Kaiming's
// rule gives with a = sqrt(5): bound = sqrt(6 / ((1 + a^2) fan_in)); their bias has the same bound. Source:
// He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

#include <cstdint>

#include "tern/core/tensor.h"

namespace tern::nn {

// While it lives, layers constructed on this thread draw from this seed, counted from 0. Without one the seed
// is 0 and the count goes on, so that no two layers start alike.
class InitScope {
 public:
  explicit InitScope(uint64_t seed);
  ~InitScope();
  InitScope(const InitScope&) = delete;
  InitScope& operator=(const InitScope&) = delete;

 private:
  uint64_t seed_before_, count_before_;
};

// Fresh f32 tensors that require a gradient. The first two take the next parameter number.
Tensor init_uniform(const Shape& shape, double bound);    // uniform in [-bound, bound)
Tensor init_kaiming(const Shape& shape, int64_t fan_in);  // uniform in +-1/sqrt(fan_in)
double init_bound(int64_t fan_in);                        // that 1/sqrt(fan_in)
Tensor init_constant(const Shape& shape, double value);
uint64_t init_key();  // 64 random bits for a layer that draws numbers itself; takes a parameter number

}  // namespace tern::nn
