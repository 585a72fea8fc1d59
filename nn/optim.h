#pragma once
// Optimizers: one fused pass over an arena per parameter group (ops/optimizer.h). Rules and defaults are
// PyTorch's.
//
//   nn::AdamW optimizer(net.parameters(), {.lr = 1e-3, .clip_norm = 5});
//   optimizer.zero_grad(); loss.backward(); optimizer.set_lr(schedule.at(step)); optimizer.step();

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tern/nn/arena.h"
#include "tern/ops/optimizer.h"

namespace tern::nn {

struct ParameterGroup {
  std::vector<Tensor> parameters;
  double lr_scale = 1;                 // its learning rate is lr_scale * lr
  std::optional<double> weight_decay;  // the optimizer's if not given
};

// The options that all optimizers share.
struct OptimizerSettings {
  double lr = 0;
  double weight_decay = 0;
  double clip_norm = 0;  // above 0: the whole gradient is scaled down to this norm
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update of every parameter that requires a gradient and has one; the others are left alone. Returns
  // the norm of the whole gradient before clipping. Throws NumericError naming the first parameter with a
  // gradient that is not finite, and UsageError if there is no gradient at all; then nothing has changed.
  double step();
  // The norm of the present gradients, 0 if there are none. Its bits do not depend on the number of threads.
  double grad_norm() const;
  void zero_grad();

  double lr() const { return settings_.lr; }
  void set_lr(double lr);
  void set_clip_norm(double norm);
  int64_t steps() const { return steps_; }  // updates made
  const std::vector<Tensor>& parameters() const { return all_; }

  // The parts of step(), for a caller who records the third and replays it (core/device_step.h):
  //   make_update   room for what a step needs beside the arenas
  //   gather        which gradients there are, and where; waits for nothing and sends nothing
  //   queue         norm and passes, on the device; with loss and halted (ops/step_guard.h) they judge
  //   themselves prepare       what changes from step to step: rates, corrections. Before the device comes to
  //   what was queued count         so many updates were made; below 0: taken back
  struct Update {
    GradientTiles tiles;
    std::vector<bool> moves, trains;  // by parameter: it has a gradient; it requires one
    std::vector<int64_t> group_ends;
    GradientNorm norm;
    double clip_norm = 0;
  };
  Update make_update() const;
  void gather(Update& update) const;
  void queue(Update& update, const Tensor& loss = {}, const Tensor& halted = {});
  void prepare(Update& update);
  void count(const Update& update, int64_t updates);
  // Whether what was queued is still what step() would do now: the same clipping, the same frozen parameters,
  // arenas in their place.
  bool still_fits(const Update& update) const;

  // What a resumed training needs besides parameters and learning rate: "momentum.conv1.weight" and so on (by
  // index for parameters without a name) as f32 tensors shaped like the parameters, and "steps" i64 [1 +
  // parameters]; on the CPU wherever the parameters are, so that a run may go on on another device.
  std::map<std::string, Tensor> state() const;
  // Throws IncompatibleError naming what is missing, unknown or of another shape; then nothing has changed.
  void load_state(const std::map<std::string, Tensor>& state);

 protected:
  struct Group {
    ParameterArena arena;
    double lr_scale, weight_decay;
    int64_t first;               // number of its first parameter among all
    std::vector<Tensor> states;  // flat, in the arena's order
    Tensor rules;                // f64 [all parameters, kRuleNumbers]
  };

  // state_names: one flat state each. Throws UsageError for an empty list or a parameter listed twice.
  Optimizer(std::vector<ParameterGroup> groups, OptimizerSettings settings,
            std::vector<std::string> state_names);
  // A step of a group: its rules, given the number of updates of each parameter, and the pass over its tiles.
  virtual void write_group_rules(const Group& group, std::span<const int64_t> steps) = 0;
  virtual void pass_over(const Group& group, const OptimizerPass& pass) = 0;

  double rate_of(const Group& group) const { return group.lr_scale * settings_.lr; }

 private:
  [[noreturn]] void refuse(const Update& update) const;
  std::map<std::string, Tensor> state_views() const;

  OptimizerSettings settings_;
  std::vector<std::string> state_names_;
  std::vector<Tensor> all_;
  std::vector<std::string> keys_;  // names of the parameters in state()
  std::vector<Group> groups_;
  mutable Update update_;  // of step(); kept for what lies on a device
  int64_t steps_ = 0;
  std::vector<int64_t> parameter_steps_;
};

struct SgdOptions {
  double lr = 1e-3;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;  // added to the gradient
  double clip_norm = 0;
};

class Sgd final : public Optimizer {
 public:
  explicit Sgd(std::vector<Tensor> parameters, SgdOptions options = {});
  explicit Sgd(std::vector<ParameterGroup> groups, SgdOptions options = {});

 private:
  void write_group_rules(const Group& group, std::span<const int64_t> steps) override;
  void pass_over(const Group& group, const OptimizerPass& pass) override;
  SgdOptions options_;
};

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;  // Adam: added to the gradient
  double clip_norm = 0;
};

class Adam : public Optimizer {
 public:
  explicit Adam(std::vector<Tensor> parameters, AdamOptions options = {});
  explicit Adam(std::vector<ParameterGroup> groups, AdamOptions options = {});

 protected:
  Adam(std::vector<ParameterGroup> groups, AdamOptions options, bool decoupled);

 private:
  void write_group_rules(const Group& group, std::span<const int64_t> steps) override;
  void pass_over(const Group& group, const OptimizerPass& pass) override;
  AdamOptions options_;
  bool decoupled_;
};

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;  // AdamW: shrinks the parameter by lr * weight_decay
  double clip_norm = 0;
};

class AdamW final : public Adam {
 public:
  explicit AdamW(std::vector<Tensor> parameters, AdamWOptions options = {});
  explicit AdamW(std::vector<ParameterGroup> groups, AdamWOptions options = {});
};

}  // namespace tern::nn
