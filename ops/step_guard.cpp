#include "tern/ops/step_guard.h"

namespace tern {

void judge_step(const Tensor& loss, const Tensor& norm, const Tensor& halted) {
  check<DTypeError>(loss.dtype() == DType::F32 && norm.dtype() == DType::F64 && halted.dtype() == DType::F64,
                    "judge_step: loss is ", loss.dtype(), ", norm ", norm.dtype(), ", halted ",
                    halted.dtype(), "; allowed are f32, f64, f64");
  on_device(
      halted.device(), [&] { cpu::judge_step(loss, norm, halted); },
      [&] { cu::judge_step(loss, norm, halted); });
}

void keep_bytes(const Tensor& state, const Tensor& halted, const Tensor& kept) {
  check<ShapeError>(state.bytes() == kept.bytes(), "keep_bytes: ", describe(state), " into ", describe(kept));
  on_device(
      halted.device(), [&] { cpu::keep_bytes(state, halted, kept); },
      [&] { cu::keep_bytes(state, halted, kept); });
}

}  // namespace tern
