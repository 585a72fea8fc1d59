#include "tern/core/autograd.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <queue>
#include <unordered_map>

#include "tern/core/leaf_node.h"

namespace tern {
namespace {

thread_local bool t_finite_checks = false;
thread_local bool t_recompute = false;
std::atomic<int64_t> g_sequence{0};

}  // namespace

constinit thread_local bool detail::t_grad_enabled = true;
bool recompute_enabled() { return t_recompute; }
RecomputeGuard::RecomputeGuard(bool on) : before_(std::exchange(t_recompute, on)) {}
RecomputeGuard::~RecomputeGuard() { t_recompute = before_; }
FiniteCheckGuard::FiniteCheckGuard() : before_(std::exchange(t_finite_checks, true)) {}
FiniteCheckGuard::~FiniteCheckGuard() { t_finite_checks = before_; }

// --- Nodes ---

Node::Node() : sequence(g_sequence.fetch_add(1, std::memory_order_relaxed)) {}

// Deleting a node drops its edges, which may dispose of the next node, and so on down a chain of any length.
// The outermost call works through a list instead of letting the destructors recurse.
void Node::dispose() {
  thread_local std::vector<Node*> pending;
  thread_local bool draining = false;
  if (draining) return pending.push_back(this);
  draining = true;
  delete this;
  while (!pending.empty()) {
    Node* node = pending.back();
    pending.pop_back();
    delete node;
  }
  draining = false;
}

Saved& Saved::operator=(const Tensor& tensor) {
  producer_.reset();
  if (t_recompute && tensor.defined() && tensor.impl()->producer && tensor.impl()->producer->rebuilds()) {
    producer_ = tensor.impl()->producer;
    tensor_ = Tensor();
    return *this;
  }
  // A parameter has no history, now or later, that the node could be part of.
  tensor_ = tensor.defined() && !tensor.impl()->leaf ? tensor.detach() : tensor;
  version_ = tensor.defined() ? tensor.version() : 0;
  return *this;
}

const Tensor& Saved::get(const Node& node) const {
  if (producer_) {
    if (!tensor_.defined()) tensor_ = producer_->rebuild();
    return tensor_;
  }
  if (tensor_.defined() && tensor_.version() != version_) [[unlikely]] {  // the text only where it is needed
    check(false, node.name(), ": the tensor ", describe(tensor_),
          " saved for backward has been changed in place since; hint: change it after backward, or pass a "
          "clone()");
  }
  return tensor_;
}

Gradients LeafNode::backward(const Gradients& dy) {
  grad = grad.defined() ? engine::add(grad, dy[0]) : dy[0];
  return {};
}

namespace detail {

bool finite_checks() { return t_finite_checks; }

void check_finite(std::string_view op, const Tensor& output) {
  if (!output.defined() || !is_floating(output.dtype())) return;
  check<NumericError>(engine::all_finite(output), op, ": the output ", output.shape(), " is not finite");
}

void connect(Node& node, Inputs inputs) {
  node.edges.resize(inputs.size());
  Edge* next = node.edges.begin();
  for (const Tensor& x : inputs) {
    Edge& edge = *next++;
    if (!x.defined() || !x.requires_grad()) continue;
    const TensorImpl& impl = *x.impl();
    edge.node = impl.producer ? impl.producer : Ref<Node>(impl.leaf);
    edge.output = impl.output;
  }
}

void set_history(const Tensor& output, Ref<Node> node, int output_index) {
  if (output_index == 0) node->shape = output.shape();
  else node->more_shapes.push_back(output.shape());
  output.impl()->producer = std::move(node);
  output.impl()->output = output_index;
}

}  // namespace detail

// --- The engine ---

namespace {

struct Later {
  bool operator()(const Ref<Node>& a, const Ref<Node>& b) const { return a->sequence < b->sequence; }
};

// One walk over the tape. A node is ready when it is the youngest one that holds a gradient: every consumer
// of its outputs is younger, so it has run. The order, and with it the order of every sum, is that of
// recording.
class Walk {
 public:
  explicit Walk(bool retain_graph) : retain_graph_(retain_graph) {}

  void add(const Edge& edge, Tensor gradient) {
    auto [entry, fresh] = gradients_.try_emplace(edge.node.get());
    if (fresh) {
      entry->second.resize(static_cast<size_t>(edge.node->outputs()));
      queue_.push(edge.node);
    }
    Tensor& slot = entry->second[static_cast<size_t>(edge.output)];
    // The first writer of a gradient moves in; later ones are added.
    if (slot.defined()) slot = engine::add(slot, gradient);
    else slot = std::move(gradient);
  }

  void run() {
    while (!queue_.empty()) {
      const Ref<Node> node = queue_.top();
      queue_.pop();
      Gradients dy = std::move(gradients_.extract(node.get()).mapped());
      run_node(*node, dy);
    }
  }

 private:
  void run_node(Node& node, const Gradients& dy) {
    check(!node.spent, node.name(),
          ": backward ran through this graph before and freed it; hint: pass "
          "{.retain_graph = true} to the first backward");
    Gradients dx = node.backward(dy);
    for (size_t i = 0; i < dx.size(); ++i) {
      if (!node.needs(static_cast<int>(i)) || !dx[i].defined()) continue;
      const Edge& edge = node.edges[i];
      if (t_finite_checks) detail::check_finite(concat_text("gradient of ", node.name()), dx[i]);
      const Shape& shape = edge.node->shape_of(edge.output);
      add(edge, dx[i].shape() == shape ? std::move(dx[i]) : engine::sum_to(dx[i], shape));
    }
    if (retain_graph_ || node.edges.empty()) return;
    node.spent = true;
    node.edges.clear();  // lets the producers, and what they saved, go as soon as they have run
  }

  bool retain_graph_;
  std::unordered_map<Node*, Gradients, std::hash<Node*>, std::equal_to<>,
                     SmallAllocator<std::pair<Node* const, Gradients>>>
      gradients_;
  std::priority_queue<Ref<Node>, std::vector<Ref<Node>>, Later> queue_;
};

}  // namespace

bool sole_owner(const Tensor& x) { return x.impl()->use_count() == 1 && x.impl()->storage->use_count() == 1; }

Tensor& Tensor::set_requires_grad(bool on) {
  const TensorImpl& impl = known();
  check(!impl.producer, "set_requires_grad: ", describe(*this),
        " is the result of an operation; hint: detach() it");
  check<DTypeError>(!on || is_floating(impl.dtype), "set_requires_grad: ", impl.dtype, " has no gradient");
  impl_->requires_grad = on;
  if (on && !impl_->leaf) {
    impl_->leaf = make_ref<LeafNode>();
    impl_->leaf->shape = impl.shape;
  }
  if (!on) impl_->leaf.reset();
  return *this;
}

Tensor Tensor::grad() const {
  const TensorImpl& impl = known();
  return impl.leaf ? impl.leaf->grad : Tensor();
}

void Tensor::set_grad(Tensor grad) {
  const TensorImpl& impl = known();
  check(static_cast<bool>(impl.leaf), "set_grad: ", describe(*this), " does not require a gradient");
  check<ShapeError>(!grad.defined() || grad.shape() == impl.shape, "set_grad: gradient ", describe(grad),
                    " for ", describe(*this));
  impl_->leaf->grad = std::move(grad);
}

void Tensor::clear_grad() {
  if (known().leaf) impl_->leaf->grad = Tensor();
}

void Tensor::backward(BackwardOptions options) const {
  check<ShapeError>(numel() == 1, "backward: needs one element, got ", describe(*this),
                    "; hint: reduce it with sum() or mean(), or pass a gradient of its shape");
  NoGradGuard no_grad;
  backward(engine::ones_like(*this), options);
}

void Tensor::backward(const Tensor& dy, BackwardOptions options) const {
  const TensorImpl& impl = known();
  check(!options.create_graph, "backward: second derivatives are not supported (create_graph)");
  check(requires_grad(), "backward: ", describe(*this),
        " does not require a gradient; hint: no input of its operations does, or a NoGradGuard was held");
  check<ShapeError>(dy.shape() == shape() && dy.dtype() == dtype(), "backward: gradient ", describe(dy),
                    " for ", describe(*this));
  NoGradGuard no_grad;
  Walk walk(options.retain_graph);
  walk.add({impl.producer ? impl.producer : Ref<Node>(impl.leaf), impl.output}, dy.detach());
  walk.run();
}

}  // namespace tern
