#pragma once
// One range of memory for the parameters of an optimizer group, 64-byte aligned, each parameter on a cache
// line of its own. A parameter stays its own Storage with its own version under its own handle; only its
// bytes move, so that one pass over the arena updates all of them.

#include <vector>

#include "tern/core/tensor.h"

namespace tern::nn {

class ParameterArena {
 public:
  // Moves the bytes of the parameters, in this order. Throws UsageError, before anything is moved, for a
  // parameter that is undefined, listed twice, part of a larger tensor, or not f32.
  explicit ParameterArena(std::vector<Tensor> parameters);

  const std::vector<Tensor>& parameters() const { return parameters_; }
  int64_t offset(int64_t i) const { return offsets_[static_cast<size_t>(i)]; }  // in elements
  int64_t numel() const { return flat_.numel(); }                               // with padding, which is 0
  const Tensor& flat() const { return flat_; }                                  // f32 [numel()], all of it

  // Throws UsageError if a parameter's bytes have been moved elsewhere since, by another arena.
  void check_in_place(int64_t i) const;
  bool in_place(int64_t i) const;

  // A zero-filled range like this one, for a state of the optimizer; and one parameter's part of such a
  // range.
  Tensor make_state() const;
  Tensor part_of(const Tensor& flat, int64_t i) const;

 private:
  std::vector<Tensor> parameters_;
  std::vector<int64_t> offsets_;
  Tensor flat_;
};

// "conv1.weight", or "parameter 3 [64,128]" for one without a name.
std::string parameter_name(const Tensor& parameter, int64_t index);

// Throws UsageError if a storage occurs twice.
void check_distinct(const std::vector<Tensor>& parameters);

}  // namespace tern::nn
