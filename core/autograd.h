#pragma once
// Reverse-mode automatic differentiation on a tape of nodes.
//
// For y = f(x1 .. xn) a node keeps what f's derivative needs and an edge to the producer of each input that
// takes part in differentiation. backward() walks the nodes in reverse order of creation (an input's producer
// is always older than its consumer, so that is a topological order) and applies the chain rule
//     dL/dx_i = sum over consumers of (dL/dy) dy/dx_i .
// A node only returns gradients. The engine adds them up, undoes broadcasting, skips what needs none, and
// frees each node as soon as it has run. The walk and the destruction of a graph are loops: a chain of a
// million nodes neither overflows the stack on backward nor when it is dropped.
//
// An operation records itself like this:
//
//   struct ReluNode final : OpNode<ReluNode> {
//     static constexpr std::string_view kName = "relu";
//     Gradients backward(const Gradients& dy) override { return {relu_backward(dy[0], y.get(*this))}; }
//     Saved y;
//   };
//   Tensor relu(const Tensor& x) {
//     Tensor y = ...;
//     return record<ReluNode>(y, {x}, [&](ReluNode& node) { node.y = y; });
//   }

#include <functional>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tern/core/tensor.h"

namespace tern {

// Whether operations record themselves on this thread. NoGradGuard switches recording off for a scope;
// changes in place (parameters, running statistics) happen under it.
namespace detail {
extern constinit thread_local bool t_grad_enabled;
}
inline bool grad_enabled() { return detail::t_grad_enabled; }
class NoGradGuard {
 public:
  NoGradGuard() : before_(std::exchange(detail::t_grad_enabled, false)) {}
  ~NoGradGuard() { detail::t_grad_enabled = before_; }
  NoGradGuard(const NoGradGuard&) = delete;
  NoGradGuard& operator=(const NoGradGuard&) = delete;

 private:
  bool before_;
};

// In its scope every recorded output and every gradient is tested; the first that is not finite throws
// NumericError naming the operation. Slow: the trainer reruns a failed step under it.
class FiniteCheckGuard {
 public:
  FiniteCheckGuard();
  ~FiniteCheckGuard();

 private:
  bool before_;
};

// In its scope an operation that can cheaply compute its output again from what it keeps anyway (batch_norm
// with its activation) does so when another's backward pass reads it, instead of the output being kept until
// then: less memory, the same bits, a little more time.
bool recompute_enabled();
class RecomputeGuard {
 public:
  explicit RecomputeGuard(bool on = true);
  ~RecomputeGuard();
  RecomputeGuard(const RecomputeGuard&) = delete;
  RecomputeGuard& operator=(const RecomputeGuard&) = delete;

 private:
  bool before_;
};

using Gradients =
    std::vector<Tensor, SmallAllocator<Tensor>>;  // one per input (or output); undefined where there is none

// A tensor kept for backward: shares the data, not the history (so a node that keeps its own output makes no
// cycle). get() throws UsageError, naming op and tensor, if the data has been changed in place since. Under
// RecomputeGuard it keeps the producer in place of the data, where that can rebuild its output.
class Saved {
 public:
  Saved() = default;
  Saved& operator=(const Tensor& tensor);
  const Tensor& get(const Node& node) const;
  bool defined() const { return tensor_.defined() || producer_; }

 private:
  mutable Tensor tensor_;
  uint64_t version_ = 0;
  Ref<Node> producer_;  // of a tensor that is rebuilt when it is asked for
};

// True if no other handle, view or saved tensor refers to the data: a backward pass may put its result there.
bool sole_owner(const Tensor& x);

// Where the gradient of one input goes.
struct Edge {
  Ref<Node> node;  // producer of the input, or its leaf node
  int output = 0;  // which of the producer's outputs
  explicit operator bool() const { return static_cast<bool>(node); }
};

// The edges of a node: up to two lie in it.
class Edges {
 public:
  Edges() = default;
  Edges(const Edges&) = delete;
  Edges& operator=(const Edges&) = delete;
  Edge* begin() { return data_; }
  Edge* end() { return data_ + size_; }
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  const Edge& operator[](size_t i) const { return data_[i]; }
  void resize(size_t n) {  // from nothing
    if (n > 2) many_.resize(n), data_ = many_.data();
    size_ = n;
  }
  void clear() {
    for (Edge& edge : *this) edge.node.reset();
    size_ = 0;
  }

 private:
  Edge few_[2];
  std::vector<Edge, SmallAllocator<Edge>> many_;
  Edge* data_ = few_;
  size_t size_ = 0;
};

class Node : public RefCounted {
 public:
  Node();
  virtual std::string_view name() const = 0;
  // dy[i]: gradient of output i, undefined if output i was not used. Returns one gradient per input,
  // undefined where needs(i) is false; a gradient may have the broadcast shape, the engine sums it down.
  virtual Gradients backward(const Gradients& dy) = 0;

  // Whether the one output can be computed again from what the node keeps, and that output, without history.
  virtual bool rebuilds() const { return false; }
  virtual Tensor rebuild() const { return {}; }

  int outputs() const { return 1 + static_cast<int>(more_shapes.size()); }
  const Shape& shape_of(int output) const {
    return output == 0 ? shape : more_shapes[static_cast<size_t>(output) - 1];
  }
  bool needs(int input) const {
    return static_cast<size_t>(input) < edges.size() && edges[static_cast<size_t>(input)];
  }

  Edges edges;                     // one per input; empty edge: no gradient wanted
  Shape shape;                     // of the first output
  std::vector<Shape> more_shapes;  // of further ones
  int64_t sequence;                // creation order on the process
  bool spent = false;              // ran without retain_graph: cannot run again

 protected:
  void dispose() final;  // iterative
};

template <class Self>
struct OpNode : Node {
  std::string_view name() const final { return Self::kName; }
};

// The inputs of an operation, by reference: copies of handles would cost as much as a small operation.
using Inputs = std::span<const std::reference_wrapper<const Tensor>>;
using InputList = std::initializer_list<std::reference_wrapper<const Tensor>>;

namespace detail {
inline bool wants_gradient(const Tensor& input) {
  return t_grad_enabled && input.defined() && input.requires_grad();
}
inline bool wants_gradient(Inputs inputs) {
  for (const Tensor& x : inputs)
    if (wants_gradient(x)) return true;
  return false;
}
void connect(Node& node, Inputs inputs);
void set_history(const Tensor& output, Ref<Node> node, int output_index);  // in order of the outputs
void check_finite(std::string_view op, const Tensor& output);
bool finite_checks();
}  // namespace detail

// Puts y = op(inputs) on the tape if recording is on and an input requires a gradient; fill(node) then stores
// what backward needs. Returns y.
template <class N, class Fill>
Tensor record(const Tensor& y, Inputs inputs, Fill&& fill) {
  if (detail::finite_checks()) [[unlikely]]
    detail::check_finite(N::kName, y);
  if (!detail::wants_gradient(inputs)) return y;
  auto node = make_ref<N>();
  fill(*node);
  detail::connect(*node, inputs);
  detail::set_history(y, std::move(node), 0);
  return y;
}

template <class N, class Fill>
Tensor record(const Tensor& y, InputList inputs, Fill&& fill) {
  return record<N>(y, Inputs(inputs.begin(), inputs.size()), std::forward<Fill>(fill));
}

// The same for an op with several outputs.
template <class N, class Fill>
void record_many(const std::vector<Tensor>& ys, InputList list, Fill&& fill) {
  const Inputs inputs(list.begin(), list.size());
  if (!detail::wants_gradient(inputs)) return;
  auto node = make_ref<N>();
  fill(*node);
  detail::connect(*node, inputs);
  for (size_t i = 0; i < ys.size(); ++i) detail::set_history(ys[i], node, static_cast<int>(i));
}

// What the engine needs from the operations (defined in ops/accumulate.cpp; core never includes ops).
namespace engine {
Tensor add(const Tensor& a, const Tensor& b);  // same shape; may reuse a's storage if nobody else holds it
Tensor sum_to(const Tensor& gradient, const Shape& shape);  // undoes broadcasting
Tensor ones_like(const Tensor& y);
bool all_finite(const Tensor& x);
}  // namespace engine

}  // namespace tern
