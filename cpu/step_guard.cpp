#include "tern/ops/step_guard.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace tern::cpu {

void judge_step(const Tensor& loss, const Tensor& norm, const Tensor& halted) {
  double* total = norm.mutable_data<double>();
  double* flag = halted.mutable_data<double>();
  if (!std::isfinite(*loss.data<float>()) || !std::isfinite(total[0])) *flag = 1;
  if (*flag != 0) total[0] = std::numeric_limits<double>::quiet_NaN();
}

void keep_bytes(const Tensor& state, const Tensor& halted, const Tensor& kept) {
  if (*halted.data<double>() != 0 || state.bytes() == 0) return;
  std::memcpy(kept.mutable_data<uint8_t>(), state.data<uint8_t>(), static_cast<size_t>(state.bytes()));
}

}  // namespace tern::cpu
