#include "tern/nn/siamese.h"

#include "tern/ops/shape_ops.h"

namespace tern::nn {

std::vector<Tensor> Siamese::branches(const std::vector<Tensor>& inputs) {
  const Call call(*this);
  check(!inputs.empty(), "siamese: no branches");
  std::vector<int64_t> sizes;
  for (const Tensor& input : inputs) {
    check(input.defined(), "siamese: branch ", sizes.size(), " is undefined");
    check<ShapeError>(input.rank() >= 1 && input.shape().with(0, 1) == inputs[0].shape().with(0, 1),
                      "siamese: branches must agree in everything but N (branch 0 is ", inputs[0].shape(),
                      ", branch ", sizes.size(), " is ", input.shape(), ")");
    sizes.push_back(input.size(0));
  }
  if (inputs.size() == 1) return {(*trunk_)(inputs[0])};
  if (options_.joint_batch) return split((*trunk_)(concat(inputs)), sizes);
  std::vector<Tensor> outputs;
  for (const Tensor& input : inputs) outputs.push_back((*trunk_)(input));
  return outputs;
}

}  // namespace tern::nn
