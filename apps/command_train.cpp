// tern train: a folder of photos, or synthetic people, to a model file.

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "tern/apps/commands.h"
#include "tern/apps/console.h"
#include "tern/apps/train_options.h"
#include "tern/core/error.h"
#include "tern/data/split.h"
#include "tern/train/checkpoint.h"
#include "tern/train/signals.h"
#include "tern/train/trainer.h"

namespace tern::app {
namespace {

namespace fs = std::filesystem;

// Before the photos are looked through: that can take minutes.
void check_new_run(const std::string& directory) {
  std::error_code error;
  check(
      !fs::exists(directory, error) || (fs::is_directory(directory, error) && fs::is_empty(directory, error)),
      "train: the run directory ", escaped(directory), " is not empty; hint: another --name, or --resume ",
      escaped(directory));
}

std::string default_name() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  char text[64];
  std::tm parts{};
  std::strftime(text, sizeof text, "train-%Y%m%d-%H%M%S", localtime_r(&now, &parts));
  return text;
}

// The people to train on and those held out, in the order they are destroyed.
struct People {
  std::unique_ptr<Dataset> all, other;
  std::unique_ptr<SubsetDataset> train, held_out;

  const Dataset& training() const { return train ? *train : *all; }
  const Dataset* judged() const { return other ? other.get() : held_out.get(); }
};

People open(const TrainFlags& flags, std::vector<std::string>& notes) {
  People people;
  people.all = open_people(flags.people, notes);
  if (!flags.val_data.empty()) {
    people.other = std::make_unique<FolderDataset>(flags.val_data);
    check_disjoint(*people.all, *people.other);  // names and the bytes of the photos
  } else if (flags.val_split > 0) {
    const IdentitySplit split = split_identities(people.all->identities(), flags.val_split, flags.train.seed);
    people.train = std::make_unique<SubsetDataset>(*people.all, split.train);
    people.held_out = std::make_unique<SubsetDataset>(*people.all, split.held_out);
  }
  return people;
}

void describe_run(const Command& command, const TrainFlags& flags,
                  std::map<std::string, std::string>& manifest) {
  const auto text = [](const std::string& value) { return nlohmann::json(value).dump(); };
  manifest["command"] = text("train");
  manifest["flags"] = flags_json(command);
  manifest["data"] = text(flags.people.data.empty() ? "synthetic" : flags.people.data);
  manifest["identities"] = text(flags.people.identities);
  manifest["exclude_identities"] = text(flags.people.exclude);
}

void print(const GlobalOptions& global, const TrainResult& result) {
  if (global.json) {
    nlohmann::ordered_json out{{"status", to_string(result.status)}};
    out["best_metric"] = result.best_metric ? nlohmann::ordered_json(*result.best_metric) : nullptr;
    out["best_checkpoint"] = result.best_checkpoint;
    out["last_checkpoint"] = result.last_checkpoint;
    out["steps"] = result.steps;
    out["images_per_s"] = result.images_per_s;
    std::cout << out.dump() << '\n';
    return;
  }
  if (result.best_metric)
    std::cout << fmt::format("best AUC on unseen people: {:.4f}\n", *result.best_metric);
  else std::cout << "no people held out; hint: --val-split or --val-data\n";
  std::cout << (result.best_checkpoint.empty() ? result.last_checkpoint : result.best_checkpoint) << '\n';
}

// A run that failed before its first step leaves nothing, so that it can be started again under its name.
void remove_unstarted(const std::string& directory) {
  std::error_code error;
  if (fs::exists(directory + "/metrics.jsonl", error) || !fs::is_empty(directory + "/checkpoints", error))
    return;
  for (const char* file : {"config.toml", "manifest.json", "log.txt", "checkpoints", ""})
    fs::remove(directory + "/" + file, error);
}

TrainResult train(nn::Module& model, const People& people, const TrainOptions& options, Observer& observer) {
  try {
    return Trainer(model, people.training(), people.judged(), options, &observer).run();
  } catch (const std::exception&) {
    if (options.resume.empty()) remove_unstarted(options.run_directory);
    throw;
  }
}

int print_needs(const GlobalOptions& global, nn::Module& model, const People& people,
                const TrainOptions& options) {
  const int64_t bytes = Trainer(model, people.training(), people.judged(), options).estimate_step_memory();
  const nlohmann::ordered_json out{{"step_bytes", bytes}, {"parameters", model.num_parameters()}};
  if (global.json) std::cout << out.dump() << '\n';
  else
    std::cout << fmt::format("one step takes about {} MiB; {} parameters\n", bytes >> 20,
                             model.num_parameters());
  return 0;
}

int exit_code(const TrainResult& result) {
  if (result.status == RunStatus::Interrupted) return 128 + std::max(1, SignalGuard::received());
  return result.status == RunStatus::Finished ? 0 : static_cast<int>(ErrorKind::Numeric);
}

// Where the run is written; a resumed one takes over the flags it was started with, and stays where it is
// unless --name says otherwise.
std::string run_directory(Command& command, TrainFlags& flags) {
  if (flags.train.resume.empty()) return flags.out + "/" + (flags.name.empty() ? default_name() : flags.name);
  const Checkpoint from = find_checkpoint(flags.train.resume);
  const fs::path folder = fs::path(from.weights).parent_path().parent_path();
  const std::string old = folder.empty() ? "." : folder.string();
  const std::string own = flags.name.empty() ? old : flags.out + "/" + flags.name;
  adopt_flags(command, old + "/manifest.json");
  return own;
}

int run_train(const GlobalOptions& global, Command& command, TrainFlags& flags) {
  const std::string directory = run_directory(command, flags);
  if (flags.train.resume.empty() && !flags.dry_run) check_new_run(directory);
  use_native_sizes(command, flags);
  flags.train.device = device_of(global);
  flags.train.graph = flags.train.device.is_cuda();  // the networks of models/ do the same at each step
  flags.people.synthetic.size = std::min(flags.train.preprocess.size, kLargestFace);
  std::vector<std::string> notes;
  const People people = open(flags, notes);
  finish(flags, people.training());
  flags.train.run_directory = flags.dry_run ? "" : directory;
  describe_run(command, flags, flags.train.manifest);

  const auto model = make_model(flags.model, flags.train.seed);
  if (!flags.init_from.empty() && flags.train.resume.empty()) load_weights(*model, flags.init_from);
  if (flags.dry_run) flags.train.resume.clear();  // it would cut the run's metrics back
  ConsoleObserver console(global, flags.train.log_every);
  for (const auto& note : notes) console.note(note);
  SignalGuard signals;
  flags.train.stop = [] { return SignalGuard::received() != 0; };
  if (flags.dry_run) return print_needs(global, *model, people, flags.train);
  const TrainResult result = train(*model, people, flags.train, console);
  print(global, result);
  return exit_code(result);
}

}  // namespace

void add_train(Cli& cli) {
  auto flags = std::make_shared<TrainFlags>();
  Command command = cli.command(
      "train", "Train a face network on a folder of photos or on synthetic people",
      "  tern train --data photos --max-steps 2000\n"
      "  tern train --synthetic-identities 400 --max-steps 500 --eval-every 100\n"
      "  tern train --resume runs/train-20260131-120000\n"
      "The run directory gets config.toml, manifest.json, metrics.jsonl, log.txt and checkpoints/.",
      [&cli, flags](Command& command) { return run_train(cli.global, command, *flags); });
  add_train_flags(command, *flags);
}

}  // namespace tern::app
