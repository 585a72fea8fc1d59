#pragma once
// The siamese network: one trunk, applied to two or more branches with the same weights.
//
//   nn::Siamese net{trunk};
//   auto [a, p, n] = net(anchors, positives, negatives);     // three embeddings
//
// The branches are stacked along N, the trunk runs once, and its output is split again: one convolution per
// layer over the joint batch instead of one per branch. The weights exist once, so their gradient is the sum
// over the branches by construction, and a saved file holds them once.
//
// Batch normalisation in training sees the joint batch: its statistics are over all branches together, and
// the running statistics move once per call. With .joint_batch = false the trunk runs branch by branch:
// statistics of each branch alone, running statistics moved once per branch (as a loop over the branches does
// in PyTorch). In evaluation mode both give the same embeddings. Source: Bromley et al., "Signature
// verification using a 'siamese' time delay neural network", NIPS 1993.

#include <array>
#include <utility>
#include <vector>

#include "tern/nn/module.h"
#include "tern/nn/module_handle.h"

namespace tern::nn {

struct SiameseOptions {
  bool joint_batch = true;
};

class Siamese final : public Module {
 public:
  // Owns a trunk given by value, shares one given as a pointer.
  explicit Siamese(ModuleHandle trunk, SiameseOptions options = {})
      : trunk_(std::move(trunk)), options_(options) {}

  // Branches of the same shape except for N; returns one output per branch.
  // Throws ShapeError if they differ, UsageError if there are none.
  std::vector<Tensor> branches(const std::vector<Tensor>& inputs);
  template <class... Branch>
  requires(sizeof...(Branch) >= 2 &&
           (std::is_convertible_v<const Branch&, const Tensor&> && ...)) std::array<Tensor, sizeof...(Branch)>
  operator()(const Branch&... inputs) {
    const std::vector<Tensor> outputs = branches({inputs...});
    std::array<Tensor, sizeof...(Branch)> result;
    for (size_t i = 0; i < result.size(); ++i) result[i] = outputs[i];
    return result;
  }
  using Module::operator();
  Tensor forward(const Tensor& x) override { return (*trunk_)(x); }  // one branch alone

  void visit(Visitor& visitor) override { visitor.child("trunk", *trunk_); }
  std::string describe() const override { return "Siamese"; }
  Module& trunk() { return *trunk_; }

 private:
  ModuleHandle trunk_;
  SiameseOptions options_;
};

}  // namespace tern::nn
