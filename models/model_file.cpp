#include "tern/models/model_file.h"

#include <charconv>
#include <cmath>

#include "tern/nn/state_dict.h"

namespace tern {
namespace {

// The shortest text that reads back as the same number, whatever the locale.
std::string number_text(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

std::string triple_text(const std::array<float, 3>& values) {
  char text[96];
  char* at = text;
  for (size_t i = 0; i < 3; ++i) {
    if (i > 0) *at++ = ' ';
    at = std::to_chars(at, text + sizeof text, values[i]).ptr;
  }
  return {text, at};
}

// Reads metadata strictly: what is missing or malformed is an error that names the key.
class CardReader {
 public:
  CardReader(const nn::Metadata& metadata, std::string_view file) : metadata_(metadata), file_(file) {}

  template <class... Parts>
  [[noreturn]] void reject(const Parts&... parts) const {
    throw IncompatibleError(concat_text(escaped(file_), ": ", parts...));
  }
  bool has(const std::string& key) const { return metadata_.contains(key); }
  const std::string& text(const std::string& key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) reject("no model of tern's: ", key, " is missing in its metadata");
    return found->second;
  }
  template <class T>
  T number(const std::string& key) const {
    const std::string& value = text(key);
    const char* at = value.data();
    const T result = next<T>(key, at);
    if (at != value.data() + value.size())
      reject(key, " is not a number ('", escaped(value.substr(0, 64)), "')");
    return result;
  }
  std::array<float, 3> triple(const std::string& key) const {
    std::array<float, 3> values{};
    const std::string& value = text(key);
    const char* at = value.data();
    for (size_t i = 0; i < 3; ++i) {
      if (i > 0 && *at == ' ') ++at;
      values[i] = next<float>(key, at);
    }
    return values;
  }

 private:
  template <class T>
  T next(const std::string& key, const char*& at) const {
    const std::string& value = text(key);
    T result{};
    const auto [end, error] = std::from_chars(at, value.data() + value.size(), result);
    const bool finite = std::isfinite(static_cast<double>(result));
    if (error != std::errc() || !finite)
      reject(key, " is not a number ('", escaped(value.substr(0, 64)), "')");
    at = end;
    return result;
  }

  const nn::Metadata& metadata_;
  std::string_view file_;
};

DecisionRule rule_of(const CardReader& read) {
  DecisionRule rule;
  rule.threshold = read.number<double>("tern.threshold");
  rule.far = read.number<double>("tern.threshold.far");
  rule.tar = read.number<double>("tern.threshold.tar");
  rule.same_pairs = read.number<int64_t>("tern.threshold.same_pairs");
  rule.different_pairs = read.number<int64_t>("tern.threshold.different_pairs");
  rule.intercept = read.number<double>("tern.confidence.intercept");
  rule.slope = read.number<double>("tern.confidence.slope");
  rule.source = read.text("tern.threshold.source");
  return rule;
}

}  // namespace

double DecisionRule::probability_same(double distance) const {
  return 1 / (1 + std::exp(-(intercept + slope * distance)));
}

nn::Metadata metadata_of(const ModelCard& card) {
  nn::Metadata m;
  m["tern.arch"] = card.spec.arch;
  m["tern.size"] = std::to_string(card.spec.size);
  m["tern.channels"] = std::to_string(card.spec.channels);
  m["tern.embedding_dim"] = std::to_string(card.spec.embedding_dim);
  m["tern.preprocess.size"] = std::to_string(card.preprocess.size);
  m["tern.preprocess.channels"] = std::to_string(card.preprocess.channels);
  m["tern.preprocess.crop"] = number_text(card.preprocess.crop);
  m["tern.preprocess.mean"] = triple_text(card.preprocess.mean);
  m["tern.preprocess.std"] = triple_text(card.preprocess.std);
  m["tern.training_margin"] = number_text(card.training_margin);
  m["tern.weights_hash"] = card.weights_hash;
  if (!card.rule) return m;
  m["tern.threshold"] = number_text(card.rule->threshold);
  m["tern.threshold.far"] = number_text(card.rule->far);
  m["tern.threshold.tar"] = number_text(card.rule->tar);
  m["tern.threshold.same_pairs"] = std::to_string(card.rule->same_pairs);
  m["tern.threshold.different_pairs"] = std::to_string(card.rule->different_pairs);
  m["tern.threshold.source"] = card.rule->source;
  m["tern.confidence.intercept"] = number_text(card.rule->intercept);
  m["tern.confidence.slope"] = number_text(card.rule->slope);
  return m;
}

ModelCard card_of(const nn::Metadata& metadata, std::string_view file) {
  const CardReader read(metadata, file);
  ModelCard card;
  card.spec.arch = read.text("tern.arch");
  card.spec.size = read.number<int>("tern.size");
  card.spec.channels = read.number<int>("tern.channels");
  card.spec.embedding_dim = read.number<int>("tern.embedding_dim");
  card.preprocess.size = read.number<int>("tern.preprocess.size");
  card.preprocess.channels = read.number<int>("tern.preprocess.channels");
  card.preprocess.crop = read.number<double>("tern.preprocess.crop");
  card.preprocess.mean = read.triple("tern.preprocess.mean");
  card.preprocess.std = read.triple("tern.preprocess.std");
  card.training_margin = read.number<double>("tern.training_margin");
  card.weights_hash = read.text("tern.weights_hash");
  if (read.has("tern.threshold")) card.rule = rule_of(read);
  try {
    check_spec(card.spec);
    check_preprocess(card.preprocess);
  } catch (const UsageError& error) {
    read.reject(error.what());
  }
  if (card.preprocess.size != card.spec.size || card.preprocess.channels != card.spec.channels) {
    read.reject("its preprocessing makes photos that its network does not take");
  }
  return card;
}

std::string save_model(const std::string& path, nn::Module& model, const ModelCard& card,
                       const nn::Metadata& extra) {
  const nn::TensorMap tensors = nn::state_dict(model);
  ModelCard complete = card;
  complete.weights_hash = nn::tensors_hash(tensors);
  nn::Metadata metadata = metadata_of(complete);
  metadata.insert(extra.begin(), extra.end());
  nn::save_safetensors(path, tensors, metadata);
  return complete.weights_hash;
}

LoadedModel load_model(const std::string& path) {
  const nn::SafetensorsFile file = nn::load_safetensors(path, {.check_finite = true});
  LoadedModel loaded{nullptr, card_of(file.metadata, path)};
  // A file that went through another tool has no checksums left; the hash still tells whether the card is its
  // own.
  check<IncompatibleError>(file.checksummed || nn::tensors_hash(file.tensors) == loaded.card.weights_hash,
                           escaped(path), ": the weights are not those its metadata describes");
  loaded.model = make_model(loaded.card.spec, 0);
  try {
    nn::load_state_dict(*loaded.model, file.tensors);
  } catch (const IncompatibleError& error) {
    throw IncompatibleError(concat_text(escaped(path), ": ", error.what()));
  }
  loaded.model->eval();
  return loaded;
}

ModelCard read_card(const std::string& path) {
  return card_of(nn::read_safetensors_header(path).metadata, path);
}

void load_weights(nn::Module& model, const std::string& path) {
  const nn::SafetensorsFile file = nn::load_safetensors(path);
  try {
    nn::load_state_dict(model, file.tensors);
  } catch (const IncompatibleError& error) {
    throw IncompatibleError(concat_text(escaped(path), ": ", error.what()));
  }
}

void replace_rule(const std::string& path, const DecisionRule& rule) {
  nn::SafetensorsFile file = nn::load_safetensors(path);
  ModelCard card = card_of(file.metadata, path);
  card.rule = rule;
  nn::Metadata metadata = metadata_of(card);
  metadata.merge(file.metadata);  // keeps what else was there
  nn::save_safetensors(path, file.tensors, metadata);
}

}  // namespace tern
