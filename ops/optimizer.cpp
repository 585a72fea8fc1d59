#include "tern/ops/optimizer.h"

#include <algorithm>

namespace tern {

void append_tiles(std::vector<GradientTile>& tiles, const Tensor& gradient, int64_t arena_offset,
                  int64_t parameter) {
  check<DTypeError>(gradient.dtype() == DType::F32, "optimizer: gradient must be f32, got ",
                    describe(gradient));
  const float* data = static_cast<const float*>(gradient.raw_data());
  for (int64_t i = 0; i < gradient.numel(); i += kOptimizerTile)
    tiles.push_back({data + i, arena_offset + i, std::min(kOptimizerTile, gradient.numel() - i), parameter});
}

void squared_norms(std::span<const GradientTile> tiles, std::span<double> sums, Device device) {
  on_device(
      device, [&] { cpu::squared_norms(tiles, sums); }, [&] { cu::squared_norms(tiles, sums); });
}

void sgd_step(std::span<const GradientTile> tiles, const SgdUpdate& update, const Tensor& parameters,
              const Tensor& momentum) {
  on_device(
      parameters.device(), [&] { cpu::sgd_step(tiles, update, parameters, momentum); },
      [&] { cu::sgd_step(tiles, update, parameters, momentum); });
}

void adam_step(std::span<const GradientTile> tiles, const AdamUpdate& update, const Tensor& parameters,
               const Tensor& exp_avg, const Tensor& exp_avg_sq) {
  on_device(
      parameters.device(), [&] { cpu::adam_step(tiles, update, parameters, exp_avg, exp_avg_sq); },
      [&] { cu::adam_step(tiles, update, parameters, exp_avg, exp_avg_sq); });
}

}  // namespace tern
