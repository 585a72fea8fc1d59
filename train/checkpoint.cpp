#include "tern/train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "tern/core/error.h"
#include "tern/core/fs.h"

namespace tern {
namespace {

namespace stdfs = std::filesystem;

constexpr std::string_view kPrefix = "step-", kWeightsEnd = ".safetensors", kStateEnd = ".state.safetensors";
constexpr std::string_view kStepKey = "tern.state.step", kHashKey = "tern.state.weights_hash";
constexpr std::string_view kAucKey = "tern.state.auc", kOptionPrefix = "tern.state.option.";
// Written into the weights by models/model_file.h as well, so that a pair can be matched by its headers.
constexpr std::string_view kWeightsHash = "tern.weights_hash";

std::string padded(int64_t step) {
  std::string digits = std::to_string(step);
  if (digits.size() < 6) digits.insert(0, 6 - digits.size(), '0');
  return digits;
}

std::optional<int64_t> parse_step(std::string_view text) {
  int64_t step = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc{} || end != text.data() + text.size() || step < 0) return std::nullopt;
  return step;
}

std::string number_text(double value) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::optional<double> parse_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

const std::string* find(const nn::Metadata& metadata, std::string_view key) {
  const auto at = metadata.find(std::string(key));
  return at == metadata.end() ? nullptr : &at->second;
}

std::vector<std::string> file_names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (stdfs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string weights_path(const std::string& folder, int64_t step) {
  return concat_text(folder, "/", kPrefix, padded(step), kWeightsEnd);
}

std::string state_path(const std::string& folder, int64_t step) {
  return concat_text(folder, "/", kPrefix, padded(step), kStateEnd);
}

std::optional<int64_t> step_of_weights(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kWeightsEnd) || name.ends_with(kStateEnd)) {
    return std::nullopt;
  }
  const auto step =
      parse_step(name.substr(kPrefix.size(), name.size() - kPrefix.size() - kWeightsEnd.size()));
  // Only the name that would be written for the step counts.
  return step && weights_path("", *step).substr(1) == name ? step : std::nullopt;
}

std::optional<Checkpoint> read_checkpoint(const std::string& folder, int64_t step) {
  Checkpoint found{step, weights_path(folder, step), state_path(folder, step), std::nullopt};
  if (!stdfs::exists(found.weights) || !stdfs::exists(found.state)) return std::nullopt;
  try {
    const nn::Metadata weights = nn::read_safetensors_header(found.weights).metadata;
    const nn::Metadata state = nn::read_safetensors_header(found.state).metadata;
    const std::string *hash = find(weights, kWeightsHash), *expected = find(state, kHashKey);
    const std::string *state_step = find(state, kStepKey), *auc = find(state, kAucKey);
    if (!hash || !expected || *hash != *expected) return std::nullopt;
    if (!state_step || parse_step(*state_step) != step) return std::nullopt;
    if (auc) found.auc = parse_number(*auc);
    return found;
  } catch (const IncompatibleError&) {
    return std::nullopt;
  }
}

std::vector<Checkpoint> complete_checkpoints(const std::string& folder) {
  std::vector<Checkpoint> found;
  for (const std::string& name : file_names(folder)) {
    const auto step = step_of_weights(name);
    if (!step) continue;
    if (auto checkpoint = read_checkpoint(folder, *step)) found.push_back(std::move(*checkpoint));
  }
  std::sort(found.begin(), found.end(),
            [](const Checkpoint& a, const Checkpoint& b) { return a.step < b.step; });
  return found;
}

std::optional<Checkpoint> last_checkpoint(const std::string& folder) {
  const auto all = complete_checkpoints(folder);
  return all.empty() ? std::nullopt : std::optional(all.back());
}

std::optional<Checkpoint> best_checkpoint(const std::string& folder) {
  std::optional<Checkpoint> best;
  for (const Checkpoint& checkpoint : complete_checkpoints(folder)) {
    if (checkpoint.auc && (!best || *checkpoint.auc > *best->auc)) best = checkpoint;
  }
  return best;
}

Checkpoint find_checkpoint(const std::string& path) {
  if (stdfs::is_directory(path)) {
    for (const std::string& folder : {path + "/checkpoints", path}) {
      if (auto last = last_checkpoint(folder)) return *last;
    }
    check<IncompatibleError>(false,
                             "resume: there is no complete checkpoint (step-NNNNNN.safetensors and "
                             "step-NNNNNN.state.safetensors that belong together) in ",
                             escaped(path));
  }
  const stdfs::path file(path);
  std::string name = file.filename().string();
  if (name.ends_with(kStateEnd)) name.replace(name.size() - kStateEnd.size(), kStateEnd.size(), kWeightsEnd);
  const auto step = step_of_weights(name);
  const std::string folder = file.has_parent_path() ? file.parent_path().string() : ".";
  const auto found = step ? read_checkpoint(folder, *step) : std::nullopt;
  check<IncompatibleError>(
      found.has_value(), "resume: ", escaped(path),
      " is not a run directory and not a file of a complete checkpoint; hint: give the run "
      "directory to go on from its last checkpoint");
  return *found;
}

void save_state(const std::string& path, const TrainingState& state) {
  nn::Metadata metadata;
  metadata.emplace(kStepKey, std::to_string(state.step));
  metadata.emplace(kHashKey, state.weights_hash);
  if (state.auc) metadata.emplace(kAucKey, number_text(*state.auc));
  for (const auto& [key, value] : state.options) metadata.emplace(std::string(kOptionPrefix) + key, value);
  nn::save_safetensors(path, state.optimizer, metadata);
}

TrainingState load_state(const std::string& path) {
  nn::SafetensorsFile file = nn::load_safetensors(path);
  const std::string *step = find(file.metadata, kStepKey), *hash = find(file.metadata, kHashKey);
  const auto number = step ? parse_step(*step) : std::nullopt;
  check<IncompatibleError>(number && hash, "resume: ", escaped(path), " is not a training state");
  TrainingState state{*number, *hash, std::nullopt, {}, std::move(file.tensors)};
  if (const std::string* auc = find(file.metadata, kAucKey)) state.auc = parse_number(*auc);
  for (const auto& [key, value] : file.metadata) {
    if (key.starts_with(kOptionPrefix)) state.options.emplace(key.substr(kOptionPrefix.size()), value);
  }
  return state;
}

LoadedCheckpoint load_checkpoint(const std::string& path) {
  LoadedCheckpoint loaded;
  loaded.checkpoint = find_checkpoint(path);
  const std::string folder = stdfs::path(loaded.checkpoint.weights).parent_path().string();
  std::vector<Checkpoint> candidates{loaded.checkpoint};
  if (stdfs::is_directory(path)) candidates = complete_checkpoints(folder);
  while (true) {
    loaded.checkpoint = candidates.back();
    candidates.pop_back();
    try {
      loaded.weights = nn::load_safetensors(loaded.checkpoint.weights).tensors;
      loaded.state = load_state(loaded.checkpoint.state);
      check<IncompatibleError>(nn::tensors_hash(loaded.weights) == loaded.state.weights_hash,
                               "resume: ", escaped(loaded.checkpoint.state), " belongs to other weights");
      return loaded;
    } catch (const IncompatibleError& error) {
      if (candidates.empty()) throw;
      loaded.warnings.push_back(concat_text("passed over a damaged checkpoint: ", error.what()));
    }
  }
}

void prune_checkpoints(const std::string& folder, int keep) {
  if (keep < 1) return;
  const auto all = complete_checkpoints(folder);
  const auto best = best_checkpoint(folder);
  for (size_t i = 0; i + static_cast<size_t>(keep) < all.size(); ++i) {
    if (best && best->step == all[i].step) continue;
    fs().remove(all[i].state);  // a pair without its state is no checkpoint any more
    fs().remove(all[i].weights);
  }
}

int remove_stale_temporaries(const std::string& folder) {
  int removed = 0;
  for (const std::string& name : file_names(folder)) {
    if (is_temporary_name(name) && fs().remove(folder + "/" + name) == 0) ++removed;
  }
  return removed;
}

}  // namespace tern
