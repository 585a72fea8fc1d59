#include "tern/nn/init.h"

#include <algorithm>
#include <cmath>

#include "tern/core/parallel.h"
#include "tern/core/philox.h"

namespace tern::nn {
namespace {

struct Sequence {
  uint64_t seed = 0;
  uint64_t count = 0;
};
thread_local Sequence t_sequence;

}  // namespace

InitScope::InitScope(uint64_t seed) : seed_before_(t_sequence.seed), count_before_(t_sequence.count) {
  t_sequence = {seed, 0};
}
InitScope::~InitScope() { t_sequence = {seed_before_, count_before_}; }

Tensor init_uniform(const Shape& shape, double bound) {
  const Philox philox{t_sequence.seed, RandomStream::Init};
  const uint64_t parameter = t_sequence.count++;
  Tensor tensor = Tensor::empty(shape);
  float* values = tensor.mutable_data<float>();
  const int64_t n = tensor.numel();
  check(n / 4 < int64_t{1} << 32, "init: a parameter of ", n, " elements is too large");
  const auto scale = static_cast<float>(bound);
  parallel_for((n + 3) / 4, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const PhiloxBlock block = philox.block(parameter, static_cast<uint32_t>(b));
      const int64_t filled = std::min<int64_t>(4, n - 4 * b);
      for (int64_t i = 0; i < filled; ++i) values[4 * b + i] = (2 * uniform01(block.value[i]) - 1) * scale;
    }
  });
  tensor.set_requires_grad();
  return tensor;
}

double init_bound(int64_t fan_in) { return fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0; }

Tensor init_kaiming(const Shape& shape, int64_t fan_in) { return init_uniform(shape, init_bound(fan_in)); }

Tensor init_constant(const Shape& shape, double value) {
  Tensor tensor = Tensor::empty(shape);
  tensor.fill(value);
  tensor.set_requires_grad();
  return tensor;
}

uint64_t init_key() {
  const Philox philox{t_sequence.seed, RandomStream::Init};
  const PhiloxBlock block = philox.block(t_sequence.count++, 0);
  return uint64_t{block.value[0]} << 32 | block.value[1];
}

}  // namespace tern::nn
