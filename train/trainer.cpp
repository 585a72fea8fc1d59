#include "tern/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>

#include "tern/core/allocator.h"
#include "tern/core/error.h"
#include "tern/core/sha256.h"
#include "tern/data/loader.h"
#include "tern/data/sampler.h"
#include "tern/data/split.h"
#include "tern/nn/state_dict.h"
#include "tern/train/checkpoint.h"
#include "tern/train/evaluation_set.h"
#include "tern/train/memory_estimate.h"
#include "tern/train/model_use.h"
#include "tern/train/run_directory.h"
#include "tern/train/training_step.h"

namespace tern {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

TrainingStepOptions step_options(const TrainOptions& o) {
  return {o.device, {o.preprocess.size, o.preprocess.mean, o.preprocess.std, o.precision}, o.graph};
}

}  // namespace

struct Trainer::Impl {
  Impl(nn::Module& model, const Dataset& train, const Dataset* held_out, TrainOptions options,
       Observer* observer);

  TrainResult run();
  RunStatus loop();
  void next_batch();
  void start_step();
  StepInfo finish_step();
  void finish_running();
  EvaluationInfo evaluate();
  void resume();
  void save(const EvaluationInfo& evaluation);
  void after_step(const StepInfo& info);
  void warn(const std::string& text);
  void log(const std::string& text);
  void write_manifest(const std::string& status);
  RunInfo describe();
  int64_t estimate_step_memory() {
    return tern::estimate_step_memory(model, *optimizer, options, sampler.batch_size());
  }
  std::map<std::string, std::string> course() const;
  bool due(int64_t every) const { return is_due(every, done); }
  static bool is_due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

  nn::Module& model;
  const Dataset& train;
  const Dataset* held_out;
  TrainOptions options;
  Observer silent;
  Observer& observer;
  PKSampler sampler;
  std::unique_ptr<nn::Optimizer> optimizer;
  nn::Schedule schedule;
  TrainingStep training_step;
  CollapseAlarm alarm;
  std::string fingerprint;
  std::optional<RunDirectory> run_directory;
  std::unique_ptr<Loader> loader;
  std::deque<Batch> pending;  // drawn, and not yet learnt from: a step that threw is run again with it
  struct Running {
    Batch batch;
    StepInfo info;
    Clock::time_point started;
  };
  std::deque<Running> running;  // started, and not yet known to be finite
  Clock::time_point finished;   // when the last one was
  std::optional<EvaluationSet> evaluation_set;
  std::optional<EvaluationInfo> latest;  // of the weights as they are now
  std::optional<double> best_auc;
  int64_t done = 0, first_step = 0;
  bool collapsed = false;
  std::string last_weights, started;
  double images_per_s = 0, run_seconds = 0;
  int64_t run_images = 0;
};

Trainer::Impl::Impl(nn::Module& model, const Dataset& train, const Dataset* held_out, TrainOptions given,
                    Observer* observer)
    : model(model),
      train(train),
      held_out(held_out),
      options((check_options(given), std::move(given))),
      observer(observer ? *observer : silent),
      sampler(train, {.p = options.p, .k = options.k, .seed = options.seed}),
      optimizer((model.to(options.device), make_optimizer(model, options))),
      schedule(make_schedule(options)),
      training_step(model, *optimizer, make_loss(options), step_options(options)),
      alarm(triplet_loss_of(options), options.collapse),
      fingerprint(data_fingerprint(train)) {
  options.k = sampler.k();
  if (held_out) check_disjoint(train, *held_out, false);
  if (!options.resume.empty()) resume();
  if (run_directory || options.run_directory.empty()) return;
  run_directory.emplace(options.run_directory, false);
}

// Goes on from the last pair that can be read whole; one that is damaged is passed over with a warning.
void Trainer::Impl::resume() {
  const bool is_run = std::filesystem::is_directory(options.resume);
  if (is_run && options.run_directory.empty()) options.run_directory = options.resume;
  LoadedCheckpoint loaded = load_checkpoint(options.resume);
  check_same_course(loaded.state.options, course());
  nn::load_state_dict(model, loaded.weights);
  optimizer->load_state(loaded.state.optimizer);
  done = first_step = loaded.state.step;
  last_weights = loaded.checkpoint.weights;
  const std::string folder = std::filesystem::path(last_weights).parent_path().string();
  for (const Checkpoint& c : complete_checkpoints(folder)) {
    if (c.step <= done && c.auc && (!best_auc || *c.auc > *best_auc)) best_auc = c.auc;
  }
  if (options.run_directory.empty()) return;
  const std::string own = options.run_directory + "/checkpoints";
  std::error_code ignored;
  if (!std::filesystem::equivalent(own, folder, ignored)) return;  // a new run from another's checkpoint
  run_directory.emplace(options.run_directory, true);
  run_directory->rewind_metrics(done);
  remove_stale_temporaries(folder);
  for (const std::string& text : loaded.warnings) warn(text);
}

std::map<std::string, std::string> Trainer::Impl::course() const {
  auto course = course_of(options);
  course["data"] = fingerprint;
  return course;
}

void Trainer::Impl::log(const std::string& text) {
  if (run_directory) run_directory->log(text);
}

void Trainer::Impl::warn(const std::string& text) {
  log("warning: " + text);
  observer.on_warning(text);
}

RunInfo Trainer::Impl::describe() {
  RunInfo info;
  info.first_step = done, info.steps = options.steps;
  info.photos = train.size(), info.people = train.identities();
  if (held_out) info.held_out_photos = held_out->size(), info.held_out_people = held_out->identities();
  info.p = options.p, info.k = options.k;
  info.parameters = model.num_parameters();
  info.memory_estimate = estimate_step_memory();
  if (run_directory) info.run_directory = run_directory->path();
  return info;
}

void Trainer::Impl::write_manifest(const std::string& status) {
  if (!run_directory) return;
  auto entries = machine_entries();
  entries["status"] = json_text(status);
  entries["started"] = json_text(started);
  if (status != "running") entries["ended"] = json_text(utc_now());
  entries["first_step"] = std::to_string(first_step);
  entries["steps"] = std::to_string(done);
  entries["seed"] = std::to_string(options.seed);
  entries["data_fingerprint"] = json_text(fingerprint);
  entries["photos"] = std::to_string(train.size());
  entries["people"] = std::to_string(train.identities());
  entries["held_out_people"] = std::to_string(held_out ? held_out->identities() : 0);
  if (held_out) entries["held_out_fingerprint"] = json_text(data_fingerprint(*held_out));
  for (const auto& [key, value] : options.manifest) entries[key] = value;
  run_directory->write_manifest(entries);
}

void Trainer::Impl::next_batch() {
  if (!pending.empty()) return;
  if (!loader) {
    loader = std::make_unique<Loader>(
        train, sampler, options.preprocess, options.augment,
        LoaderOptions{.workers = options.workers, .seed = options.seed, .first_step = done});
  }
  try {
    pending.push_back(loader->next());
  } catch (...) {
    loader.reset();  // it is finished after a throw; the step may be tried again with a new one
    throw;
  }
}

void Trainer::Impl::start_step() {
  const auto started = Clock::now();
  next_batch();
  const double loading = seconds_since(started);
  const StepBatch batch{pending.front().photos, pending.front().table, pending.front().labels};
  if (!training_step.goes_on_alone(batch)) finish_running();
  model.train();
  optimizer->set_lr(schedule.at(done));
  {
    const RecomputeGuard recompute(options.recompute);
    training_step.start(batch, done);
  }
  StepInfo info;
  info.step = ++done, info.steps = options.steps;
  info.lr = optimizer->lr();
  info.photos = static_cast<int64_t>(pending.front().indices.size());
  info.people = pending.front().identities, info.short_people = pending.front().short_identities;
  info.loading_seconds = loading;
  running.push_back({std::move(pending.front()), info, started});
  pending.pop_front();
  latest.reset();
  if (const auto notice = training_step.take_notice()) warn(*notice);
}

StepInfo Trainer::Impl::finish_step() {
  StepOutcome outcome;
  try {
    outcome = training_step.finish();
  } catch (...) {  // it and those after it have not happened
    done -= static_cast<int64_t>(running.size());
    for (; !running.empty(); running.pop_back()) pending.push_front(std::move(running.back().batch));
    throw;
  }
  StepInfo info = std::move(running.front().info);
  info.loss = outcome.loss, info.grad_norm = outcome.grad_norm;
  info.stats = std::move(outcome.stats);
  // Steps under way at the same time share the time between them.
  info.seconds = seconds_since(std::max(running.front().started, finished));
  finished = Clock::now();
  running.pop_front();
  run_images += info.photos;
  run_seconds += info.seconds;
  const double now = static_cast<double>(info.photos) / std::max(1e-9, info.seconds);
  images_per_s = images_per_s == 0 ? now : 0.9 * images_per_s + 0.1 * now;
  info.images_per_s = images_per_s;
  return info;
}

void Trainer::Impl::finish_running() {
  while (!running.empty()) after_step(finish_step());
}

EvaluationInfo Trainer::Impl::evaluate() {
  if (latest) return *latest;
  if (!evaluation_set) {
    evaluation_set.emplace(held_out ? *held_out : train, options.preprocess, options.eval_photos,
                           judged_view(options, held_out != nullptr));
  }
  EvaluationInfo info;
  info.step = done;
  info.held_out = held_out != nullptr;
  const Tensor embeddings = evaluation_set->embed(model, compares_at_unit_length(options));
  info.evaluation = metrics::evaluate(embeddings, evaluation_set->identity());
  info.best = info.held_out && (!best_auc || info.evaluation.auc > *best_auc);
  if (info.best) best_auc = info.evaluation.auc;
  latest = info;
  return info;
}

void Trainer::Impl::after_step(const StepInfo& info) {
  observer.on_step(info);
  const bool logged = is_due(options.log_every, info.step) || info.step == options.steps;
  if (run_directory && logged) run_directory->append_metrics(to_json(info));
  // What lies on a GPU is read where the step is logged, so that the steps between need not be waited for.
  if (!info.stats.at_hand() && !logged) return;
  if (info.stats().valid == 0) return;
  if (const auto text = alarm.watch(info.step, info.loss, info.stats())) {
    warn(*text);
    collapsed = options.stop_on_collapse;
  }
}

void Trainer::Impl::save(const EvaluationInfo& info) {
  if (!run_directory) return;
  const std::string folder = run_directory->checkpoints();
  const CheckpointInfo files{done, weights_path(folder, done), state_path(folder, done)};
  TrainingState state{done, save_model(files.weights, model, model_card(options, info)), std::nullopt,
                      course(), optimizer->state()};
  if (info.held_out) state.auc = info.evaluation.auc;
  save_state(files.state, state);
  last_weights = files.weights;
  prune_checkpoints(folder, options.keep);
  observer.on_checkpoint(files);
}

RunStatus Trainer::Impl::loop() {
  while (done < options.steps) {
    start_step();
    while (!running.empty() && (training_step.over() || std::ssize(running) > kAhead))
      after_step(finish_step());
    const bool stop = options.stop && options.stop();
    const bool last = stop || collapsed || done >= options.steps;
    if (last || due(options.eval_every) || due(options.save_every)) {
      finish_running();
      const EvaluationInfo info = evaluate();
      if (run_directory) run_directory->append_metrics(to_json(info));
      observer.on_evaluation(info);
      if (last || info.best || options.save_every == 0 || due(options.save_every)) save(info);
    }
    if (collapsed) return RunStatus::Collapsed;
    if (stop && done < options.steps) return RunStatus::Interrupted;
  }
  return RunStatus::Finished;
}

TrainResult Trainer::Impl::run() {
  started = utc_now();
  first_step = done;
  if (run_directory) {
    run_directory->write_config(to_toml(options));
    write_manifest("running");
  }
  try {
    const RunInfo info = describe();
    // A device's allocator refuses by itself, and the step is a transaction.
    const int64_t available = options.device.is_cpu() ? available_memory() : info.memory_estimate;
    check<MemoryError>(info.memory_estimate <= available, "train: a step with ", options.p, " x ", options.k,
                       " photos needs about ", info.memory_estimate >> 20, " MiB, ", available >> 20,
                       " MiB are available; hint: a smaller batch, smaller photos or a smaller network");
    observer.on_start(info);
    log(concat_text("start at step ", done, " of ", options.steps, ": ", info.people, " people, ",
                    info.photos, " photos, ", info.parameters, " parameters, batches of ", options.p, " x ",
                    options.k));
    TrainResult result;
    result.status = loop();
    result.steps = done;
    result.images_per_s = run_seconds > 0 ? static_cast<double>(run_images) / run_seconds : 0;
    result.evaluation = evaluate();
    result.best_metric = best_auc;
    if (run_directory) {
      result.last_checkpoint = last_weights;
      const auto best = best_checkpoint(run_directory->checkpoints());
      result.best_checkpoint = best ? best->weights : last_weights;
    }
    write_manifest(std::string(to_string(result.status)));
    log(concat_text(to_string(result.status), " at step ", done));
    observer.on_end(result);
    return result;
  } catch (const std::exception& error) {
    try {
      while (!running.empty()) finish_step();  // so that what is counted as done is
    } catch (const Error&) {
    }
    try {  // the folder may be what failed
      write_manifest(std::string("failed: ") + error.what());
      log(std::string("failed: ") + error.what());
    } catch (const Error&) {
    }
    throw;
  }
}

Trainer::Trainer(nn::Module& model, const Dataset& train, const Dataset* held_out, TrainOptions options,
                 Observer* observer)
    : impl_(std::make_unique<Impl>(model, train, held_out, std::move(options), observer)) {}
Trainer::~Trainer() = default;

TrainResult Trainer::run() { return impl_->run(); }
StepInfo Trainer::step() {
  impl_->start_step();
  return impl_->finish_step();
}
EvaluationInfo Trainer::evaluate() { return impl_->evaluate(); }
int64_t Trainer::estimate_step_memory() { return impl_->estimate_step_memory(); }
int64_t Trainer::steps_done() const { return impl_->done; }

std::string data_fingerprint(const Dataset& dataset) {
  Sha256 hash;
  const auto add = [&hash](const std::string& text) { hash.update(concat_text(text.size(), ":", text)); };
  for (int64_t id = 0; id < dataset.identities(); ++id) add(dataset.identity_name(id));
  for (int64_t photo = 0; photo < dataset.size(); ++photo) {
    add(concat_text(dataset.identity(photo), "/", dataset.photo_name(photo)));
  }
  return hash.hex();
}

}  // namespace tern
