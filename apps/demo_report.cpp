#include "tern/apps/demo_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tern/apps/report.h"
#include "tern/core/parallel.h"
#include "tern/cpu/isa.h"

namespace tern::app {
namespace {

constexpr size_t kRocPoints = 400;
constexpr size_t kExamples = 12;
constexpr int kShownSide = 128;  // pixels: the same drawings, larger than the network sees them

// A curve of some hundred points, evenly spread over the logarithm of FAR, where the interest lies.
report::RocSeries thinned(const Judged& judged) {
  report::RocSeries series{judged.name, {}, {}};
  const auto curve = metrics::roc_curve(judged.scores);
  double last = -1;
  for (size_t i = 0; i < curve.size(); ++i) {
    const double at = std::log10(std::max(curve[i].far, 1e-7));
    if (i > 0 && i + 1 < curve.size() && at - last < 7.0 / kRocPoints &&
        curve[i].tar - series.tar.back() < 0.005)
      continue;
    series.far.push_back(curve[i].far);
    series.tar.push_back(curve[i].tar);
    last = at;
  }
  return series;
}

// The threshold that judged a pair: its fold's.
double threshold_of(const Judged& judged, int fold) {
  for (const auto& f : judged.evaluation.verification.folds)
    if (f.fold == fold) return f.threshold;
  return judged.evaluation.verification.threshold;
}

Image shown(const SyntheticDataset& unseen, int64_t photo) {
  SyntheticOptions options = unseen.options();
  options.size = std::max(options.size, kShownSide);
  return draw_face(options, options.first_identity + unseen.identity(photo), photo % options.photos);
}

// The wrong verdicts that are furthest from their threshold, each photo once, and as many right ones of
// either kind.
void choose_examples(const Judged& judged, const SyntheticDataset& unseen, report::ReportData& data) {
  struct Example {
    const JudgedPair* pair;
    double error;  // above 0: judged wrong by so much
  };
  std::vector<Example> wrong, right;
  for (const auto& p : judged.pairs) {
    const double over = p.distance - threshold_of(judged, p.pair.fold);
    const double error = p.pair.same ? over : -over;
    (error > 0 || (error == 0 && !p.pair.same) ? wrong : right).push_back({&p, error});
  }
  std::stable_sort(wrong.begin(), wrong.end(),
                   [](const auto& a, const auto& b) { return a.error > b.error; });
  const auto add = [&](std::vector<report::ExamplePair>& to, const Example& e) {
    const auto& p = e.pair->pair;
    to.push_back({shown(unseen, p.a), shown(unseen, p.b), e.pair->distance, p.same});
  };
  std::set<int64_t> used;
  for (const Example& e : wrong) {
    if (data.wrong.size() == kExamples) break;
    const auto& p = e.pair->pair;
    if (used.count(p.a) + used.count(p.b) > 0) continue;
    used.insert({p.a, p.b});
    add(data.wrong, e);
  }
  // Every so many-th, so that easy and hard ones both show.
  for (size_t i = 0; i < kExamples && !right.empty(); ++i)
    add(data.right, right[i * right.size() / kExamples]);
}

double tar_at(const metrics::Evaluation& e, double far) {
  for (const auto& t : e.tar_at_far)
    if (t.wanted_far == far) return t.tar;
  return 0;
}

}  // namespace

std::string demo_report(const DemoRecord& record, const TrainOptions& train, const SyntheticDataset& people,
                        const SyntheticDataset& unseen) {
  const Judged& trained = record.judged[0];
  const auto& e = trained.evaluation;
  report::ReportData data;
  data.title = "tern demo";
  data.summary = fmt::format(
      "A face network of {:.2f} million parameters, trained for {:.0f} seconds on {} drawn people, tells {} "
      "people it has never seen apart with {:.1f}% accuracy.",
      static_cast<double>(record.parameters) / 1e6, record.training_seconds, people.identities(), e.people,
      100 * e.verification.accuracy_mean);
  data.steps = record.steps;
  data.loss = record.loss;
  data.active_fraction = record.active;
  data.validation_steps = record.validation_steps;
  data.validation_auc = record.validation_auc;
  for (const auto& j : record.judged) {
    data.results.push_back({j.name, j.evaluation.verification.accuracy_mean, j.evaluation.auc,
                            j.evaluation.eer, tar_at(j.evaluation, 1e-2), tar_at(j.evaluation, 1e-3)});
    data.roc.push_back(thinned(j));
  }
  data.accuracy_std = e.verification.accuracy_std;
  data.people = e.people;
  data.photos = e.photos;
  data.fold_pairs = e.fold_pairs;
  data.same_pairs = e.same;
  data.different_pairs = e.different;
  for (const auto& p : trained.pairs) {
    data.distances.push_back(p.distance);
    data.same.push_back(p.pair.same ? 1 : 0);
  }
  data.threshold = e.verification.threshold;
  choose_examples(trained, unseen, data);
  for (int64_t person = 0; person < std::min<int64_t>(12, unseen.identities()); ++person) {
    report::MontagePerson row{unseen.identity_name(person), {}};
    for (int64_t photo = 0; photo < std::min<int64_t>(6, unseen.options().photos); ++photo)
      row.photos.push_back(shown(unseen, person * unseen.options().photos + photo));
    data.montage.push_back(std::move(row));
  }
  data.photo_note = fmt::format("drawn here at {0} x {0} pixels, the network sees {1} x {1}", kShownSide,
                                unseen.options().size);
  data.run_card = {
      {"network", fmt::format("{}, {} parameters", train.card.spec.arch, record.parameters)},
      {"trained on", fmt::format("{} photos of {} people", people.size(), people.identities())},
      {"steps", fmt::format("{} of {} x {} photos", train.steps, train.p, train.k)},
      {"loss",
       fmt::format("triplet, {}, margin {:g}", to_string(train.triplet.mining), train.triplet.margin)},
      {"optimizer", fmt::format("{}, learning rate {:g}, {}", train.optimizer, train.lr, train.schedule)},
      {"seed", fmt::format("{}", train.seed)},
      {"speed", fmt::format("{:.0f} images/s, {} threads, {}", record.images_per_s, num_threads(),
                            cpu::to_string(cpu::active_isa()))},
      {"model file", record.checkpoint},
      {"version", TERN_VERSION}};
  return report::html_report(data);
}

}  // namespace tern::app
