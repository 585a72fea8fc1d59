#include "tern/nn/arena.h"

#include <map>

namespace tern::nn {
namespace {

constexpr int64_t kAlignment = 64 / sizeof(float);

void check_parameter(const Tensor& p, int64_t index) {
  check<UsageError>(p.defined(), "optimizer: parameter ", index, " is undefined");
  check<DTypeError>(p.dtype() == DType::F32, "optimizer: ", parameter_name(p, index), " is ", p.dtype(),
                    "; parameters are always f32");
  check<UsageError>(p.element_offset() == 0 && p.storage().bytes() == p.bytes(),
                    "optimizer: ", parameter_name(p, index),
                    " is a part of a larger tensor; hint: list the whole tensor, or clone it");
}

}  // namespace

std::string parameter_name(const Tensor& parameter, int64_t index) {
  if (parameter.defined() && !parameter.name().empty()) return parameter.name();
  return concat_text("parameter ", index, " ", parameter.defined() ? to_string(parameter.shape()) : "");
}

void check_distinct(const std::vector<Tensor>& parameters) {
  std::map<const Storage*, int64_t> seen;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    if (!parameters[i].defined()) continue;
    const auto [found, fresh] = seen.try_emplace(&parameters[i].storage(), index);
    check<UsageError>(fresh, "optimizer: ", parameter_name(parameters[i], index),
                      " is listed twice (as number ", found->second, " and ", index,
                      "); hint: a shared parameter is listed once");
  }
}

ParameterArena::ParameterArena(std::vector<Tensor> parameters) : parameters_(std::move(parameters)) {
  check_distinct(parameters_);
  int64_t total = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    check_parameter(parameters_[i], static_cast<int64_t>(i));
    offsets_.push_back(total);
    total += (parameters_[i].numel() + kAlignment - 1) / kAlignment * kAlignment;
  }
  const Device device = parameters_.empty() ? kCpu : parameters_[0].device();
  flat_ = Tensor::empty({total}, {DType::F32, device});
  flat_.fill(0);
  for (size_t i = 0; i < parameters_.size(); ++i)
    parameters_[i].storage().rehome(Ref<Storage>(&flat_.storage()), offsets_[i] * size_of(DType::F32));
}

bool ParameterArena::in_place(int64_t i) const {
  return parameters_[static_cast<size_t>(i)].storage().data() ==
         static_cast<float*>(flat_.raw_data()) + offset(i);
}

void ParameterArena::check_in_place(int64_t i) const {
  const Tensor& p = parameters_[static_cast<size_t>(i)];
  check<UsageError>(in_place(i), "optimizer: ", parameter_name(p, i),
                    " has been moved, by another optimizer or to another device; hint: make the "
                    "optimizer last, and one for each parameter");
}

Tensor ParameterArena::make_state() const {
  Tensor state = Tensor::empty(flat_.shape(), {DType::F32, flat_.device()});
  state.fill(0);
  return state;
}

Tensor ParameterArena::part_of(const Tensor& flat, int64_t i) const {
  return Tensor::view_of(Ref<Storage>(&flat.storage()), offset(i),
                         parameters_[static_cast<size_t>(i)].shape(), DType::F32);
}

}  // namespace tern::nn
