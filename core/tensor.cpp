#include "tern/core/tensor.h"

#include <cstring>

#include "tern/core/allocator.h"
#include "tern/core/leaf_node.h"

namespace tern {
namespace {

template <class T>
Tensor copy_of(std::span<const T> values, const Shape& shape) {
  check<ShapeError>(static_cast<int64_t>(values.size()) == shape.numel(), "tensor: ", values.size(),
                    " values do not fill the shape ", shape);
  Tensor tensor = Tensor::empty(shape, {.dtype = dtype_of<T>});
  if (!values.empty()) std::memcpy(tensor.raw_data(), values.data(), values.size_bytes());
  return tensor;
}

}  // namespace

TensorImpl::TensorImpl(const Shape& shape, DType dtype, Ref<Storage> storage, int64_t offset)
    : shape(shape), dtype(dtype), storage(std::move(storage)), offset(offset) {}
TensorImpl::~TensorImpl() = default;

Tensor Tensor::empty(const Shape& shape, TensorOptions options) {
  const int64_t bytes = shape.numel() * size_of(options.dtype);
  return Tensor(make_ref<TensorImpl>(shape, options.dtype, Storage::allocate(bytes, options.device)));
}

Tensor Tensor::from_data(std::span<const float> values, const Shape& shape) { return copy_of(values, shape); }
Tensor Tensor::from_data(std::span<const double> values, const Shape& shape) {
  return copy_of(values, shape);
}
Tensor Tensor::from_data(std::span<const int64_t> values, const Shape& shape) {
  return copy_of(values, shape);
}
Tensor Tensor::from_data(std::span<const uint8_t> values, const Shape& shape) {
  return copy_of(values, shape);
}

Tensor Tensor::view_of(Ref<Storage> storage, int64_t element_offset, const Shape& shape, DType dtype) {
  const int64_t end = checked::mul(checked::add(element_offset, shape.numel()), size_of(dtype));
  check<ShapeError>(element_offset >= 0 && end <= storage->bytes(), "tensor: view ", shape, " at element ",
                    element_offset, " is outside of its storage of ", storage->bytes(), " bytes");
  return Tensor(make_ref<TensorImpl>(shape, dtype, std::move(storage), element_offset));
}

void Tensor::refuse_undefined() {
  detail::fail<UsageError>(
      "tensor: undefined; hint: it was default-constructed or is an absent optional argument");
}

void Tensor::refuse_access(DType wanted) const {
  check<DTypeError>(dtype() == wanted, "tensor: element type is ", dtype(), ", read as ", wanted);
  detail::fail<DeviceError>("tensor: on ", device(), ", read from the CPU; hint: use .to(kCpu) first");
}

std::vector<double> Tensor::to_vector() const {
  const Tensor host = device().is_cpu() ? *this : detach().to(kCpu);
  std::vector<double> values(static_cast<size_t>(numel()));
  const auto read = [&](const auto* data) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(data[i]);
  };
  switch (dtype()) {
    case DType::F32: read(host.data<float>()); break;
    case DType::F64: read(host.data<double>()); break;
    case DType::I64: read(host.data<int64_t>()); break;
    case DType::I32: read(host.data<int32_t>()); break;
    case DType::U8: read(host.data<uint8_t>()); break;
    case DType::Bool: read(host.data<bool>()); break;
    case DType::BF16: {
      const auto* data = host.data<bfloat16>();
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(data[i]);
      break;
    }
  }
  return values;
}

double Tensor::item() const {
  check<ShapeError>(numel() == 1, "item: needs one element, got ", shape());
  return to_vector()[0];
}

Tensor Tensor::detach() const {
  const TensorImpl& impl = known();
  auto copy = make_ref<TensorImpl>(impl.shape, impl.dtype, impl.storage, impl.offset);
  if (!impl.name.empty()) copy->name = impl.name;
  return Tensor(std::move(copy));
}

Tensor Tensor::clone() const {
  Tensor copy = empty(shape(), {.dtype = dtype(), .device = device()});
  copy_bytes(copy.raw_data(), copy.device(), raw_data(), device(), bytes());
  return copy;
}

void Tensor::copy_from(const Tensor& src) {
  check<ShapeError>(shape() == src.shape(), "copy_from: shape ", src.shape(), " into ", shape());
  check<DTypeError>(dtype() == src.dtype(), "copy_from: ", src.dtype(), " into ", dtype());
  check(!requires_grad() || !grad_enabled(),
        "copy_from: changes a tensor that requires a gradient; hint: hold a NoGradGuard");
  copy_bytes(raw_data(), device(), src.raw_data(), src.device(), bytes());
  storage().bump_version();
}

void Tensor::fill(double value) {
  check(!requires_grad() || !grad_enabled(),
        "fill: changes a tensor that requires a gradient; hint: hold a NoGradGuard");
  const auto write = [&](auto element) {
    fill_elements(raw_data(), device(), &element, sizeof element, numel());
  };
  switch (dtype()) {
    case DType::F32: write(static_cast<float>(value)); break;
    case DType::F64: write(value); break;
    case DType::I64: write(static_cast<int64_t>(value)); break;
    case DType::I32: write(static_cast<int32_t>(value)); break;
    case DType::U8: write(static_cast<uint8_t>(value)); break;
    case DType::Bool: write(static_cast<bool>(value)); break;
    case DType::BF16: write(bfloat16(static_cast<float>(value))); break;
  }
  storage().bump_version();
}

const std::string& Tensor::name() const { return known().name; }
Tensor& Tensor::set_name(std::string name) {
  known();
  impl_->name = std::move(name);
  return *this;
}

std::string describe(const Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  std::string text = tensor.name().empty() ? "" : tensor.name() + " ";
  return concat_text(text, tensor.dtype(), " ", tensor.shape());
}

}  // namespace tern
