#include "tern/models/embed.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/ops/shape_ops.h"

namespace tern {

Tensor embed_photos(nn::Module& model, int64_t photos, const std::function<Image(int64_t)>& load,
                    const Preprocess& preprocess, int batch) {
  check(photos >= 1, "embed: no photos");
  check(batch >= 1, "embed: the batch must be at least 1, got ", batch);
  const NoGradGuard no_grad;
  const nn::EvalScope eval(model);
  std::vector<Tensor> embeddings;
  for (int64_t first = 0; first < photos; first += batch) {
    const int64_t count = std::min<int64_t>(batch, photos - first);
    std::vector<Image> prepared(static_cast<size_t>(count));
    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        prepared[static_cast<size_t>(i)] = prepare(load(first + i), preprocess);
      }
    });
    embeddings.push_back(model(normalize(prepared, preprocess)));
  }
  return embeddings.size() == 1 ? embeddings[0] : concat(embeddings);
}

Tensor embed_dataset(nn::Module& model, const Dataset& dataset, const Preprocess& preprocess, int batch) {
  const int side = decode_side(preprocess);
  return embed_photos(
      model, dataset.size(), [&](int64_t photo) { return dataset.load_reduced(photo, side); }, preprocess,
      batch);
}

}  // namespace tern
