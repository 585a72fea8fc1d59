#include "tern/train/memory_estimate.h"

#include <algorithm>

#include "tern/core/allocator.h"
#include "tern/core/autograd.h"
#include "tern/ops/creation.h"
#include "tern/ops/reduce.h"
#include "tern/train/training_step.h"

namespace tern {
namespace {

int64_t probe_memory(nn::Module& model, nn::Optimizer& optimizer, const TrainOptions& options,
                     int64_t photos) {
  const int64_t size = options.preprocess.size;
  const RecomputeGuard recompute(options.recompute);
  BufferCopy buffers(model);
  reset_peak_memory(options.device);
  const int64_t before = memory_stats(options.device).in_use;
  model.train();
  sum(model(zeros({photos, size, size, options.preprocess.channels}, {options.precision, options.device})))
      .backward();
  const int64_t peak = memory_stats(options.device).peak_in_use;
  optimizer.zero_grad();
  buffers.restore();
  return peak - before;
}

}  // namespace

int64_t estimate_step_memory(nn::Module& model, nn::Optimizer& optimizer, const TrainOptions& options,
                             int64_t batch) {
  // Two batches large enough that activations, not gradients of the parameters, make the peak.
  const int64_t large = std::min<int64_t>(16, batch), small = large / 2;
  const int64_t low = probe_memory(model, optimizer, options, small),
                high = probe_memory(model, optimizer, options, large);
  const int64_t size = options.preprocess.size;
  const int64_t per_photo = std::max<int64_t>(0, (high - low) / (large - small));
  const int64_t input =
      checked::mul(batch, 2 * size * size * options.preprocess.channels);  // as 8-bit pixels
  const int64_t loss =
      checked::mul(12, checked::mul(batch, batch));  // up to three matrices of the batch by itself
  const int64_t step = checked::add(high, checked::mul(batch - large, per_photo));
  return checked::add(checked::add(step, step / 8),
                      checked::add(input, loss));  // an eighth: packed weights, scratch
}

}  // namespace tern
