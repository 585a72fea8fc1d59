#include "tern/apps/describe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tern/core/error.h"
#include "tern/core/fs.h"
#include "tern/data/image.h"
#include "tern/data/pairs.h"
#include "tern/models/model_file.h"
#include "tern/nn/safetensors.h"
#include "tern/train/checkpoint.h"

namespace tern::app {
namespace {

namespace stdfs = std::filesystem;

constexpr std::string_view kJpeg = "\xff\xd8\xff", kPng = "\x89PNG";

std::string beginning(const std::string& path, int64_t bytes) {
  FileReader file(path);
  std::string text(static_cast<size_t>(std::min(bytes, file.size())), '\0');
  text.resize(static_cast<size_t>(file.read(text.data(), static_cast<int64_t>(text.size()))));
  return text;
}

// The length that a safetensors file begins with, and the brace of its JSON.
bool is_safetensors(const std::string& start) { return start.size() > 8 && start[8] == '{'; }

std::string photo_kind(const std::string& start) {
  if (start.starts_with(kJpeg)) return "JPEG";
  if (start.starts_with(kPng)) return "PNG";
  const bool portable =
      start.size() > 2 && start[0] == 'P' && std::isspace(static_cast<unsigned char>(start[2]));
  if (portable && (start[1] == '2' || start[1] == '5')) return "PGM";
  if (portable && (start[1] == '3' || start[1] == '6')) return "PPM";
  return "";
}

Rows photo_rows(const std::string& path, const std::string& kind) {
  const Image image = read_image(path);
  return {{"kind", "photo, " + kind},
          {"size", fmt::format("{} x {}", image.width, image.height)},
          {"colour", image.channels == 1 ? "grey" : "RGB"},
          {"bytes", std::to_string(stdfs::file_size(path))}};
}

Rows model_rows(const std::string& path) {
  const ModelCard card = read_card(path);
  Rows rows{{"kind", "model"}};
  for (auto& row : describe_network(card.spec)) rows.push_back(std::move(row));
  rows.emplace_back("central crop", fmt::format("{:g}", card.preprocess.crop));
  rows.emplace_back("training margin", fmt::format("{:g}", card.training_margin));
  rows.emplace_back("weights hash", card.weights_hash);
  if (!card.rule) {
    rows.emplace_back("threshold", "none");
    return rows;
  }
  rows.emplace_back("threshold", fmt::format("{:.6g}", card.rule->threshold));
  rows.emplace_back("measured FAR", fmt::format("{:.6g}", card.rule->far));
  rows.emplace_back("measured TAR", fmt::format("{:.6g}", card.rule->tar));
  rows.emplace_back("measured on", fmt::format("{} same and {} different pairs of {}", card.rule->same_pairs,
                                               card.rule->different_pairs, card.rule->source));
  return rows;
}

Rows state_rows(const TrainingState& state) {
  Rows rows{{"kind", "training state"},
            {"step", std::to_string(state.step)},
            {"weights hash", state.weights_hash},
            {"held-out AUC", state.auc ? fmt::format("{:.6f}", *state.auc) : "none held out"},
            {"optimizer tensors", std::to_string(state.optimizer.size())}};
  for (const auto& [name, value] : state.options) rows.emplace_back(name, value);
  return rows;
}

Rows tensor_rows(const std::string& path) {
  const nn::SafetensorsHeader header = nn::read_safetensors_header(path);
  Rows rows{{"kind", "safetensors"}, {"tensors", std::to_string(header.entries.size())}};
  for (const auto& [key, value] : header.metadata)
    if (!key.starts_with("tern.crc32c")) rows.emplace_back(key, escaped(value.substr(0, 200)));
  for (const auto& entry : header.entries)
    rows.emplace_back(escaped(entry.name), fmt::format("{} [{}]", entry.dtype, fmt::join(entry.shape, ",")));
  return rows;
}

Rows safetensors_rows(const std::string& path) {
  const auto metadata = nn::read_safetensors_header(path).metadata;
  const bool known = metadata.contains("tern.arch") || metadata.contains("tern.state.step");
  if (!known) return tensor_rows(path);
  const bool checked = nn::load_safetensors(path).checksummed;  // reads and verifies every byte
  Rows rows = metadata.contains("tern.arch") ? model_rows(path) : state_rows(load_state(path));
  rows.emplace_back("checksums", checked ? "all right" : "none");
  return rows;
}

Rows list_rows(const std::string& path) {
  const std::string text = read_file(path, 64 << 20);
  check<DataError>(text.find('\0') == std::string::npos, escaped(path),
                   ": is no model, photo, list of pairs or people, or run; hint: tern info --help");
  const std::string head = text.substr(0, text.find('\n'));  // a list of pairs begins with numbers
  if (head.empty() || head.find_first_not_of("0123456789 \t\r") != std::string::npos)
    return {{"kind", "list of people"}, {"people", std::to_string(parse_identities(text, path).size())}};
  const PairList pairs = parse_pairs(text, path);
  return {{"kind", "list of pairs"},
          {"pairs", std::to_string(pairs.pairs.size())},
          {"folds", std::to_string(pairs.folds)},
          {"people", std::to_string(pairs.names().size())}};
}

std::string checkpoint_text(const std::optional<Checkpoint>& checkpoint) {
  if (!checkpoint) return "none";
  return checkpoint->weights + (checkpoint->auc ? fmt::format(", AUC {:.4f}", *checkpoint->auc) : "");
}

Rows run_rows(const std::string& folder) {
  const auto manifest = nlohmann::json::parse(read_file(folder + "/manifest.json"), nullptr, false);
  check<IncompatibleError>(manifest.is_object(), escaped(folder),
                           "/manifest.json: is not the manifest of a run");
  Rows rows{{"kind", "run"}};
  for (const char* key : {"command", "status", "started", "ended", "version", "seed", "steps", "people",
                          "photos", "held_out_people", "data"}) {
    if (!manifest.contains(key)) continue;
    const auto& value = manifest[key];
    rows.emplace_back(key, escaped(value.is_string() ? value.get<std::string>() : value.dump()));
  }
  rows.emplace_back("best checkpoint", checkpoint_text(best_checkpoint(folder + "/checkpoints")));
  rows.emplace_back("last checkpoint", checkpoint_text(last_checkpoint(folder + "/checkpoints")));
  return rows;
}

Rows folder_rows(const std::string& folder) {
  if (stdfs::exists(folder + "/manifest.json") && stdfs::is_directory(folder + "/checkpoints"))
    return run_rows(folder);
  const FolderDataset people(folder, {.min_identities = 1});
  return {{"kind", "folder of photos"},
          {"people", std::to_string(people.identities())},
          {"photos", std::to_string(people.size())},
          {"folders without a photo", std::to_string(people.empty_identities())},
          {"files that are no photos", std::to_string(people.passed_over())}};
}

}  // namespace

Rows describe_network(const ModelSpec& spec) {
  const auto model = make_model(spec, 0);
  const int64_t work = model->num_multiply_adds({1, spec.size, spec.size, spec.channels});
  return {{"architecture", spec.arch},
          {"input", fmt::format("{0}x{0}, {1}", spec.size, spec.channels == 1 ? "grey" : "colour")},
          {"embedding", std::to_string(spec.embedding_dim)},
          {"parameters", std::to_string(model->num_parameters())},
          {"multiply-adds a photo", std::to_string(work)}};
}

Rows describe_path(const std::string& path) {
  if (stdfs::is_directory(path)) return folder_rows(path);
  const std::string start = beginning(path, 16);
  if (const std::string kind = photo_kind(start); !kind.empty()) return photo_rows(path, kind);
  if (is_safetensors(start)) return safetensors_rows(path);
  return list_rows(path);
}

}  // namespace tern::app
