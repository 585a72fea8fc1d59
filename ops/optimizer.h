#pragma once
// The optimizer's passes over a flat arena of parameters (nn/arena.h). Parameters and states lie in one range
// each, in the same order; gradients are tensors of their own, reached through a table of tiles. A tile is a
// run of one parameter of at most kOptimizerTile elements: tiles depend on the shapes alone, so sums over
// them do not depend on the number of threads.
//
//     gradient_norm    |g| = sqrt(sum g^2) over all tiles, in f64: finite unless a gradient is not
//     sgd_step         the rule SgdFormula   (ops/optimizer_formulas.h), one pass: p g [m] -> p [m]
//     adam_step        the rule AdamFormula, one pass: p g m v -> p m v
//
// Cost: 4 bytes read per gradient element for the norm; 12 (SGD), 20 (momentum), 28 (Adam) bytes moved for a
// step.

#include <span>
#include <vector>

#include "tern/core/tensor.h"

namespace tern {

inline constexpr int64_t kOptimizerTile = 16384;

struct GradientTile {
  const float* gradient;  // of the first element
  int64_t offset;         // of the first element in the arena
  int64_t count;
  int64_t parameter;  // which parameter of the optimizer it belongs to
};

struct SgdUpdate {
  double lr = 0, momentum = 0, weight_decay = 0;
  double gradient_scale = 1;
  bool nesterov = false;
};

struct AdamUpdate {
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  double gradient_scale = 1;
  bool decoupled = false;          // AdamW
  std::span<const int64_t> steps;  // by parameter: updates so far, this one included
};

// Appends the tiles of one parameter.
void append_tiles(std::vector<GradientTile>& tiles, const Tensor& gradient, int64_t arena_offset,
                  int64_t parameter);

// sums[i]: sum of squares of tile i.
void squared_norms(std::span<const GradientTile> tiles, std::span<double> sums, Device device);

// parameters and states: f32 [arena size], changed in place. momentum is undefined if update.momentum is 0.
void sgd_step(std::span<const GradientTile> tiles, const SgdUpdate& update, const Tensor& parameters,
              const Tensor& momentum);
void adam_step(std::span<const GradientTile> tiles, const AdamUpdate& update, const Tensor& parameters,
               const Tensor& exp_avg, const Tensor& exp_avg_sq);

// What a backend provides.
namespace cpu {
void squared_norms(std::span<const GradientTile> tiles, std::span<double> sums);
void sgd_step(std::span<const GradientTile> tiles, const SgdUpdate& update, const Tensor& parameters,
              const Tensor& momentum);
void adam_step(std::span<const GradientTile> tiles, const AdamUpdate& update, const Tensor& parameters,
               const Tensor& exp_avg, const Tensor& exp_avg_sq);
}  // namespace cpu

namespace cu {
void squared_norms(std::span<const GradientTile> tiles, std::span<double> sums);
void sgd_step(std::span<const GradientTile> tiles, const SgdUpdate& update, const Tensor& parameters,
              const Tensor& momentum);
void adam_step(std::span<const GradientTile> tiles, const AdamUpdate& update, const Tensor& parameters,
               const Tensor& exp_avg, const Tensor& exp_avg_sq);
}  // namespace cu

}  // namespace tern
