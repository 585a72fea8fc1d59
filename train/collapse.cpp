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

// The Euclidean distance d at which the loss's own distance is `own`.
double euclidean(Distance distance, double own) {
  if (distance == Distance::SquaredEuclidean) return std::sqrt(own);
  return distance == Distance::Cosine ? std::sqrt(2 * own) : own;  // cosine distance d^2 / 2
}

}  // namespace

CollapseAlarm::CollapseAlarm(const std::optional<BatchTripletOptions>& triplet, CollapseOptions options)
    : triplet_(triplet), patience_(options.patience), limit_(options.min_distance) {
  if (triplet && !triplet->soft_margin) {
    limit_ = euclidean(triplet->distance, options.of_margin * triplet->margin);
  }
}

std::optional<std::string> CollapseAlarm::watch(int64_t step, double loss, const TripletStats& stats) {
  if (stats.pairwise_rms >= limit_) {
    first_ = 0;
    sounded_ = false;
    return std::nullopt;
  }
  if (first_ == 0) first_ = step;
  if (sounded_ || step - first_ + 1 < patience_) return std::nullopt;
  sounded_ = true;
  std::string text = concat_text("the embedding has collapsed at step ", step, ": mean pairwise distance ",
                                 number(stats.pairwise_rms), ", spread ", number(stats.spread), ", active ",
                                 triplet_ ? "triplets " : "terms ", number(100 * stats.active_fraction()),
                                 "%, loss ", number(loss));
  if (triplet_) {
    const double rest = triplet_->soft_margin ? std::log(2.0) : triplet_->margin;
    if (std::fabs(loss - rest) < 0.1 * rest) {
      text += triplet_->soft_margin ? " (ln 2, what the soft margin gives when nothing can be told apart)"
                                    : " (the margin, what remains when nothing can be told apart)";
    }
  }
  text += "; hint: lower the learning rate or add warm-up steps, ";
  if (triplet_) text += "mine semi-hard or all triplets instead of the hardest, use the soft margin, ";
  return text + "use a larger batch; photos that are all alike give this too";
}

}  // namespace tern
