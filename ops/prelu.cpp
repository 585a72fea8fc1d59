#include "tern/ops/prelu.h"

#include "tern/ops/pointwise_nodes.h"

namespace tern {

Tensor prelu(const Tensor& x, const Tensor& w) {
  check(x.defined() && w.defined(), "prelu: ", x.defined() ? "w" : "x", " is undefined");
  const bool fits = w.rank() == 1 && (w.numel() == 1 || (x.rank() > 0 && w.numel() == x.size(-1)));
  check<ShapeError>(fits, "prelu: slope must be [1] or [C], C the last dimension of x (x ", x.shape(), ", w ",
                    w.shape(), ")");
  return binary(Prelu{}, x, w);
}

}  // namespace tern
