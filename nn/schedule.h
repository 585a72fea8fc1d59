#pragma once
// Learning rates as pure functions of the step (0 = the first update): a resumed run needs only its step
// number.
//
//   const nn::Schedule schedule{
//       .kind = nn::ScheduleKind::Cosine, .lr = 0.1, .total_steps = 1000, .warmup_steps = 50};
//   optimizer.set_lr(schedule.at(step));
//
// With w = warmup_steps, T = total_steps - w and t = step - w:
//     step < w     lr (step + 1) / w                         linear warm-up: the first step is not lost
//     Constant     lr
//     Step         lr factor^floor(t / every)                PyTorch's StepLR
//     Cosine       final_lr + (lr - final_lr) (1 + cos(pi t / T)) / 2, final_lr from T on
//                                                            PyTorch's CosineAnnealingLR
// Source: Loshchilov, Hutter, "SGDR", ICLR 2017; warm-up: Goyal et al., 2017.

#include <cstdint>
#include <string_view>

namespace tern::nn {

enum class ScheduleKind : uint8_t { Constant, Step, Cosine };
std::string_view to_string(ScheduleKind kind);
ScheduleKind parse_schedule(std::string_view name);  // "constant", "step", "cosine"; throws UsageError

struct Schedule {
  ScheduleKind kind = ScheduleKind::Constant;
  double lr = 1e-3;
  int64_t total_steps = 0;  // Cosine: needed, and above warmup_steps
  int64_t warmup_steps = 0;
  int64_t every = 0;    // Step: needed, at least 1
  double factor = 0.1;  // Step
  double final_lr = 0;  // Cosine

  double at(int64_t step) const;
  void check_options() const;  // throws UsageError naming the option; at() calls it
};

}  // namespace tern::nn
