#include "tern/apps/train_options.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tern/core/cuda_options.h"
#include "tern/core/error.h"
#include "tern/core/fs.h"

namespace tern::app {
namespace {

constexpr double kMany = 1e12;

// "batch-hard" and "BatchHard" are the same rule.
std::string key_of(std::string_view name) {
  std::string key;
  for (const char c : name)
    if (c != '-' && c != '_') key += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return key;
}

Mining mining_of(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(Mining::DistanceWeighted); ++i)
    if (key_of(to_string(static_cast<Mining>(i))) == key_of(name)) return static_cast<Mining>(i);
  throw UsageError("train: --mining " + name + " is not known");
}

Distance distance_of(const std::string& name) {
  if (name == "euclidean") return Distance::Euclidean;
  if (name == "sqeuclidean") return Distance::SquaredEuclidean;
  return Distance::Cosine;
}

void add_people_flags(Command& command, TrainFlags& f) {
  add_people_options(command, f.people, true);
  command
      .text("--val-data", f.val_data,
            "A folder of other people to judge the model on, instead of --val-split")
      .type("DIR");
  command.number("--val-split", f.val_split, {0, 0.9}, "Share of the people held out for judging; 0: none");
}

void add_photo_flags(Command& command, TrainFlags& f) {
  command.number(
      "--image-size", f.train.preprocess.size, {32, 512},
      "Side of the photos the network sees, pixels; other networks have their own (tern info --arch)");
  command.number("--channels", f.train.preprocess.channels, {1, 3}, "1: grey, 3: colour");
  command.number(
      "--crop", f.train.preprocess.crop, {0.05, 2},
      "Central square used, as a fraction of the shorter side; above 1 the edges of the photo are repeated "
      "(92x112 photos are seen whole with 1.22)");
  command.number("-j,--workers", f.train.workers, {0, 256}, "Threads that read photos");
  command.choice("--augment", f.augment, {"none", "basic"}, "Changes made to training photos");
  auto& a = f.train.augment;
  command.number("--augment-flip", a.flip, {0, 1}, "Probability of mirroring");
  command.number("--augment-shift", a.shift, {0, 0.5}, "Largest move, fraction of the side");
  command.number("--augment-rotation", a.rotation, {0, 180}, "Largest turn, degrees");
  command.number("--augment-scale", a.scale, {0, 1}, "Largest zoom");
  command.number("--augment-brightness", a.brightness, {0, 1}, "Largest change of brightness");
  command.number("--augment-contrast", a.contrast, {0, 1}, "Largest change of contrast");
  command.number("--augment-saturation", a.saturation, {0, 1}, "Largest change of saturation");
  command.number("--augment-erase", a.erase, {0, 1}, "Probability of erasing a rectangle");
  command.number("--augment-erase-side", a.erase_side, {0, 0.5}, "Largest side of it, fraction of the side");
}

void add_optimisation_flags(Command& command, TrainFlags& f) {
  auto& t = f.train;
  command.number("--max-steps,--steps", t.steps, {1, kMany}, "Steps to train");
  command.number("--epochs", f.epochs, {0, 1e9},
                 "Instead of --max-steps: times that each photo is seen; 0: by --max-steps");
  command.number("--batch-p", f.batch_p, {0, 65536},
                 "People in a batch; 0: 16, or all where there are fewer");
  command.number("--batch-k", t.k, {0, 10000},
                 "Photos of each in a batch; 0: 4, or 2 where most people have fewer");
  command.number("-b,--batch-size", f.batch_size, {0, 1e6},
                 "Instead of --batch-p: photos in a batch; 0: by --batch-p");
  command.choice("--optimizer", t.optimizer, {"sgd", "adamw"}, "Optimizer");
  command.number("--lr,--learning-rate", t.lr, {1e-12, 1e3}, "Learning rate");
  command.number("--momentum", t.momentum, {0, 1}, "Momentum of sgd");
  command.number("--weight-decay,--wd", t.weight_decay, {0, 1e3}, "Weight decay");
  command.number("--clip-grad-norm", t.clip_norm, {0, 1e9}, "Largest norm of the gradient; 0: any");
  command.choice("--lr-schedule", t.schedule, {"constant", "step", "cosine"}, "Learning-rate schedule");
  command.number("--warmup-steps", t.warmup_steps, {0, kMany}, "Steps of linear warm-up");
  command.number("--decay-every", t.decay_every, {0, kMany},
                 "Schedule step: steps between decays; 0: a third of all");
  command.number("--decay-factor", t.decay_factor, {0, 1}, "Schedule step: factor of a decay");
  command.flag("--recompute", f.train.recompute,
               "Compute outputs of batch norms again instead of keeping them: less memory, the same result");
  command.choice("--precision", f.precision, {"f32", "tf32", "bf16"},
                 "Precision of activations; tf32: f32 whose products are rounded, on a GPU");
  command.flag("--deterministic", f.deterministic,
               "On a GPU the same bits in every run: no algorithm is chosen by measuring it");
  command.seed(t.seed, "Everything random follows from it");
}

void add_loss_flags(Command& command, TrainFlags& f) {
  command.choice("--loss", f.train.loss, {"triplet", "contrastive"}, "Loss");
  command
      .text("--margin", f.margin,
            "Margin of the loss, in units of the distance, or 'soft' (default 0.2, for contrastive 1)")
      .type("N|soft");
  command.choice("--mining", f.mining,
                 {"batch-all", "batch-hard", "semi-hard", "semi-hard-or-hardest", "random-violator",
                  "easy-positive", "distance-weighted"},
                 "Which triplets of a batch count");
  command.choice("--distance", f.distance, {"euclidean", "sqeuclidean", "cosine"}, "Distance of the loss");
  command.choice("--on-collapse", f.on_collapse, {"warn", "stop"}, "When all embeddings fall together");
}

void add_run_flags(Command& command, TrainFlags& f) {
  auto& t = f.train;
  command.text("--out", f.out, "Folder of runs").type("DIR").show_default();
  command.text("--name", f.name, "Name of the run (default train-DATE-TIME)").type("NAME");
  command
      .text("--resume", t.resume,
            "Go on with a run: its folder or one of its checkpoints; no other option is needed")
      .type("PATH");
  command.text("--init-from", f.init_from, "Begin with the weights of this file").type("FILE");
  command.number("--save-every", t.save_every, {0, kMany},
                 "Steps between checkpoints; 0: at each evaluation");
  command.number("--keep", t.keep, {0, 1e6}, "Checkpoints kept beside the best; 0: all");
  command.number("--eval-every", t.eval_every, {0, kMany}, "Steps between evaluations; 0: at the end only");
  command.number("--eval-photos", t.eval_photos, {2, 1e5}, "Photos judged at each evaluation, at most");
  command.number("--log-every", t.log_every, {1, kMany},
                 "Steps between lines of metrics.jsonl and of the console");
  command.flag("--dry-run", f.dry_run, "Print what a step needs, and stop");
}

}  // namespace

void add_train_flags(Command& command, TrainFlags& f) {
  const auto names = known_models();
  command.choice("--arch", f.model.arch, names, "Network");
  command.number("--embedding-dim", f.model.embedding_dim, {2, 4096}, "Length of an embedding");
  command.heading("Network");
  add_people_flags(command, f);
  command.heading("People");
  add_photo_flags(command, f);
  command.heading("Photos");
  add_optimisation_flags(command, f);
  command.heading("Optimisation");
  add_loss_flags(command, f);
  command.heading("Loss");
  add_run_flags(command, f);
  command.heading("Run");
}

void use_native_sizes(const Command& command, TrainFlags& f) {
  const ModelSpec native = native_spec(f.model.arch);
  const auto given = [&](const char* name) { return command.option(name)->given(); };
  if (!given("image-size")) f.train.preprocess.size = native.size;
  if (!given("channels")) f.train.preprocess.channels = native.channels;
  if (!given("embedding-dim")) f.model.embedding_dim = native.embedding_dim;
}

void finish(TrainFlags& f, const Dataset& people) {
  check(f.train.preprocess.channels != 2, "train: --channels is 2; hint: 1 (grey) or 3 (colour)");
  TrainOptions& t = f.train;
  if (f.margin == "soft") {
    t.triplet.soft_margin = true;
  } else if (!f.margin.empty()) {
    char* end = nullptr;
    const double margin = std::strtod(f.margin.c_str(), &end);
    check(!*end && std::isfinite(margin) && margin >= 0, "train: --margin '", escaped(f.margin),
          "' is neither a number from 0 nor 'soft'");
    (t.loss == "contrastive" ? t.contrastive_margin : t.triplet.margin) = margin;
  }
  check(f.precision != "tf32" || t.device.is_cuda(),
        "train: --precision tf32 is of GPUs; hint: --device cuda, or --precision f32");
  t.precision = f.precision == "bf16" ? DType::BF16 : DType::F32;
  set_cuda_options(
      {.tf32 = f.precision == "tf32", .deterministic = f.deterministic, .autotune = !f.deterministic});
  t.triplet.mining = mining_of(f.mining);
  t.triplet.distance = distance_of(f.distance);
  t.stop_on_collapse = f.on_collapse == "stop";
  if (f.augment == "none") t.augment = AugmentOptions::none();
  if (f.batch_size > 0) {
    const int k = t.k > 0 ? t.k : 4;
    check(f.batch_size % k == 0, "train: --batch-size ", f.batch_size, " is not a multiple of ", k,
          " photos a person; hint: --batch-k, or --batch-p and --batch-k");
    t.k = k;
    t.p = static_cast<int>(f.batch_size / k);
  } else {
    t.p = f.batch_p > 0 ? f.batch_p : static_cast<int>(std::min<int64_t>(16, people.identities()));
  }
  if (f.epochs > 0) {
    const int64_t batch = static_cast<int64_t>(t.p) * (t.k > 0 ? t.k : 4);
    t.steps = f.epochs * ((people.size() + batch - 1) / batch);
  }
  f.model.size = t.preprocess.size;
  f.model.channels = t.preprocess.channels;
  check_spec(f.model);
  t.card.spec = f.model;
  t.card.preprocess = t.preprocess;
}

namespace {

// Paths are kept absolute, so that a run is resumed from any folder.
bool is_path(const std::string& flag) {
  return flag == "data" || flag == "val-data" || flag == "identities" || flag == "exclude-identities" ||
         flag == "init-from";
}

// Flags whose change would be noticed late or told in hashes: who is trained on, and which network.
const std::vector<std::string> kFixed = {"data",
                                         "val-data",
                                         "identities",
                                         "val-split",
                                         "synthetic-photos",
                                         "exclude-identities",
                                         "synthetic-first",
                                         "synthetic-identities",
                                         "same",
                                         "arch",
                                         "embedding-dim"};

bool equal_values(const std::string& a, const std::string& b) {
  if (a == b) return true;
  char *end_a = nullptr, *end_b = nullptr;
  const double x = std::strtod(a.c_str(), &end_a), y = std::strtod(b.c_str(), &end_b);
  return !a.empty() && !b.empty() && !*end_a && !*end_b && x == y;
}

std::vector<std::string> values_of(const Option& option) {
  std::vector<std::string> values = option.values();
  if (is_path(option.name()))
    for (auto& value : values) value = std::filesystem::absolute(value).lexically_normal().string();
  return values;
}

}  // namespace

std::string flags_json(const Command& command) {
  nlohmann::ordered_json flags = nlohmann::ordered_json::object();
  for (const Option& option : command.options()) {
    const std::string name = option.name();
    if (!option.given() || name.empty()) continue;
    if (name != "resume" && name != "help" && name != "dry-run") flags[name] = values_of(option);
  }
  return flags.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void adopt_flags(Command& command, const std::string& manifest_path) {
  const auto manifest = nlohmann::json::parse(read_file(manifest_path), nullptr, false);
  check<IncompatibleError>(!manifest.is_discarded() && manifest.is_object(), escaped(manifest_path),
                           ": is not the manifest of a run");
  const auto flags = manifest.value("flags", nlohmann::json::object());
  check<IncompatibleError>(flags.is_object(), escaped(manifest_path), ": its flags are not an object");
  const auto saved = [&](const std::string& name) {
    std::vector<std::string> values;
    if (flags.contains(name) && flags[name].is_array())
      for (const auto& value : flags[name])
        if (value.is_string()) values.push_back(value.get<std::string>());
    return values;
  };
  for (const auto& name : kFixed) {
    const auto option = command.option(name);
    if (!option || !option->given()) continue;
    const auto values = saved(name);
    const std::string before = values.empty() ? option->default_text() : values[0];
    const std::string now = values_of(*option)[0];
    check(equal_values(before, now), "train: --", name, " is ", escaped(now),
          ", but the run was started with ", before.empty() ? "none" : escaped(before),
          "; hint: leave the option out, or begin a new run with --init-from");
  }
  for (const auto& [name, ignored] : flags.items()) {
    auto option = command.option(name);
    if (option && !option->given() && name != "resume") option->give(saved(name));
  }
}

}  // namespace tern::app
