#pragma once
// A trained model in use.
//
//   const auto face = tern::Embedder::load("model.safetensors");
//   const auto verdict = face.verify(photo_a, photo_b);
//   if (verdict.same) ...
//
// Photos are the bytes of a JPEG, PNG, PGM or PPM file, or decoded pixels; they are cropped, resized and
// normalised as the model file says. Distances are Euclidean, between embeddings of length 1: 0 (same) to 2.
// An Embedder is a handle and safe to use from many threads at once.

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tern/data/image.h"
#include "tern/models/model_file.h"

namespace tern {

// Refers to a photo for the length of a call. name is for error texts.
class Photo {
 public:
  Photo(const Image& image, std::string_view name = "photo") : content_(&image), name_(name) {}
  Photo(std::span<const uint8_t> bytes, std::string_view name = "photo") : content_(bytes), name_(name) {}
  Photo(const std::vector<uint8_t>& bytes, std::string_view name = "photo")
      : Photo(std::span<const uint8_t>(bytes), name) {}

  // The pixels; a JPEG may come at reduced scale, its shorter side at least target_side. Throws DataError.
  Image decode(int target_side) const;

 private:
  std::variant<const Image*, std::span<const uint8_t>> content_;
  std::string name_;
};

struct VerifyResult {
  bool same = false;  // distance <= threshold
  double distance = 0;
  double threshold = 0;
  double margin = 0;      // threshold - distance
  double confidence = 0;  // P(same), from the logistic fit stored with the threshold
  double ms = 0;          // photo bytes to verdict
};

struct TripletResult {
  bool same_person = false;        // d_ap <= threshold
  bool negative_is_other = false;  // d_an > threshold
  bool satisfied = false;          // both, and margin >= the training margin of the model
  double d_ap = 0, d_an = 0, d_pn = 0;
  double margin = 0;  // d_an - d_ap
  double threshold = 0;
  double ms = 0;
};

class Embedder {
 public:
  // Throws what load_model throws.
  static Embedder load(const std::string& path);
  explicit Embedder(LoadedModel model);

  const ModelCard& card() const;

  // [N,D], rows of length 1. Throws DataError for a photo that cannot be read.
  Tensor embed(std::span<const Photo> photos) const;
  Tensor embed(std::initializer_list<Photo> photos) const { return embed({photos.begin(), photos.size()}); }

  // Throw DataError for a photo that cannot be read, IncompatibleError if the model has no threshold.
  VerifyResult verify(const Photo& a, const Photo& b) const;
  TripletResult check_triplet(const Photo& anchor, const Photo& positive, const Photo& negative) const;

  // The verdicts for distances that are already known.
  VerifyResult judge(double distance) const;
  TripletResult judge(double d_ap, double d_an, double d_pn) const;

 private:
  const DecisionRule& rule() const;
  std::shared_ptr<LoadedModel> model_;
};

// Between two rows of an [N,D] tensor of embeddings, f64.
double embedding_distance(const Tensor& embeddings, int64_t i, int64_t j);

}  // namespace tern
