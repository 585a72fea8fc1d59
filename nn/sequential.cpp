#include "tern/nn/sequential.h"

#include <string>

#include "tern/nn/conv_bn.h"

namespace tern::nn {
namespace {

template <class M>
M* as(const std::vector<ModuleHandle>& modules, size_t i) {
  return i < modules.size() ? dynamic_cast<M*>(&*modules[i]) : nullptr;
}

}  // namespace

// A convolution, a batch norm and an activation in a row are run as one step.
Tensor Sequential::run(size_t first, const Tensor& x) {
  Tensor y = x;
  for (size_t i = first; i < modules_.size();) {
    Conv2d* conv = as<Conv2d>(modules_, i);
    BatchNorm2d* bn = as<BatchNorm2d>(modules_, conv ? i + 1 : i);
    if (!bn) {
      y = (*modules_[i++])(y);
      continue;
    }
    i += conv ? 2 : 1;
    BatchNormFollowers then;
    if (!bn->has_relu()) {
      then.prelu = as<PReLU>(modules_, i);
      then.relu = as<ReLU>(modules_, i) != nullptr;
      if (then.prelu || then.relu) ++i;
    }
    y = conv ? conv_bn(*conv, *bn, y, then) : (*bn)(y, then);
  }
  return y;
}

Tensor Sequential::run_from(size_t first, const Tensor& x) {
  const Call call(*this);
  return run(first, x);
}

void Sequential::visit(Visitor& visitor) {
  for (size_t i = 0; i < modules_.size(); ++i) visitor.child(std::to_string(i), *modules_[i]);
}

}  // namespace tern::nn
