#pragma once
#include "tern/core/tensor.h"

namespace tern {

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor relu(const Tensor& x);

namespace cpu {
void add_in_place(const Tensor& a, const Tensor& b);
}
namespace cu {
void add_in_place(const Tensor& a, const Tensor& b);
}

}  // namespace tern
