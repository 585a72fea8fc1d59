#pragma once
// The end of the tape. For core/*.cpp only.

#include "tern/core/autograd.h"

namespace tern {

// The end of the tape at a leaf: its backward adds into the leaf's gradient.
struct LeafNode final : Node {
  std::string_view name() const override { return "leaf"; }
  Gradients backward(const Gradients& dy) override;
  Tensor grad;  // shares no history
};

}  // namespace tern
