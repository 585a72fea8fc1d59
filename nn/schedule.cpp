#include "tern/nn/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tern/core/error.h"

namespace tern::nn {

std::string_view to_string(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::Constant: return "constant";
    case ScheduleKind::Step: return "step";
    case ScheduleKind::Cosine: return "cosine";
  }
  return "?";
}

ScheduleKind parse_schedule(std::string_view name) {
  for (const auto kind : {ScheduleKind::Constant, ScheduleKind::Step, ScheduleKind::Cosine})
    if (name == to_string(kind)) return kind;
  tern::detail::fail<UsageError>("schedule: unknown name '", escaped(name),
                                 "'; hint: constant, step or cosine");
}

void Schedule::check_options() const {
  check<UsageError>(std::isfinite(lr) && lr >= 0, "schedule: lr must be finite and at least 0, got ", lr);
  check<UsageError>(warmup_steps >= 0, "schedule: warmup_steps must be at least 0, got ", warmup_steps);
  check<UsageError>(kind != ScheduleKind::Step || (every >= 1 && std::isfinite(factor) && factor >= 0),
                    "schedule: step needs every of at least 1 and a factor of at least 0, got ", every,
                    " and ", factor);
  check<UsageError>(kind != ScheduleKind::Cosine || total_steps > warmup_steps,
                    "schedule: cosine needs total_steps (", total_steps, ") above warmup_steps (",
                    warmup_steps, ")");
}

double Schedule::at(int64_t step) const {
  check_options();
  check<UsageError>(step >= 0, "schedule: step must be at least 0, got ", step);
  if (step < warmup_steps) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  const int64_t t = step - warmup_steps;
  switch (kind) {
    case ScheduleKind::Constant: return lr;
    case ScheduleKind::Step: return lr * std::pow(factor, static_cast<double>(t / every));
    case ScheduleKind::Cosine: {
      const double done =
          std::min(1.0, static_cast<double>(t) / static_cast<double>(total_steps - warmup_steps));
      return final_lr + (lr - final_lr) * (1 + std::cos(std::numbers::pi * done)) / 2;
    }
  }
  return lr;
}

}  // namespace tern::nn
