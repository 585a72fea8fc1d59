#pragma once
// A model file: safetensors weights under PyTorch's names, and in its metadata everything their use needs, so
// that `verify` needs nothing but the file and two photos.

#include <memory>
#include <optional>
#include <string>

#include "tern/data/preprocess.h"
#include "tern/models/registry.h"
#include "tern/nn/safetensors.h"

namespace tern {

// How a distance becomes a verdict, and what that was measured on.
struct DecisionRule {
  double threshold = 0;    // same person: distance <= threshold
  double far = 0;          // measured: different pairs accepted, as a fraction
  double tar = 0;          // measured: same pairs accepted
  int64_t same_pairs = 0;  // pairs it was measured on
  int64_t different_pairs = 0;
  double intercept = 0;  // P(same | d) = 1 / (1 + exp(-(intercept + slope d)))
  double slope = 0;
  std::string source;  // "validation people", "training people, changed photos", or a calibration's

  double probability_same(double distance) const;
  friend bool operator==(const DecisionRule&, const DecisionRule&) = default;
};

struct ModelCard {
  ModelSpec spec;
  Preprocess preprocess;
  std::optional<DecisionRule> rule;  // none: trained without ever being evaluated
  double training_margin = 0;        // of the triplet loss
  std::string weights_hash;          // SHA-256 of the weights, filled in by save_model

  friend bool operator==(const ModelCard&, const ModelCard&) = default;
};

// The card as metadata ("tern.arch", "tern.threshold", ...) and back. Throws IncompatibleError if the
// metadata is no card, or has an architecture or a number that makes no sense.
nn::Metadata metadata_of(const ModelCard& card);
ModelCard card_of(const nn::Metadata& metadata, std::string_view file);

// Replaces the file in one step. extra is added to the metadata. Returns the hash of the weights.
std::string save_model(const std::string& path, nn::Module& model, const ModelCard& card,
                       const nn::Metadata& extra = {});

struct LoadedModel {
  std::unique_ptr<nn::Module> model;  // in evaluation mode
  ModelCard card;
};
// Throws IoError if the file cannot be read, IncompatibleError if it is damaged, no model of tern's, or its
// weights do not fit the architecture it names.
LoadedModel load_model(const std::string& path);
ModelCard read_card(const std::string& path);  // the header alone

// Puts the weights of a file, of this project or of PyTorch, into a network. Throws IncompatibleError listing
// all names that do not fit; the network is then unchanged.
void load_weights(nn::Module& model, const std::string& path);

// Gives a model file another decision rule; the weights stay as they are.
void replace_rule(const std::string& path, const DecisionRule& rule);

}  // namespace tern
