// tern evaluate: how well does a model judge people? Thresholds always come from other folds than those they
// judge.

#include <fmt/format.h>

#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "tern/apps/commands.h"
#include "tern/apps/people.h"
#include "tern/core/error.h"
#include "tern/data/pairs.h"
#include "tern/metrics/baselines.h"
#include "tern/metrics/evaluate.h"
#include "tern/models/embed.h"
#include "tern/models/model_file.h"

namespace tern::app {
namespace {

struct EvaluateOptions {
  std::string model, pairs;
  PeopleOptions people;
  bool allow_missing = false, no_baseline = false;
  int rounds = 200, folds = 10;
  int64_t pairs_per_kind = 300;
  uint64_t seed = 1;
  int batch = 64;
};

struct Scores {
  metrics::Verification verification;
  double auc = 0, eer = 0;
  std::vector<metrics::TarAtFar> tar;
  int64_t pairs = 0;
};

// The outcome of one way of measuring distances.
struct Outcome {
  Scores scores;
  std::optional<metrics::Rank1> rank1;
  std::optional<metrics::Retrieval> retrieval;
};

const std::vector<double> kFars = {1e-1, 1e-2, 1e-3};

// One distance at a time, through the row interface.
double one_distance(const metrics::DistanceRow& distance, int64_t a, int64_t b) {
  float d = 0;
  distance(a, b, b + 1, &d);
  return d;
}

Scores score_pairs(const ResolvedPairs& pairs, const metrics::DistanceRow& distance,
                   const EvaluateOptions& options) {
  metrics::PairScores scores;
  std::vector<int> folds;
  for (const auto& pair : pairs.pairs) {
    scores.add(one_distance(distance, pair.a, pair.b), pair.same);
    folds.push_back(pair.fold);
  }
  const auto sorted = metrics::sort_scores(scores);
  Scores result;
  result.pairs = scores.size();
  result.verification = metrics::verify_over_folds(scores, folds);
  result.auc = metrics::area_under_roc(sorted);
  result.eer = metrics::equal_error_rate(sorted).rate;
  for (const double far : kFars)
    result.tar.push_back(metrics::tar_at_far(sorted, far, options.rounds, options.seed));
  return result;
}

Outcome judge(const std::vector<int64_t>& identity, const std::optional<ResolvedPairs>& pairs,
              const metrics::DistanceRow& row, const EvaluateOptions& options) {
  const auto distance = metrics::kept_distances(static_cast<int64_t>(identity.size()), row);
  Outcome out;
  metrics::EvaluateOptions settings{.fars = kFars, .bootstrap_rounds = pairs ? 0 : options.rounds, .ks = {1}};
  settings.sampling = {
      .folds = options.folds, .pairs_per_kind = options.pairs_per_kind, .seed = options.seed};
  if (pairs) {
    out.scores = score_pairs(*pairs, distance, options);
    try {
      out.rank1 = metrics::rank1(identity, distance);
      out.retrieval = metrics::retrieval(identity, distance, settings.ks);
    } catch (const DataError&) {  // nobody of these pairs has two photos
    }
    return out;
  }
  const metrics::Evaluation e = metrics::evaluate(identity, distance, settings);
  check<DataError>(
      !e.verification.folds.empty(),
      "evaluate: too few people for folds without a shared person; hint: at least two people in each of "
      "two folds, one of them with two photos");
  out.scores = {e.verification, e.auc, e.eer, e.tar_at_far, e.fold_pairs};
  out.rank1 = e.rank1;
  out.retrieval = e.retrieval;
  return out;
}

nlohmann::ordered_json to_json(const Outcome& o, const Outcome* baseline, int64_t missing) {
  const auto& s = o.scores;
  nlohmann::ordered_json out{
      {"accuracy_mean", s.verification.accuracy_mean},
      {"accuracy_std", s.verification.accuracy_std},
      {"accuracy_interval", {s.verification.accuracy_low, s.verification.accuracy_high}},
      {"accuracy_folds", nlohmann::ordered_json::array()},
      {"auc", s.auc},
      {"eer", s.eer},
      {"tar_at_far", nlohmann::ordered_json::array()},
      {"threshold", s.verification.threshold},
      {"pairs", s.pairs},
      {"missing", missing}};
  for (const auto& fold : s.verification.folds) out["accuracy_folds"].push_back(fold.accuracy);
  for (const auto& t : s.tar)
    out["tar_at_far"].push_back({{"far", t.wanted_far},
                                 {"tar", t.tar},
                                 {"low", t.tar_low},
                                 {"high", t.tar_high},
                                 {"threshold", t.threshold},
                                 {"different", t.different}});
  out["rank1"] = o.rank1 ? nlohmann::ordered_json(o.rank1->rate) : nlohmann::ordered_json();
  out["recall_at_1"] =
      o.retrieval ? nlohmann::ordered_json(o.retrieval->recall_at[0]) : nlohmann::ordered_json();
  out["map_at_r"] = o.retrieval ? nlohmann::ordered_json(o.retrieval->map_at_r) : nlohmann::ordered_json();
  if (baseline) {
    out["pixel_baseline"] = {{"accuracy_mean", baseline->scores.verification.accuracy_mean},
                             {"auc", baseline->scores.auc}};
    out["pixel_baseline"]["rank1"] =
        baseline->rank1 ? nlohmann::ordered_json(baseline->rank1->rate) : nullptr;
  }
  return out;
}

void print(const Outcome& o, const Outcome* b, int64_t missing, int64_t photos, int64_t people) {
  const auto& v = o.scores.verification;
  std::cout << fmt::format("{} photos of {} people, {} pairs in {} folds{}\n", photos, people, o.scores.pairs,
                           v.folds.size(),
                           missing ? fmt::format(", {} pairs left out: photos missing", missing) : "");
  const auto row = [&](const std::string& name, const std::string& value, const std::string& baseline) {
    std::cout << fmt::format("{:<24} {:>28}   {:>12}\n", name, value, b ? baseline : "");
  };
  row("", "model", "raw pixels");
  row("accuracy", fmt::format("{:.4f} +- {:.4f}", v.accuracy_mean, v.accuracy_std),
      b ? fmt::format("{:.4f}", b->scores.verification.accuracy_mean) : "");
  row("  95% interval", fmt::format("{:.4f} .. {:.4f}", v.accuracy_low, v.accuracy_high), "");
  std::string folds;
  for (const auto& fold : v.folds) folds += fmt::format("{}{:.3f}", folds.empty() ? "" : " ", fold.accuracy);
  row("AUC", fmt::format("{:.4f}", o.scores.auc), b ? fmt::format("{:.4f}", b->scores.auc) : "");
  row("EER", fmt::format("{:.4f}", o.scores.eer), b ? fmt::format("{:.4f}", b->scores.eer) : "");
  for (size_t i = 0; i < o.scores.tar.size(); ++i) {
    const auto& t = o.scores.tar[i];
    row(fmt::format("TAR at FAR {:g}", t.wanted_far),
        fmt::format("{:.4f} ({:.4f} .. {:.4f})", t.tar, t.tar_low, t.tar_high),
        b ? fmt::format("{:.4f}", b->scores.tar[i].tar) : "");
  }
  if (o.rank1)
    row("rank-1", fmt::format("{:.4f}", o.rank1->rate),
        b && b->rank1 ? fmt::format("{:.4f}", b->rank1->rate) : "");
  if (o.retrieval) {
    row("Recall@1", fmt::format("{:.4f}", o.retrieval->recall_at[0]),
        b && b->retrieval ? fmt::format("{:.4f}", b->retrieval->recall_at[0]) : "");
    row("MAP@R", fmt::format("{:.4f}", o.retrieval->map_at_r),
        b && b->retrieval ? fmt::format("{:.4f}", b->retrieval->map_at_r) : "");
  }
  row("best threshold", fmt::format("{:.4f}", v.threshold), "");
  std::cout << "accuracy of each fold    " << folds << '\n';
}

// The photos that the pairs need, renumbered 0 .. n-1 in ascending order; pairs are rewritten.
std::vector<int64_t> photos_of_pairs(ResolvedPairs& pairs) {
  std::map<int64_t, int64_t> number;
  for (const auto& pair : pairs.pairs) number[pair.a] = number[pair.b] = 0;
  std::vector<int64_t> photos;
  for (auto& [photo, at] : number) {
    at = static_cast<int64_t>(photos.size());
    photos.push_back(photo);
  }
  for (auto& pair : pairs.pairs) {
    pair.a = number[pair.a];
    pair.b = number[pair.b];
  }
  return photos;
}

int run_evaluate(const GlobalOptions& global, const EvaluateOptions& options) {
  check(!options.people.data.empty() || options.pairs.empty(),
        "evaluate: --pairs needs the photos' folder; hint: --data DIR");
  LoadedModel loaded = load_model(options.model);
  std::vector<std::string> notes;
  PeopleOptions who = options.people;
  who.synthetic.size = std::min(loaded.card.preprocess.size, kLargestFace);
  const auto people = open_people(who, notes);
  if (!global.quiet)
    for (const auto& note : notes) std::cerr << "note: " << note << '\n';

  std::optional<ResolvedPairs> pairs;
  std::vector<int64_t> photos;
  if (!options.pairs.empty()) {
    pairs = resolve_pairs(read_pairs(options.pairs), *people, options.allow_missing);
    photos = photos_of_pairs(*pairs);
  } else {
    for (int64_t i = 0; i < people->size(); ++i) photos.push_back(i);
  }
  std::vector<int64_t> identity;
  for (const int64_t photo : photos) identity.push_back(people->identity(photo));

  const auto count = static_cast<int64_t>(photos.size());
  const int side = decode_side(loaded.card.preprocess);
  const auto load = [&](int64_t i) { return people->load_reduced(photos[static_cast<size_t>(i)], side); };
  const Tensor embeddings = embed_photos(*loaded.model, count, load, loaded.card.preprocess, options.batch);
  const Outcome outcome = judge(identity, pairs, metrics::euclidean_distances(embeddings), options);
  std::optional<Outcome> baseline;
  if (!options.no_baseline) {
    // The baseline sees the same part of the photo as the network.
    const auto cropped = [&](int64_t i) { return prepare(load(i), loaded.card.preprocess); };
    baseline = judge(identity, pairs, metrics::raw_pixel_distances(count, cropped), options);
  }
  const Outcome* beside = baseline ? &*baseline : nullptr;
  const int64_t missing = pairs ? pairs->missing : 0;
  if (global.json) std::cout << to_json(outcome, beside, missing).dump() << '\n';
  else print(outcome, beside, missing, count, people->identities());
  return 0;
}

}  // namespace

void add_evaluate(Cli& cli) {
  auto options = std::make_shared<EvaluateOptions>();
  options->people.synthetic.identities = 200;
  options->people.synthetic.first_identity = 100000;  // nobody whom tern train draws by default
  Command sub = cli.command("evaluate", "Judge a model on people: verification, retrieval, identification",
                            "  tern evaluate model.safetensors --data photos\n"
                            "  tern evaluate model.safetensors --pairs pairs.txt --data lfw --json",
                            [&cli, options](Command&) { return run_evaluate(cli.global, *options); });
  sub.text("MODEL", options->model, "A model file").required();
  sub.text("--pairs", options->pairs, "Pairs in the format of Labeled Faces in the Wild").type("FILE");
  add_people_options(sub, options->people, true);
  sub.flag("--allow-missing", options->allow_missing,
           "Leave out pairs whose photos are missing, and count them");
  sub.flag("--no-baseline", options->no_baseline, "Without the raw-pixel baseline");
  sub.number("--bootstrap", options->rounds, {0, 10000}, "Rounds for the intervals of TAR@FAR");
  sub.number("--folds", options->folds, {2, 100}, "Folds drawn without --pairs");
  sub.number("--pairs-per-fold", options->pairs_per_kind, {1, 1e6},
             "Same, and different, pairs of each fold");
  sub.number("-b,--batch-size", options->batch, {1, 4096}, "Photos embedded at a time");
  sub.seed(options->seed, "Draws the folds and the intervals");
}

}  // namespace tern::app
