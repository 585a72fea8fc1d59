// tern demo: draws synthetic people, trains the face network, judges it on people it has never seen, and
// writes a report. A fixed number of steps, so that the result is the same on a fast and on a slow machine.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tern/apps/commands.h"
#include "tern/apps/console.h"
#include "tern/apps/demo_report.h"
#include "tern/apps/files.h"
#include "tern/core/error.h"
#include "tern/core/fs.h"
#include "tern/core/parallel.h"
#include "tern/data/synthetic.h"
#include "tern/metrics/baselines.h"
#include "tern/models/embed.h"
#include "tern/models/registry.h"
#include "tern/train/signals.h"
#include "tern/train/trainer.h"

namespace tern::app {
namespace {

namespace fs = std::filesystem;

struct DemoOptions {
  std::string out = "runs/demo";
  uint64_t seed = 1;
  int64_t steps = 480, people = 800, photos = 8, unseen = 240;
  std::string same;
};

// The recipe found by experiment (docs/measurements/demo.md).
TrainOptions recipe(const DemoOptions& options) {
  TrainOptions train;
  train.steps = options.steps;
  train.p = 32;
  train.k = 4;
  train.seed = options.seed;
  train.optimizer = "adamw";
  train.lr = 3e-3;
  train.weight_decay = 0.05;
  train.warmup_steps = std::min<int64_t>(30, options.steps / 5);
  train.triplet = {.mining = Mining::BatchAll, .margin = 0.15};
  train.preprocess = {.size = 64, .channels = 3};
  train.card.spec = {.arch = "face_net", .size = 64, .channels = 3, .embedding_dim = 128};
  train.card.preprocess = train.preprocess;
  train.card.training_margin = train.triplet.margin;
  train.run_directory = options.out;
  train.manifest["command"] = "\"demo\"";
  return train;
}

// Only what an earlier demo made may be replaced.
void clear_old_run(const std::string& folder) {
  if (!fs::exists(folder) || fs::is_empty(folder)) return;
  const FolderLock lock(folder);
  const std::string manifest = folder + "/manifest.json";
  bool ours = false;
  if (fs::exists(manifest)) {
    const auto json = nlohmann::json::parse(read_file(manifest), nullptr, false);
    ours = json.is_object() && json.value("command", "") == "demo";
  }
  check(ours, "demo: ", escaped(folder),
        " holds something that tern demo did not make; hint: name another folder with --out");
  std::error_code error;
  fs::remove_all(folder, error);
  check<IoError>(!error, "demo: cannot remove ", escaped(folder), ": ", error.message());
}

// Keeps what the report draws, and passes everything on to the console.
class Recorder final : public Observer {
 public:
  Recorder(Observer& next, DemoRecord& record) : next_(next), record_(record) {}
  void on_start(const RunInfo& info) override { next_.on_start(info); }
  void on_step(const StepInfo& info) override {
    record_.steps.push_back(static_cast<double>(info.step));
    record_.loss.push_back(info.loss);
    record_.active.push_back(info.stats().active_fraction());
    next_.on_step(info);
  }
  void on_evaluation(const EvaluationInfo& info) override {
    record_.validation_steps.push_back(static_cast<double>(info.step));
    record_.validation_auc.push_back(info.evaluation.auc);
    next_.on_evaluation(info);
  }
  void on_warning(const std::string& text) override { next_.on_warning(text); }
  void on_end(const TrainResult& result) override { next_.on_end(result); }

 private:
  Observer& next_;
  DemoRecord& record_;
};

Judged judge(const std::string& name, const std::vector<int64_t>& identity, const metrics::DistanceRow& row,
             uint64_t seed) {
  const auto distance = metrics::kept_distances(static_cast<int64_t>(identity.size()), row);
  Judged judged{
      name, metrics::evaluate(identity, distance, {.sampling = {.seed = seed}, .complete = false}), {}};
  const metrics::SampledPairs pairs = metrics::sample_pairs(identity, {.seed = seed});
  for (const auto& pair : pairs.pairs) {
    float d = 0;
    distance(pair.a, pair.b, pair.b + 1, &d);
    judged.pairs.push_back({pair, d});
  }
  judged.scores = metrics::all_pair_scores(identity, distance);
  return judged;
}

nlohmann::ordered_json row_of(const Judged& j) {
  return {{"accuracy", j.evaluation.verification.accuracy_mean},
          {"accuracy_std", j.evaluation.verification.accuracy_std},
          {"auc", j.evaluation.auc},
          {"eer", j.evaluation.eer},
          {"rank1", j.evaluation.rank1.rate}};
}

void print(const GlobalOptions& global, const DemoRecord& record, const std::string& report) {
  if (global.json) {
    nlohmann::ordered_json out{{"people", record.judged[0].evaluation.people},
                               {"seconds", record.seconds},
                               {"training_seconds", record.training_seconds},
                               {"model", record.checkpoint},
                               {"report", report}};
    for (const auto& j : record.judged) out[j.name] = row_of(j);
    std::cout << out.dump() << '\n';
    return;
  }
  std::cout << fmt::format("{} unseen people, {} pairs in folds\n", record.judged[0].evaluation.people,
                           record.judged[0].evaluation.fold_pairs);
  std::cout << fmt::format("{:<20} {:>10} {:>8} {:>8}\n", "", "accuracy", "AUC", "EER");
  for (const auto& j : record.judged)
    std::cout << fmt::format("{:<20} {:>10.4f} {:>8.4f} {:>8.4f}\n", j.name,
                             j.evaluation.verification.accuracy_mean, j.evaluation.auc, j.evaluation.eer);
  std::cout << fmt::format("{:.0f} s in all, {:.0f} s of training\nmodel: {}\n{}\n", record.seconds,
                           record.training_seconds, record.checkpoint, report);
}

int run_demo(const GlobalOptions& global, const DemoOptions& options) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  clear_old_run(options.out);
  constexpr int64_t kHeldOut = 40;  // choose the model's threshold; neither trained nor reported on
  SyntheticOptions faces{.size = 64,
                         .seed = options.seed,
                         .identities = options.people,
                         .photos = options.photos,
                         .same = SameCues::parse(options.same)};
  const SyntheticDataset people(faces);
  faces.first_identity = options.people;
  faces.identities = kHeldOut;
  const SyntheticDataset held_out(faces);
  faces.first_identity += kHeldOut;
  faces.identities = options.unseen;
  const SyntheticDataset unseen(faces);

  const TrainOptions train = recipe(options);
  const auto model = make_model(train.card.spec, options.seed);
  const std::vector<int64_t> identity = identity_of_photos(unseen);
  DemoRecord record;
  const auto photos = static_cast<int64_t>(identity.size());
  std::vector<Image> drawn(identity.size());  // once for all four ways of judging
  parallel_for(photos, 8, [&](int64_t begin_photo, int64_t end_photo) {
    for (int64_t i = begin_photo; i < end_photo; ++i) drawn[static_cast<size_t>(i)] = unseen.load(i);
  });
  const auto load = [&](int64_t i) { return drawn[static_cast<size_t>(i)]; };
  const Tensor before = embed_photos(*model, photos, load, train.preprocess);

  ConsoleObserver console(global, 25);
  Recorder recorder(console, record);
  SignalGuard signals;
  TrainOptions guarded = train;
  guarded.stop = [] { return SignalGuard::received() != 0; };
  Trainer trainer(*model, people, &held_out, guarded, &recorder);
  const auto training = Clock::now();
  const TrainResult result = trainer.run();
  record.training_seconds = std::chrono::duration<double>(Clock::now() - training).count();
  if (result.status == RunStatus::Interrupted) return 128 + SignalGuard::received();
  check<NumericError>(result.status == RunStatus::Finished,
                      "demo: training ended early: ", to_string(result.status));

  const Tensor after = embed_photos(*model, photos, load, train.preprocess);
  record.judged.push_back(
      judge("trained network", identity, metrics::euclidean_distances(after), options.seed));
  record.judged.push_back(
      judge("untrained network", identity, metrics::euclidean_distances(before), options.seed));
  record.judged.push_back(
      judge("raw pixels", identity, metrics::raw_pixel_distances(photos, load), options.seed));
  record.judged.push_back(
      judge("colour histogram", identity, metrics::histogram_distances(photos, load), options.seed));
  record.parameters = model->num_parameters();
  record.images_per_s = result.images_per_s;
  record.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  record.checkpoint = result.last_checkpoint;

  const std::string report = options.out + "/report/index.html";
  make_folders(options.out + "/report");
  write_file_atomically(report, demo_report(record, train, people, unseen));
  print(global, record, report);
  return 0;
}

}  // namespace

void add_demo(Cli& cli) {
  auto options = std::make_shared<DemoOptions>();
  Command sub = cli.command(
      "demo", "Train the face network on synthetic people and report how well it judges unseen ones",
      "  tern demo\n  tern demo --seed 2 --out runs/demo-2\n"
      "The last line printed is the path of the report.",
      [&cli, options](Command&) { return run_demo(cli.global, *options); });
  sub.text("--out", options->out, "Run directory; one that tern demo made is replaced")
      .type("DIR")
      .show_default();
  sub.seed(options->seed, "Other people, other weights, other batches");
  sub.number("--steps,--max-steps", options->steps, {1, 1e7}, "Training steps");
  sub.number("--people", options->people, {32, 1e6}, "People to train on");
  sub.number("--photos", options->photos, {4, 1000}, "Photos of each");
  sub.number("--unseen", options->unseen, {20, 1e4}, "People to judge, never trained on");
  sub.text("--same", options->same,
           "Cues made the same for everybody: outline, eyes, nose-mouth, hair, coloring, all")
      .type("CUES");
}

}  // namespace tern::app
