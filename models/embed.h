#pragma once
// Photos to embeddings, many at a time.

#include <cstdint>
#include <functional>

#include "tern/data/dataset.h"
#include "tern/data/preprocess.h"
#include "tern/nn/module.h"

namespace tern {

// The embeddings [photos, D] of a data set, in its order, f32. Runs in evaluation mode and puts the network
// back into the mode it was in; photos are read and prepared on all threads, `batch` at a time. Throws what
// the data set throws.
Tensor embed_dataset(nn::Module& model, const Dataset& dataset, const Preprocess& preprocess, int batch = 64);

// The same for any source of photos; load(i) must be safe to call from many threads.
Tensor embed_photos(nn::Module& model, int64_t photos, const std::function<Image(int64_t)>& load,
                    const Preprocess& preprocess, int batch = 64);

}  // namespace tern
