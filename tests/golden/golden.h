#pragma once
// Reading the vectors that generate.py made, and turning PyTorch's layouts into tern's.

#include <nlohmann/json.hpp>
#include <string>

#include "tern/nn/safetensors.h"
#include "tern/ops/reduction.h"
#include "tern/ops/shape_ops.h"
#include "tests/support/tensors.h"

namespace tern::test {

class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(nn::load_safetensors(std::string(TERN_SOURCE_DIR "/tests/golden/") + name + ".safetensors")),
        cases(nlohmann::json::parse(file_.metadata.at("cases"))) {
    EXPECT_FALSE(file_.metadata.at("torch").empty());
  }
  const Tensor& get(const std::string& name) const { return file_.tensors.at(name); }
  const Tensor& get(size_t index, const std::string& name) const { return get(prefix(index) + name); }
  bool has(size_t index, const std::string& name) const {
    return file_.tensors.count(prefix(index) + name) > 0;
  }
  // [N,C,H,W] or [O,I,kH,kW] with the channels moved last.
  Tensor nhwc(size_t index, const std::string& name) const { return channels_last(get(index, name)); }
  static Tensor channels_last(const Tensor& x) { return x.rank() == 4 ? permute(x, {0, 2, 3, 1}) : x; }
  // The same as a leaf that wants a gradient.
  Tensor leaf(size_t index, const std::string& name) const {
    return channels_last(get(index, name)).clone().set_requires_grad();
  }
  const nn::TensorMap& tensors() const { return file_.tensors; }

 private:
  static std::string prefix(size_t index) {
    std::string text = std::to_string(index);
    if (text.size() < 2) text.insert(text.begin(), '0');
    return text += '.';
  }
  nn::SafetensorsFile file_;

 public:
  nlohmann::json cases;
};

inline Reduction reduction_of(const std::string& name) {
  return name == "mean" ? Reduction::Mean : name == "sum" ? Reduction::Sum : Reduction::None;
}

}  // namespace tern::test
