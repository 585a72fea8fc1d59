#pragma once
// What a Tensor handle points to. For core/*.cpp only.

#include <mutex>
#include <string>

#include "tern/core/autograd.h"
#include "tern/core/error.h"
#include "tern/core/tensor.h"

namespace tern {

// The end of the tape at a leaf: its backward adds into the leaf's gradient.
struct LeafNode final : Node {
  std::string_view name() const override { return "leaf"; }
  Gradients backward(const Gradients& dy) override;
  Tensor grad;  // shares no history
};

struct TensorImpl final : RefCounted {
  Shape shape;
  DType dtype = DType::F32;
  Ref<Storage> storage;
  int64_t offset = 0;  // in elements

  bool requires_grad = false;  // as a leaf
  Ref<LeafNode> leaf;          // made when requires_grad is set
  Ref<Node> producer;          // the node that computed this tensor
  int output = 0;              // which of the producer's outputs it is
  std::string name;
};

inline const TensorImpl& impl_of(const Tensor& tensor) {
  check(tensor.defined(),
        "tensor: undefined; hint: it was default-constructed or is an absent optional argument");
  return *tensor.impl();
}

}  // namespace tern
