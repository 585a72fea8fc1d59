#pragma once
// The optimizer's passes over a flat arena of parameters (nn/arena.h). Parameters and states lie in one range
// each, in the same order; gradients are tensors of their own, reached through a table of tiles. A tile is a
// run of one parameter of at most kOptimizerTile elements: tiles depend on the shapes alone, so sums over
// them do not depend on the number of threads.
//
//     gradient_norm    |g| = sqrt(sum g^2) over all tiles, in f64: finite unless a gradient is not;
//                      scale = min(1, clip / (|g| + 1e-6)), 1 without clipping
//     sgd_step         the rule SgdFormula   (ops/optimizer_formulas.h), one pass: p g [m] -> p [m]
//     adam_step        the rule AdamFormula, one pass: p g m v -> p m v
//
// Nothing here waits for a device. Norm and scale stay in its memory, and a step changes nothing where the
// norm is not finite, so that the host may look at it later. The numbers of a rule that change from step to
// step are written beside the arena by write_rule, so that passes recorded once can be replayed. Cost: 4
// bytes read per gradient element for the norm; 12 (SGD), 20 (momentum), 28 (Adam) bytes moved for a step.

#include <span>
#include <vector>

#include "tern/core/tensor.h"
#include "tern/ops/optimizer_formulas.h"

namespace tern {

inline constexpr int64_t kOptimizerTile = 16384;

struct GradientTile {
  const float* gradient;  // of the first element
  int64_t offset;         // of the first element in the arena
  int64_t count;
  int64_t parameter;  // which parameter of the optimizer it belongs to
  friend bool operator==(const GradientTile&, const GradientTile&) = default;
};

// The tiles of one step. On a device they lie in its memory too, and are sent there only where they differ
// from the last ones: gradients have the same addresses from step to step, so a steady step sends nothing.
class GradientTiles {
 public:
  void clear() { tiles_.clear(); }
  void append(const Tensor& gradient, int64_t arena_offset, int64_t parameter);
  // After the last append, before they are used. The table stays where it is unless it has to grow.
  void commit(Device device);
  void reserve(Device device, int64_t tiles);  // room in the table for so many
  std::span<const GradientTile> host() const { return tiles_; }
  const GradientTile* on_device() const { return static_cast<const GradientTile*>(table_.raw_data()); }
  Device device() const { return device_; }

 private:
  Device device_;
  std::vector<GradientTile> tiles_, sent_;
  Tensor table_;  // u8 [bytes], at least the tiles
};

struct GradientNorm {
  Tensor sums;   // f64 [tiles]: sum of squares of each
  Tensor total;  // f64 [2]: norm and scale
};
GradientNorm gradient_norm(const GradientTiles& tiles, double clip_norm);  // 0: no clipping

struct SgdUpdate {
  double lr = 0, momentum = 0, weight_decay = 0;
  bool nesterov = false;
};

struct AdamUpdate {
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  bool decoupled = false;          // AdamW
  std::span<const int64_t> steps;  // by parameter: updates so far, this one included
};

// f64 [parameters, kRuleNumbers]: a row of SgdRule or AdamRule for each parameter.
inline constexpr int64_t kRuleNumbers = 8;
void write_rule(const SgdUpdate& update, const Tensor& rules);
void write_rule(const AdamUpdate& update, const Tensor& rules);

// Tiles [begin, end), those of one arena, with its rules and the norm of the whole gradient.
struct OptimizerPass {
  const GradientTiles& tiles;
  int64_t begin, end;
  Tensor rules;
  Tensor norm;  // GradientNorm::total
};

// parameters and states: f32 [arena size], changed in place. momentum is undefined where the rule has none.
void sgd_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& momentum);
void adam_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& exp_avg,
               const Tensor& exp_avg_sq);

// What a backend provides.
struct RuleRun {  // rows [first, last) are to hold these numbers
  double numbers[kRuleNumbers];
  int64_t first, last;
};
namespace cpu {
void gradient_norm(const GradientTiles& tiles, double clip_norm, const GradientNorm& norm);
void write_rules(const RuleRun& run, const Tensor& rules);
void sgd_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& momentum);
void adam_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& exp_avg,
               const Tensor& exp_avg_sq);
}  // namespace cpu

namespace cu {
void gradient_norm(const GradientTiles& tiles, double clip_norm, const GradientNorm& norm);
void write_rules(const RuleRun& run, const Tensor& rules);
void sgd_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& momentum);
void adam_step(const OptimizerPass& pass, const Tensor& parameters, const Tensor& exp_avg,
               const Tensor& exp_avg_sq);
}  // namespace cu

}  // namespace tern
