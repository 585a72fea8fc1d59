#pragma once
// A part of a network: a function of tensors that owns parameters.
//
// A module lists its members once, in visit(); saving, loading, counting, printing, copying and the optimizer
// all derive from that list:
//
//   struct Net : nn::Module {
//     nn::Conv2d conv{{.in = 3, .out = 16, .kernel = 3}};
//     nn::Linear fc{{.in = 16, .out = 8}};
//     Tensor forward(const Tensor& x) override { return fc(global_avg_pool2d(relu(conv(x)))); }
//     void visit(nn::Visitor& v) override { v.child("conv", conv), v.child("fc", fc); }
//   };
//
// Names join with dots ("conv.weight") and are PyTorch's. An error inside a forward pass carries the path of
// the module it came from. A module in evaluation mode (train(false)) may run on many threads at once.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tern/core/tensor.h"
#include "tern/nn/parameter.h"

namespace tern::nn {

class Module;

// How a parameter lies in files. Convolution: [O,kH,kW,C] in memory, PyTorch's [O,C,kH,kW] in files.
enum class Layout { Plain, Convolution };

// What visit() is called with. A tensor that is undefined (a layer without bias) is passed over by everyone.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void parameter(std::string_view name, Parameter& tensor, Layout layout = Layout::Plain);
  virtual void buffer(std::string_view name, Parameter& tensor);  // saved, but not trained
  virtual void child(std::string_view name, Module& module);
};

// One tensor of a module under its full name.
struct NamedTensor {
  std::string name;
  Tensor tensor;
  Layout layout = Layout::Plain;
};

class Module {
 public:
  Module() = default;
  Module(const Module& other) : name_(other.name_), training_(other.training_) {}
  Module& operator=(const Module& other);
  virtual ~Module() = default;

  virtual Tensor forward(const Tensor& x) = 0;
  virtual void visit(Visitor& visitor);  // default: nothing to list
  virtual std::string describe() const;  // one line for summary(), "Conv2d(3 -> 16, 3x3)"
  Tensor operator()(const Tensor& x);

  // Training mode (the default) or evaluation mode, for this module and everything below.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  // Each tensor once, under the first of its names, in the order of visit().
  std::vector<Tensor> parameters();
  std::vector<NamedTensor> named_parameters();
  std::vector<NamedTensor> named_buffers();
  int64_t num_parameters();
  // Of convolutions and linear layers for an input of this shape (ops/multiply_adds.h). Runs the module once,
  // in evaluation mode, on zeros.
  int64_t num_multiply_adds(const Shape& input);
  void set_requires_grad(bool on);  // freezes or thaws all parameters
  // Moves parameters and buffers to a device, under the same handles; gradients are dropped. Integer buffers
  // are counters that no kernel reads: they stay on the CPU. An optimizer is made afterwards.
  void to(Device device);
  Device device();  // of the first parameter; the CPU for a module without
  void zero_grad();

  // A table of modules with their parameter counts.
  std::string summary();
  const std::string& name() const { return name_; }  // in the parent; empty for a root

 protected:
  // Opens the error scope of this module; for call forms other than forward(x).
  class Call;

 private:
  friend class Call;
  friend struct Naming;
  friend class EvalScope;
  void name_children();

  std::string name_;
  bool training_ = true;
  std::atomic<bool> children_named_{false};
};

class Module::Call {
 public:
  explicit Call(Module& module) : scope_((module.name_children(), module.name_)) {}

 private:
  ErrorScope scope_;
};

// Every module of a tree with its path, parents first; the root's path is empty.
void for_each_module(Module& root, const std::function<void(const std::string& path, Module&)>& body);

// Evaluation mode for a scope; afterwards every module is in the mode it was in.
class EvalScope {
 public:
  explicit EvalScope(Module& root);
  ~EvalScope();
  EvalScope(const EvalScope&) = delete;
  EvalScope& operator=(const EvalScope&) = delete;

 private:
  std::vector<Module*> was_training_;
};

// Every tensor of a tree, once for each name. buffer tells parameters from buffers.
struct Member {
  std::string name;
  Parameter* tensor;
  Layout layout;
  bool buffer;
};
std::vector<Member> members(Module& root);

// True if both handles mean the same elements of the same storage.
bool same_data(const Tensor& a, const Tensor& b);

namespace detail {
void restore_sharing(Module& original, Module& copy);
}

// A copy with tensors of its own, as C++ copying makes it (see Parameter); besides, tensors that are shared
// inside the original are shared inside the copy.
template <class M>
M copy(M& module) {
  M made(module);
  detail::restore_sharing(module, made);
  return made;
}

}  // namespace tern::nn
