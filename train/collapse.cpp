#include "tern/train/collapse.h"

#include <cmath>
#include <cstdio>

#include "tern/core/error.h"

namespace tern {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace

std::optional<std::string> CollapseAlarm::watch(int64_t step, double loss, const TripletStats& stats) {
  if (stats.pairwise_rms >= options_.min_distance) {
    row_ = 0;
    return std::nullopt;
  }
  if (++row_ != options_.patience) return std::nullopt;
  const double rest = loss_.soft_margin ? std::log(2.0) : loss_.margin;
  std::string text =
      concat_text("the embedding has collapsed to one point at step ", step, ": mean pairwise distance ",
                  number(stats.pairwise_rms), ", spread ", number(stats.spread), ", active triplets ",
                  number(100 * stats.active_fraction()), "%, loss ", number(loss));
  if (std::fabs(loss - rest) < 0.05 * rest) {
    text += loss_.soft_margin ? " (ln 2, what the soft margin gives when nothing can be told apart)"
                              : " (the margin, what remains when nothing can be told apart)";
  }
  text +=
      "; hint: lower the learning rate or add warm-up steps, mine semi-hard or all triplets instead of the "
      "hardest, use the soft margin, or a larger batch; photos that are all alike give this too";
  return text;
}

}  // namespace tern
