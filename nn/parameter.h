#pragma once
// A tensor that belongs to a module. Copying a module copies its tensors; a plain Tensor handle, got from
// share(), is how two modules hold one tensor on purpose:
//
//   decoder.weight = encoder.weight;          // a copy: trained apart
//   decoder.weight = encoder.weight.share();  // one tensor under two names: trained together, saved once

#include <utility>

#include "tern/core/autograd.h"
#include "tern/core/tensor.h"

namespace tern::nn {

class Parameter : public Tensor {
 public:
  Parameter() = default;
  Parameter(const Tensor& shared) : Tensor(shared) {}  // implicit: takes a freshly made tensor
  Parameter(const Parameter& other) : Tensor(other.copy()) {}
  Parameter(Parameter&& other) noexcept = default;
  Parameter& operator=(const Parameter& other) {
    if (this != &other) Tensor::operator=(other.copy());
    return *this;
  }
  Parameter& operator=(Parameter&& other) noexcept = default;
  Parameter& operator=(const Tensor& shared) {
    Tensor::operator=(shared);
    return *this;
  }

  Tensor share() const { return *this; }
  // The same values in a storage of its own; trainable if this is.
  Tensor copy() const {
    if (!defined()) return {};
    Tensor made = clone();
    made.set_name(name());
    if (requires_grad()) made.set_requires_grad();
    return made;
  }
};

}  // namespace tern::nn
