#pragma once
// A tensor: a contiguous block of elements of one type and shape, on one device, that may take part in
// differentiation. A Tensor is a handle: copying it shares the data, its gradient and its history; clone()
// copies the data. Memory is row-major, activations are [N,H,W,C].

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tern/core/device.h"
#include "tern/core/dtype.h"
#include "tern/core/error.h"
#include "tern/core/ref.h"
#include "tern/core/shape.h"
#include "tern/core/storage.h"

namespace tern {

class Node;
struct LeafNode;

struct TensorOptions {
  DType dtype = DType::F32;
  Device device = kCpu;
};

struct BackwardOptions {
  bool retain_graph = false;  // keep the graph for another backward
  bool create_graph = false;  // second derivatives: throws UsageError, they are not supported
};

// What a handle points to: where the elements lie, and the place in the history of differentiation.
struct TensorImpl final : RefCounted {
  TensorImpl(const Shape& shape, DType dtype, Ref<Storage> storage, int64_t offset = 0);
  ~TensorImpl() override;
  Shape shape;
  DType dtype;
  bool requires_grad = false;  // as a leaf
  int output = 0;              // which of the producer's outputs it is
  Ref<Storage> storage;
  int64_t offset;      // in elements
  Ref<LeafNode> leaf;  // made when requires_grad is set
  Ref<Node> producer;  // the node that computed this tensor
  std::string name;
};

class Tensor {
 public:
  Tensor() = default;  // undefined: no shape, no data; the "absent" argument of an op (a conv without bias)
  static Tensor empty(const Shape& shape, TensorOptions options = {});  // uninitialised
  static Tensor from_data(std::span<const float> values, const Shape& shape);
  static Tensor from_data(std::span<const double> values, const Shape& shape);
  static Tensor from_data(std::span<const int64_t> values, const Shape& shape);
  static Tensor from_data(std::span<const uint8_t> values, const Shape& shape);
  // A tensor over part of a storage, starting at an element.
  static Tensor view_of(Ref<Storage> storage, int64_t element_offset, const Shape& shape, DType dtype);

  bool defined() const { return static_cast<bool>(impl_); }
  const Shape& shape() const { return known().shape; }
  int64_t size(int dim) const { return shape()[dim]; }  // negative counts from the back
  int rank() const { return shape().rank(); }
  int64_t numel() const { return shape().numel(); }
  int64_t bytes() const { return numel() * size_of(dtype()); }
  DType dtype() const { return known().dtype; }
  Device device() const { return storage().device(); }
  // What another tensor is made with to be alike.
  TensorOptions options() const { return {.dtype = dtype(), .device = device()}; }
  Storage& storage() const { return *known().storage; }
  int64_t element_offset() const { return known().offset; }  // of the first element inside the storage
  uint64_t version() const { return storage().version(); }

  // CPU elements. Throws DTypeError if T is not the element type, DeviceError if the tensor is not on the
  // CPU.
  template <class T>
  const T* data() const {
    return static_cast<const T*>(checked_data(dtype_of<T>));
  }
  // The same for writing; counts as a change of the storage.
  template <class T>
  T* mutable_data() const {
    return static_cast<T*>(checked_mutable_data(dtype_of<T>));
  }
  // On whichever device, for kernels.
  void* raw_data() const {
    return static_cast<char*>(storage().data()) + element_offset() * size_of(dtype());
  }
  double item() const;  // the value of a one-element tensor
  std::vector<double> to_vector() const;

  // Copies. Gradients flow back through to() between floating types and devices.
  Tensor clone() const;               // data only, detached
  Tensor detach() const;              // shares the data, no history
  Tensor to(Device device) const;     // explicit device move
  Tensor to(DType dtype) const;       // cast
  void copy_from(const Tensor& src);  // in place, same shape, any device; NoGradGuard if this requires grad
  void fill(double value);            // in place, same rule

  // Differentiation.
  bool requires_grad() const { return known().requires_grad || known().producer; }  // takes part in it
  Tensor& set_requires_grad(bool on = true);  // leaves of floating type only
  bool is_leaf() const { return !known().producer; }
  Tensor grad() const;  // undefined if there is none yet
  void set_grad(Tensor grad);
  void clear_grad();
  void backward(BackwardOptions options = {}) const;  // of a one-element tensor, seeded with 1
  void backward(const Tensor& dy, BackwardOptions options = {}) const;

  // A name for error texts ("conv1.weight"); empty by default.
  const std::string& name() const;
  Tensor& set_name(std::string name);

  TensorImpl* impl() const { return impl_.get(); }
  bool same(const Tensor& other) const { return impl_ == other.impl_; }
  explicit Tensor(Ref<TensorImpl> impl) : impl_(std::move(impl)) {}

 private:
  // What the handle points to. Throws UsageError if it is undefined.
  const TensorImpl& known() const {
    if (!impl_) [[unlikely]]
      refuse_undefined();
    return *impl_;
  }
  const void* checked_data(DType wanted) const {
    if (dtype() != wanted || !device().is_cpu()) [[unlikely]]
      refuse_access(wanted);
    return raw_data();
  }
  void* checked_mutable_data(DType wanted) const {
    const void* data = checked_data(wanted);
    impl_->storage->bump_version();
    return const_cast<void*>(data);
  }
  [[noreturn, gnu::cold]] static void refuse_undefined();
  [[noreturn, gnu::cold]] void refuse_access(DType wanted) const;
  Ref<TensorImpl> impl_;
};

// dtype, device, shape and the values, summarised beyond a few per axis.
std::string to_string(const Tensor& tensor);
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

// "f32 [64,128]": for error texts.
std::string describe(const Tensor& tensor);

}  // namespace tern
