#include "tern/nn/sequential.h"

#include <string>

namespace tern::nn {

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (const ModuleHandle& module : modules_) y = (*module)(y);
  return y;
}

void Sequential::visit(Visitor& visitor) {
  for (size_t i = 0; i < modules_.size(); ++i) visitor.child(std::to_string(i), *modules_[i]);
}

}  // namespace tern::nn
