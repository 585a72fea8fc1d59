#pragma once
// Modules one after the other, named "0", "1", ... as in PyTorch. Convolution, batch norm and ReLU or PReLU
// in a row take one pass less over memory each; the numbers are the same.
//
//   nn::Sequential net{nn::Conv2d{{.in = 1, .out = 8}}, nn::ReLU{}, nn::Flatten{}};

#include <type_traits>
#include <utility>
#include <vector>

#include "tern/nn/module.h"
#include "tern/nn/module_handle.h"

namespace tern::nn {

class Sequential final : public Module {
 public:
  Sequential() = default;
  // Modules by value (owned) or by pointer (shared).
  template <class... M>
  requires(sizeof...(M) > 0 && (std::is_constructible_v<ModuleHandle, M&&> && ...) &&
           !(sizeof...(M) == 1 && (std::is_same_v<std::remove_cvref_t<M>, Sequential> &&
                                   ...))) explicit Sequential(M&&... modules) {
    (add(std::forward<M>(modules)), ...);
  }

  void add(ModuleHandle module) { modules_.push_back(std::move(module)); }
  Tensor forward(const Tensor& x) override { return run(0, x); }
  Tensor run_from(size_t first, const Tensor& x);  // without the modules before `first`
  void visit(Visitor& visitor) override;
  std::string describe() const override { return "Sequential"; }
  size_t size() const { return modules_.size(); }
  Module& operator[](size_t i) const { return *modules_.at(i); }

 private:
  Tensor run(size_t first, const Tensor& x);
  std::vector<ModuleHandle> modules_;
};

}  // namespace tern::nn
