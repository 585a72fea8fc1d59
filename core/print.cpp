// Printing: the type, then the values, summarised beyond kEdge at both ends of each axis.

#include <fmt/format.h>

#include <ostream>

#include "tern/core/tensor.h"

namespace tern {
namespace {

constexpr int64_t kEdge = 3, kWhole = 2 * kEdge + 2;

void print_axis(std::string& text, const std::vector<double>& values, const Shape& shape, int axis,
                int64_t offset, int64_t stride, bool whole_numbers) {
  if (axis == shape.rank()) {
    const double value = values[static_cast<size_t>(offset)];
    text += whole_numbers ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
    return;
  }
  const int64_t size = shape[axis], step = size > 0 ? stride / size : 0;
  const bool innermost = axis + 1 == shape.rank();
  text += '[';
  for (int64_t i = 0; i < size; ++i) {
    if (i > 0)
      text += innermost ? std::string(", ") : ",\n" + std::string(static_cast<size_t>(axis) + 1, ' ');
    if (size > kWhole && i == kEdge) {
      text += "...";
      i = size - kEdge - 1;
      continue;
    }
    print_axis(text, values, shape, axis + 1, offset + i * step, step, whole_numbers);
  }
  text += ']';
}

}  // namespace

std::string to_string(const Tensor& tensor) {
  if (!tensor.defined()) return "Tensor(undefined)";
  std::string text = concat_text("Tensor(", tensor.dtype(), " ", tensor.shape(), " on ", tensor.device());
  if (tensor.requires_grad()) text += ", requires grad";
  text += ")\n";
  print_axis(text, tensor.to_vector(), tensor.shape(), 0, 0, tensor.numel(), !is_floating(tensor.dtype()));
  return text;
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << to_string(tensor); }

}  // namespace tern
