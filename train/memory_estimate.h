#pragma once
// What a training step takes, before it is taken.

#include <cstdint>

#include "tern/nn/module.h"
#include "tern/nn/optim.h"
#include "tern/train/options.h"

namespace tern {

// Bytes that a step on so many photos takes beyond what is in use now, extrapolated from two small batches;
// changes nothing.
int64_t estimate_step_memory(nn::Module& model, nn::Optimizer& optimizer, const TrainOptions& options,
                             int64_t batch);

}  // namespace tern
