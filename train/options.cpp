#include "tern/train/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <string_view>

#include "tern/core/error.h"

namespace tern {
namespace {

std::string text(double value) {
  char buffer[64];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}
std::string text(int64_t value) { return std::to_string(value); }
std::string text(bool value) { return value ? "true" : "false"; }

// TOML tells 1 from 1.0, so a number keeps its kind.
std::string toml(double value) {
  std::string number = text(value);
  if (number.find_first_of(".en") == std::string::npos) number += ".0";
  return number;
}

std::string toml_string(std::string_view value) {
  std::string result = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

void check_one_of(const char* option, const std::string& value, std::initializer_list<const char*> allowed) {
  std::string list;
  for (const char* name : allowed) {
    if (value == name) return;
    list += list.empty() ? name : std::string(", ") + name;
  }
  check(false, "train: ", option, " is '", escaped(value), "'; known are ", list);
}

void check_range(const char* option, double value, double low, double high) {
  check(value >= low && value <= high, "train: ", option, " is ", value, ", allowed is ", low, " to ", high);
}

// Options by the names of their flags; `number` and the like turn values into text.
template <class Number, class Text>
void list_course(const TrainOptions& o, Number&& number, Text&& word) {
  number("max-steps", o.steps);
  number("batch-p", int64_t{o.p});
  number("batch-k", int64_t{o.k});
  number("seed", static_cast<int64_t>(o.seed));
  word("precision", std::string(to_string(o.precision)));
  word("loss", o.custom_loss ? std::string("custom") : o.loss);
  word("mining", std::string(to_string(o.triplet.mining)));
  number("margin", o.loss == "contrastive" ? o.contrastive_margin : o.triplet.margin);
  number("soft-margin", o.triplet.soft_margin);
  number("normalize", o.triplet.normalize);
  word("distance", std::string(to_string(o.triplet.distance)));
  word("optimizer", o.optimizer);
  number("lr", o.lr);
  number("momentum", o.momentum);
  number("weight-decay", o.weight_decay);
  number("clip-grad-norm", o.clip_norm);
  word("lr-schedule", o.schedule);
  number("warmup-steps", o.warmup_steps);
  number("decay-every", o.decay_every);
  number("decay-factor", o.decay_factor);
  number("image-size", int64_t{o.preprocess.size});
  number("channels", int64_t{o.preprocess.channels});
  number("crop", o.preprocess.crop);
  number("augment-flip", o.augment.flip);
  number("augment-shift", o.augment.shift);
  number("augment-rotation", o.augment.rotation);
  number("augment-scale", o.augment.scale);
  number("augment-brightness", o.augment.brightness);
  number("augment-contrast", o.augment.contrast);
  number("augment-saturation", o.augment.saturation);
  number("augment-erase", o.augment.erase);
  number("augment-erase-side", o.augment.erase_side);
}

}  // namespace

void check_options(const TrainOptions& o) {
  constexpr double kMany = 1e15;
  check_range("max-steps", static_cast<double>(o.steps), 1, kMany);
  check_range("batch-p", o.p, 2, 1e6);
  check(o.k == 0 || o.k >= 2, "train: batch-k is ", o.k,
        ", allowed is 2 and more, or 0 to choose by the data");
  check_range("workers", o.workers, 0, 256);
  check(o.precision == DType::F32 || o.precision == DType::BF16, "train: precision is ", o.precision,
        "; known are f32, bf16");
  if (!o.custom_loss) check_one_of("loss", o.loss, {"triplet", "contrastive"});
  check_range("margin", o.triplet.margin, 0, 1e6);
  check_range("contrastive margin", o.contrastive_margin, 0, 1e6);
  check(o.custom_loss || o.loss != "contrastive" ||
            (!o.triplet.soft_margin && o.triplet.distance == Distance::Euclidean),
        "train: the contrastive loss has a margin and Euclidean distances; hint: --margin 1 --distance "
        "euclidean, or --loss triplet");
  check_one_of("optimizer", o.optimizer, {"sgd", "adamw"});
  check_range("lr", o.lr, 0, 1e6);
  check_range("momentum", o.momentum, 0, 1);
  check_range("weight-decay", o.weight_decay, 0, 1e6);
  check_range("clip-grad-norm", o.clip_norm, 0, 1e12);
  check_one_of("lr-schedule", o.schedule, {"constant", "step", "cosine"});
  check_range("warmup-steps", static_cast<double>(o.warmup_steps), 0, kMany);
  check_range("decay-every", static_cast<double>(o.decay_every), 0, kMany);
  check_range("decay-factor", o.decay_factor, 0, 1);
  check_range("eval-every", static_cast<double>(o.eval_every), 0, kMany);
  check_range("save-every", static_cast<double>(o.save_every), 0, kMany);
  check_range("log-every", static_cast<double>(o.log_every), 1, kMany);
  check_range("keep", o.keep, 0, 1e6);
  check_range("eval-photos", static_cast<double>(o.eval_photos), 2, 1e5);
  check_preprocess(o.preprocess);
  check_augment(o.augment);
}

std::map<std::string, std::string> course_of(const TrainOptions& options) {
  std::map<std::string, std::string> course;
  list_course(
      options, [&](const char* name, auto value) { course[name] = text(value); },
      [&](const char* name, const std::string& value) { course[name] = value; });
  for (int c = 0; c < 3; ++c) {
    course["mean-" + std::to_string(c)] = text(double{options.preprocess.mean[static_cast<size_t>(c)]});
    course["std-" + std::to_string(c)] = text(double{options.preprocess.std[static_cast<size_t>(c)]});
  }
  return course;
}

void check_same_course(const std::map<std::string, std::string>& saved,
                       const std::map<std::string, std::string>& now) {
  for (const auto& [name, value] : saved) {
    const auto at = now.find(name);
    const std::string other = at == now.end() ? "absent" : at->second;
    check(other == value, "resume: ", escaped(name), " is ", escaped(other),
          ", but the run was started with ", escaped(value),
          "; hint: resume with the same options, or begin a new run from these weights");
  }
}

std::string to_toml(const TrainOptions& options) {
  std::string lines;
  const auto line = [&](const std::string& name, const std::string& value) {
    lines += name + " = " + value + "\n";
  };
  const auto number = [&](const char* name, auto value) {
    if constexpr (std::is_same_v<decltype(value), double>) {
      line(name, toml(value));
    } else {
      line(name, text(value));
    }
  };
  list_course(options, number,
              [&](const char* name, const std::string& value) { line(name, toml_string(value)); });
  number("eval-every", options.eval_every);
  number("save-every", options.save_every);
  number("log-every", options.log_every);
  number("keep", int64_t{options.keep});
  number("eval-photos", options.eval_photos);
  number("workers", int64_t{options.workers});
  number("recompute", options.recompute);
  number("stop-on-collapse", options.stop_on_collapse);
  return lines + options.config;
}

nn::Schedule make_schedule(const TrainOptions& o) {
  const int64_t third = std::max<int64_t>(1, (o.steps + 2) / 3);
  return {.kind = nn::parse_schedule(o.schedule),
          .lr = o.lr,
          .total_steps = std::max(o.steps, o.warmup_steps + 1),
          .warmup_steps = o.warmup_steps,
          .every = o.decay_every > 0 ? o.decay_every : third,
          .factor = o.decay_factor};
}

std::unique_ptr<nn::Optimizer> make_optimizer(nn::Module& model, const TrainOptions& o) {
  if (o.optimizer == "sgd") {
    return std::make_unique<nn::Sgd>(
        model.parameters(),
        nn::SgdOptions{
            .lr = o.lr, .momentum = o.momentum, .weight_decay = o.weight_decay, .clip_norm = o.clip_norm});
  }
  return std::make_unique<nn::AdamW>(
      model.parameters(),
      nn::AdamWOptions{.lr = o.lr, .weight_decay = o.weight_decay, .clip_norm = o.clip_norm});
}

}  // namespace tern
