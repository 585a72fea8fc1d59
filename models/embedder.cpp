#include "tern/models/embedder.h"

#include <chrono>
#include <cmath>

#include "tern/models/embed.h"

namespace tern {
namespace {

class Stopwatch {
 public:
  double ms() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

}  // namespace

Image Photo::decode(int target_side) const {
  if (const auto* image = std::get_if<const Image*>(&content_)) return **image;
  return decode_image(std::get<std::span<const uint8_t>>(content_), name_, {.target_side = target_side});
}

Embedder Embedder::load(const std::string& path) { return Embedder(load_model(path)); }

Embedder::Embedder(LoadedModel model) : model_(std::make_shared<LoadedModel>(std::move(model))) {
  check(model_->model != nullptr, "Embedder: no model");
  model_->model->eval();
}

const ModelCard& Embedder::card() const { return model_->card; }

const DecisionRule& Embedder::rule() const {
  check<IncompatibleError>(model_->card.rule.has_value(),
                           "the model has no threshold: it was trained without being evaluated; hint: train "
                           "with people held out (--val-split), or give --threshold");
  return *model_->card.rule;
}

Tensor Embedder::embed(std::span<const Photo> photos) const {
  const Preprocess& preprocess = model_->card.preprocess;
  const int side = decode_side(preprocess);
  return embed_photos(
      *model_->model, static_cast<int64_t>(photos.size()),
      [&](int64_t i) { return photos[static_cast<size_t>(i)].decode(side); }, preprocess);
}

VerifyResult Embedder::judge(double distance) const {
  const DecisionRule& decide = rule();
  VerifyResult result;
  result.distance = distance;
  result.threshold = decide.threshold;
  result.same = distance <= decide.threshold;
  result.margin = decide.threshold - distance;
  result.confidence = decide.probability_same(distance);
  return result;
}

TripletResult Embedder::judge(double d_ap, double d_an, double d_pn) const {
  const DecisionRule& decide = rule();
  TripletResult result;
  result.d_ap = d_ap;
  result.d_an = d_an;
  result.d_pn = d_pn;
  result.threshold = decide.threshold;
  result.margin = d_an - d_ap;
  result.same_person = d_ap <= decide.threshold;
  result.negative_is_other = d_an > decide.threshold;
  result.satisfied =
      result.same_person && result.negative_is_other && result.margin >= model_->card.training_margin;
  return result;
}

VerifyResult Embedder::verify(const Photo& a, const Photo& b) const {
  const Stopwatch watch;
  rule();  // before the work
  const Tensor embeddings = embed({a, b});
  VerifyResult result = judge(embedding_distance(embeddings, 0, 1));
  result.ms = watch.ms();
  return result;
}

TripletResult Embedder::check_triplet(const Photo& anchor, const Photo& positive,
                                      const Photo& negative) const {
  const Stopwatch watch;
  rule();
  const Tensor e = embed({anchor, positive, negative});
  TripletResult result =
      judge(embedding_distance(e, 0, 1), embedding_distance(e, 0, 2), embedding_distance(e, 1, 2));
  result.ms = watch.ms();
  return result;
}

double embedding_distance(const Tensor& embeddings, int64_t i, int64_t j) {
  check<ShapeError>(embeddings.rank() == 2, "embedding_distance: embeddings must be [N,D], got ",
                    embeddings.shape());
  const int64_t n = embeddings.size(0), d = embeddings.size(1);
  check(i >= 0 && i < n && j >= 0 && j < n, "embedding_distance: rows ", i, " and ", j, " of ", n);
  const float* values = embeddings.data<float>();
  double sum = 0;
  for (int64_t k = 0; k < d; ++k) {
    const double difference = double{values[i * d + k]} - double{values[j * d + k]};
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

}  // namespace tern
