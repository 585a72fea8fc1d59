#include "tern/train/model_use.h"

namespace tern {
namespace {

constexpr double kUnknownPeople = 1.5;

// The margin in Euclidean distances, which verdicts are given in: with D near 1, a difference of m in D^2 is
// one of m / 2 in D, and one of m in the cosine distance D^2 / 2 is one of m in D. The soft margin has none.
double euclidean_margin(const TrainOptions& options) {
  const auto triplet = triplet_loss_of(options);
  if (!triplet || triplet->soft_margin) return 0;
  return triplet->distance == Distance::SquaredEuclidean ? triplet->margin / 2 : triplet->margin;
}

DecisionRule rule_of(const EvaluationInfo& info) {
  const metrics::Calibration& c = info.evaluation.calibration;
  return {.threshold = c.threshold,
          .far = c.far,
          .tar = c.tar,
          .same_pairs = c.same,
          .different_pairs = c.different,
          .intercept = c.logistic.intercept,
          .slope = c.logistic.slope,
          .source = info.held_out ? "validation people" : "training people, changed photos"};
}

}  // namespace

std::optional<BatchTripletOptions> triplet_loss_of(const TrainOptions& options) {
  if (options.custom_loss || options.loss != "triplet") return std::nullopt;
  return options.triplet;
}

bool compares_at_unit_length(const TrainOptions& options) {
  return options.triplet.normalize || options.triplet.distance == Distance::Cosine;
}

EvaluationView judged_view(const TrainOptions& options, bool held_out) {
  EvaluationView view{.seed = options.seed};
  if (!held_out) view.augment = options.augment.scaled(kUnknownPeople);
  return view;
}

ModelCard model_card(const TrainOptions& options, const EvaluationInfo& info) {
  ModelCard card = options.card;
  card.preprocess = options.preprocess;
  card.spec.size = options.preprocess.size;
  card.spec.channels = options.preprocess.channels;
  card.training_margin = euclidean_margin(options);
  card.rule = rule_of(info);
  return card;
}

}  // namespace tern
