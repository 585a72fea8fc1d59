#include "tern/nn/module.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "tern/core/cuda_support.h"
#include "tern/ops/multiply_adds.h"

namespace tern::nn {

void Visitor::parameter(std::string_view, Parameter&, Layout) {}
void Visitor::buffer(std::string_view, Parameter&) {}
void Visitor::child(std::string_view, Module&) {}

namespace {

std::string joined(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : concat_text(path, ".", name);
}

// Walks a tree by visit(), with the path so far.
class TreeWalk final : public Visitor {
 public:
  std::function<void(const std::string& path, Module&)> on_module = [](const std::string&, Module&) {};
  std::function<void(Member)> on_member = [](const Member&) {};

  void walk(Module& root) {
    on_module(path_, root);
    root.visit(*this);
  }
  void parameter(std::string_view name, Parameter& tensor, Layout layout) override {
    if (tensor.defined()) on_member({joined(path_, name), &tensor, layout, false});
  }
  void buffer(std::string_view name, Parameter& tensor) override {
    if (tensor.defined()) on_member({joined(path_, name), &tensor, Layout::Plain, true});
  }
  void child(std::string_view name, Module& module) override {
    const std::string before = path_;
    path_ = joined(path_, name);
    walk(module);
    path_ = before;
  }

 private:
  std::string path_;
};

std::vector<NamedTensor> unique_members(Module& root, bool buffers) {
  std::vector<NamedTensor> found;
  for (const Member& member : members(root)) {
    if (member.buffer != buffers) continue;
    const auto known = [&](const NamedTensor& other) { return same_data(other.tensor, *member.tensor); };
    if (std::none_of(found.begin(), found.end(), known)) {
      found.push_back({member.name, member.tensor->share(), member.layout});
    }
  }
  return found;
}

std::string with_commas(int64_t number) {
  return number < 1000 ? fmt::format("{}", number)
                       : fmt::format("{},{:03}", with_commas(number / 1000), number % 1000);
}

}  // namespace

// Gives the children their names in the parent; only the direct ones, each names its own on its first call.
struct Naming final : Visitor {
  void child(std::string_view name, Module& module) override { module.name_ = name; }
};

Module& Module::operator=(const Module& other) {
  name_ = other.name_;
  training_ = other.training_;
  children_named_ = false;
  return *this;
}

void Module::visit(Visitor&) {}
std::string Module::describe() const { return "Module"; }

Tensor Module::operator()(const Tensor& x) {
  const Call call(*this);
  return forward(x);
}

void Module::name_children() {
  if (children_named_.load(std::memory_order_acquire)) return;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  if (children_named_.load(std::memory_order_relaxed)) return;
  Naming naming;
  visit(naming);
  children_named_.store(true, std::memory_order_release);
}

void Module::train(bool on) {
  for_each_module(*this, [on](const std::string&, Module& module) { module.training_ = on; });
}

std::vector<NamedTensor> Module::named_parameters() {
  std::vector<NamedTensor> found = unique_members(*this, false);
  // For error texts and the names of optimizer states; the first listing decides.
  for (NamedTensor& parameter : found) {
    if (parameter.tensor.name().empty()) parameter.tensor.set_name(parameter.name);
  }
  return found;
}
std::vector<NamedTensor> Module::named_buffers() { return unique_members(*this, true); }

std::vector<Tensor> Module::parameters() {
  std::vector<Tensor> tensors;
  for (NamedTensor& parameter : named_parameters()) tensors.push_back(std::move(parameter.tensor));
  return tensors;
}

int64_t Module::num_parameters() {
  int64_t total = 0;
  for (const Tensor& tensor : parameters()) total += tensor.numel();
  return total;
}

int64_t Module::num_multiply_adds(const Shape& input) {
  const NoGradGuard no_grad;
  const EvalScope eval(*this);
  Tensor x = Tensor::empty(input, {.device = device()});
  x.fill(0);
  const MultiplyAdds counted;
  (*this)(x);
  return counted.total();
}

void Module::set_requires_grad(bool on) {
  for (Tensor& tensor : parameters()) tensor.set_requires_grad(on);
}

void Module::to(Device device) {
  require_device(device);
  auto tensors = named_parameters();
  for (NamedTensor& buffer : named_buffers()) tensors.push_back(std::move(buffer));
  // All the memory first: where there is not enough, nothing has moved.
  std::vector<std::pair<Tensor, Ref<Storage>>> moves;
  for (const NamedTensor& t : tensors) {
    const Storage& storage = t.tensor.storage();
    if (storage.device() == device || !is_floating(t.tensor.dtype())) continue;
    moves.emplace_back(t.tensor, Storage::allocate(storage.bytes(), device));
  }
  for (auto& [tensor, target] : moves) {
    if (tensor.requires_grad()) tensor.clear_grad();
    tensor.storage().rehome(std::move(target), 0);
  }
}

Device Module::device() {
  const auto owned = parameters();
  return owned.empty() ? kCpu : owned[0].device();
}

void Module::zero_grad() {
  for (Tensor& tensor : parameters()) tensor.clear_grad();
}

std::string Module::summary() {
  struct Row {
    std::string path, kind, count;
  };
  std::vector<Row> rows{{"module", "kind", "parameters"}};
  for_each_module(*this, [&](const std::string& path, Module& module) {
    int64_t own = 0;  // without the children's
    struct Count final : Visitor {
      explicit Count(int64_t& total) : total(total) {}
      void parameter(std::string_view, Parameter& tensor, Layout) override {
        if (tensor.defined()) total += tensor.numel();
      }
      int64_t& total;
    } count(own);
    module.visit(count);
    rows.push_back({path.empty() ? "(root)" : path, module.describe(), own ? with_commas(own) : ""});
  });
  rows.push_back({"total", "", with_commas(num_parameters())});
  size_t path_width = 0, kind_width = 0;
  for (const Row& row : rows) {
    path_width = std::max(path_width, row.path.size());
    kind_width = std::max(kind_width, row.kind.size());
  }
  std::string text;
  for (const Row& row : rows) {
    text += fmt::format("{:<{}}  {:<{}}  {:>12}\n", row.path, path_width, row.kind, kind_width, row.count);
  }
  return text;
}

void for_each_module(Module& root, const std::function<void(const std::string& path, Module&)>& body) {
  TreeWalk walk;
  walk.on_module = body;
  walk.walk(root);
}

EvalScope::EvalScope(Module& root) {
  for_each_module(root, [this](const std::string&, Module& module) {
    if (!module.training_) return;  // not even written: many threads may share a model in evaluation mode
    was_training_.push_back(&module);
    module.training_ = false;
  });
}
EvalScope::~EvalScope() {
  for (Module* module : was_training_) module->training_ = true;
}

std::vector<Member> members(Module& root) {
  std::vector<Member> found;
  TreeWalk walk;
  walk.on_member = [&](Member member) { found.push_back(std::move(member)); };
  walk.walk(root);
  return found;
}

bool same_data(const Tensor& a, const Tensor& b) {
  return a.defined() && b.defined() && &a.storage() == &b.storage() &&
         a.element_offset() == b.element_offset() && a.shape() == b.shape();
}

void detail::restore_sharing(Module& original, Module& copy) {
  const auto from = members(original);
  const auto to = members(copy);
  for (size_t i = 0; i < from.size(); ++i) {
    for (size_t first = 0; first < i; ++first) {
      if (!same_data(*from[i].tensor, *from[first].tensor)) continue;
      *to[i].tensor = to[first].tensor->share();
      break;
    }
  }
}

}  // namespace tern::nn
