#pragma once
// A training step that nobody waits for judges itself, on the device where it runs. halted, f64 [1], is 0
// until a step's loss or gradient is not finite; from that step on none changes anything, until the host,
// which looks some steps later, has set it back to 0.
//
//   judge_step   halted <- 1 unless loss and norm[0] are finite;  norm[0] <- NaN where halted is 1: the
//                optimizer's passes change nothing then (ops/optimizer.h)
//   keep_bytes   kept <- state unless halted is 1. Done at the beginning of each step, it leaves what the
//   first
//                halted step found
//
// loss: f32 [1] or []; norm: f64 [2], GradientNorm::total; state, kept: u8 [n]. Nothing is differentiable.

#include "tern/core/tensor.h"

namespace tern {

void judge_step(const Tensor& loss, const Tensor& norm, const Tensor& halted);
void keep_bytes(const Tensor& state, const Tensor& halted, const Tensor& kept);

namespace cpu {
void judge_step(const Tensor& loss, const Tensor& norm, const Tensor& halted);
void keep_bytes(const Tensor& state, const Tensor& halted, const Tensor& kept);
}  // namespace cpu
namespace cu {
void judge_step(const Tensor& loss, const Tensor& norm, const Tensor& halted);
void keep_bytes(const Tensor& state, const Tensor& halted, const Tensor& kept);
}  // namespace cu

}  // namespace tern
