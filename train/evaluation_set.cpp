#include "tern/train/evaluation_set.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "tern/core/autograd.h"
#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/core/philox.h"
#include "tern/ops/l2_normalize.h"

namespace tern {
namespace {

// The photos of people in a shuffled order until there are enough; in ascending order.
std::vector<int64_t> choose(const Dataset& dataset, int64_t max_photos, uint64_t seed) {
  auto photos = photos_of_identities(dataset);
  if (dataset.size() > max_photos) {
    PhiloxSequence random(seed, RandomStream::Split, 0x6576616c);  // "eval": a draw of its own in this stream
    for (size_t i = photos.size(); i > 1; --i) {
      std::swap(photos[i - 1], photos[random.below(static_cast<uint32_t>(i))]);
    }
  }
  std::vector<int64_t> chosen;
  for (const auto& list : photos) {
    if (static_cast<int64_t>(chosen.size() + list.size()) > max_photos && !chosen.empty()) continue;
    chosen.insert(chosen.end(), list.begin(), list.end());
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace

EvaluationSet::EvaluationSet(const Dataset& dataset, const Preprocess& preprocess, int64_t max_photos,
                             const EvaluationView& view)
    : preprocess_(preprocess),
      view_(view),
      margin_(view.augment ? augment_margin(*view.augment, preprocess.size) : 0) {
  const std::vector<int64_t> chosen = choose(dataset, max_photos, view.seed);
  images_.resize(chosen.size());
  parallel_for(static_cast<int64_t>(chosen.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t photo = chosen[static_cast<size_t>(i)];
      images_[static_cast<size_t>(i)] =
          prepare(dataset.load_reduced(photo, decode_side(preprocess_)), preprocess_, margin_);
    }
  });
  int64_t last = -1;
  std::vector<int64_t> seen;
  for (const int64_t photo : chosen) identity_.push_back(dataset.identity(photo));
  seen = identity_;
  std::sort(seen.begin(), seen.end());
  for (const int64_t id : seen) people_ += id != std::exchange(last, id) ? 1 : 0;
}

// Photos [begin, begin + count) as the network's input.
Tensor EvaluationSet::input(int64_t begin, int64_t count) const {
  const std::span<const Image> images(images_.data() + begin, static_cast<size_t>(count));
  if (!view_.augment) return normalize(images, preprocess_);
  constexpr int64_t kDrawing = int64_t{1} << 40;  // a step that no training reaches
  const int side = preprocess_.size + 2 * margin_;
  const Tensor photos = Tensor::empty({count, side, side, preprocess_.channels}, {.dtype = DType::U8});
  auto* pixels = photos.mutable_data<uint8_t>();
  std::vector<AugmentRow> rows;
  for (int64_t i = 0; i < count; ++i) {
    const auto& image = images[static_cast<size_t>(i)];
    std::memcpy(pixels + i * static_cast<int64_t>(image.pixels.size()), image.pixels.data(),
                image.pixels.size());
    rows.push_back(draw_augment_row(*view_.augment, view_.seed, kDrawing, begin + i, side, preprocess_.size));
  }
  return augment(photos, augment_table(rows),
                 {.size = preprocess_.size, .mean = preprocess_.mean, .std = preprocess_.std});
}

Tensor EvaluationSet::embed(nn::Module& model, bool normalize_rows, int64_t batch) const {
  const NoGradGuard no_grad;
  const nn::EvalScope eval(model);
  const Device device = model.device();
  Tensor all;
  for (int64_t begin = 0; begin < photos(); begin += batch) {
    const int64_t count = std::min(batch, photos() - begin);
    const Tensor x = input(begin, count);
    Tensor e = model(x.to(device));
    check<ShapeError>(e.rank() == 2 && e.size(0) == count, "evaluation: the model gives ", e.shape(), " for ",
                      count, " photos, embeddings are [N,D]");
    if (normalize_rows) e = l2_normalize(e);
    e = e.to(kCpu);
    if (!all.defined()) all = Tensor::empty({photos(), e.size(1)});
    std::memcpy(all.mutable_data<float>() + begin * e.size(1), e.data<float>(),
                static_cast<size_t>(e.bytes()));
  }
  return all;
}

}  // namespace tern
