#pragma once
// Owner of one cuDNN backend descriptor, the only kind of object that cuDNN's graph interface has: an untyped
// bag of attributes that is filled, finalized (cuDNN checks it) and then only read. Made through
// vendor::cudnn().

#include <cudnn.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tern/cuda/error.h"
#include "tern/cuda/vendor.h"

namespace tern::cu::dnn {

// cuDNN's name for the type of an attribute's value.
template <class T>
inline constexpr cudnnBackendAttributeType_t kAttributeType = CUDNN_TYPE_VOID_PTR;
template <>
inline constexpr auto kAttributeType<cudnnHandle_t> = CUDNN_TYPE_HANDLE;
template <>
inline constexpr auto kAttributeType<cudnnDataType_t> = CUDNN_TYPE_DATA_TYPE;
template <>
inline constexpr auto kAttributeType<bool> = CUDNN_TYPE_BOOLEAN;
template <>
inline constexpr auto kAttributeType<int64_t> = CUDNN_TYPE_INT64;
template <>
inline constexpr auto kAttributeType<double> = CUDNN_TYPE_DOUBLE;
template <>
inline constexpr auto kAttributeType<char> = CUDNN_TYPE_CHAR;
template <>
inline constexpr auto kAttributeType<cudnnConvolutionMode_t> = CUDNN_TYPE_CONVOLUTION_MODE;
template <>
inline constexpr auto kAttributeType<cudnnBackendHeurMode_t> = CUDNN_TYPE_HEUR_MODE;
template <>
inline constexpr auto kAttributeType<cudnnBackendKnobType_t> = CUDNN_TYPE_KNOB_TYPE;
template <>
inline constexpr auto kAttributeType<cudnnBackendNumericalNote_t> = CUDNN_TYPE_NUMERICAL_NOTE;
template <>
inline constexpr auto kAttributeType<cudnnBackendBehaviorNote_t> = CUDNN_TYPE_BEHAVIOR_NOTE;
template <>
inline constexpr auto kAttributeType<cudnnPointwiseMode_t> = CUDNN_TYPE_POINTWISE_MODE;
template <>
inline constexpr auto kAttributeType<cudnnNanPropagation_t> = CUDNN_TYPE_NAN_PROPOGATION;
template <>
inline constexpr auto kAttributeType<cudnnBackendDescriptor_t> = CUDNN_TYPE_BACKEND_DESCRIPTOR;
template <>
inline constexpr auto kAttributeType<cudnnResampleMode_t> = CUDNN_TYPE_RESAMPLE_MODE;
template <>
inline constexpr auto kAttributeType<cudnnPaddingMode_t> = CUDNN_TYPE_PADDING_MODE;
template <>
inline constexpr auto kAttributeType<cudnnFraction_t> = CUDNN_TYPE_FRACTION;
template <>
inline constexpr auto kAttributeType<cudnnBackendNormMode_t> = CUDNN_TYPE_NORM_MODE;
template <>
inline constexpr auto kAttributeType<cudnnBackendNormFwdPhase_t> = CUDNN_TYPE_NORM_FWD_PHASE;

class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) {
    TERN_CUDNN_CALL(vendor::cudnn().CreateDescriptor(type, &descriptor_));
  }
  ~Descriptor() {
    if (descriptor_) vendor::cudnn().DestroyDescriptor(descriptor_);
  }
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  cudnnBackendDescriptor_t get() const { return descriptor_; }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, std::span<const T> values) {
    TERN_CUDNN_CALL(vendor::cudnn().SetAttribute(descriptor_, name, kAttributeType<T>,
                                                 static_cast<int64_t>(values.size()), values.data()));
    return *this;
  }
  // Pointers to tensors; for C++ they have the type of descriptors.
  Descriptor& set_pointers(cudnnBackendAttributeName_t name, std::span<void* const> values) {
    TERN_CUDNN_CALL(vendor::cudnn().SetAttribute(descriptor_, name, CUDNN_TYPE_VOID_PTR,
                                                 static_cast<int64_t>(values.size()), values.data()));
    return *this;
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    return set(name, std::span<const T>(&value, 1));
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set(name, value.descriptor_);
  }

  // All values, at most `capacity` of them.
  template <class T>
  std::vector<T> values(cudnnBackendAttributeName_t name, int64_t capacity) const {
    std::vector<T> values(static_cast<size_t>(capacity));
    int64_t count = 0;
    TERN_CUDNN_CALL(
        vendor::cudnn().GetAttribute(descriptor_, name, kAttributeType<T>, capacity, &count, values.data()));
    values.resize(static_cast<size_t>(count < capacity ? count : capacity));
    return values;
  }
  template <class T>
  T value(cudnnBackendAttributeName_t name) const {
    return values<T>(name, 1).at(0);
  }
  // Attributes that are descriptors are copied into descriptors that the caller made. Gives how many there
  // were.
  int64_t descriptors(cudnnBackendAttributeName_t name, std::span<Descriptor> targets) const;

  void finalize() { TERN_CUDNN_CALL(vendor::cudnn().Finalize(descriptor_)); }
  // False where cuDNN says that it does not support what the descriptor asks for.
  bool finalize_if_supported() { return vendor::cudnn().Finalize(descriptor_) == CUDNN_STATUS_SUCCESS; }

 private:
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

}  // namespace tern::cu::dnn
