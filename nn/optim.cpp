#include "tern/nn/optim.h"

#include <cmath>
#include <set>

#include "tern/core/autograd.h"
#include "tern/ops/step_guard.h"

namespace tern::nn {
namespace {

constexpr const char* kSteps = "steps";

void check_number(bool ok, const char* what, double value) {
  check<UsageError>(ok && std::isfinite(value), "optimizer: ", what, " must be finite and in range, got ",
                    value);
}

std::vector<ParameterGroup> one_group(std::vector<Tensor> parameters) {
  std::vector<ParameterGroup> groups;
  groups.push_back({.parameters = std::move(parameters)});
  return groups;
}

// Names if all have one and no two are the same, else numbers.
std::vector<std::string> keys_for(const std::vector<Tensor>& parameters) {
  std::vector<std::string> names, numbers;
  for (size_t i = 0; i < parameters.size(); ++i) {
    names.push_back(parameters[i].name());
    numbers.push_back(std::to_string(i));
  }
  std::set<std::string> distinct(names.begin(), names.end());
  distinct.erase("");
  return distinct.size() == names.size() ? names : numbers;
}

}  // namespace

Optimizer::Optimizer(std::vector<ParameterGroup> groups, OptimizerSettings settings,
                     std::vector<std::string> state_names)
    : settings_(settings), state_names_(std::move(state_names)) {
  for (const ParameterGroup& group : groups)
    all_.insert(all_.end(), group.parameters.begin(), group.parameters.end());
  check<UsageError>(!all_.empty(), "optimizer: the list of parameters is empty");
  check_distinct(all_);
  check_number(settings.weight_decay >= 0, "weight_decay", settings.weight_decay);
  set_lr(settings.lr);
  set_clip_norm(settings.clip_norm);
  int64_t first = 0;
  for (ParameterGroup& group : groups) {
    const double decay = group.weight_decay.value_or(settings.weight_decay);
    check_number(decay >= 0, "weight_decay of a group", decay);
    check_number(group.lr_scale >= 0, "lr_scale", group.lr_scale);
    groups_.push_back({ParameterArena(std::move(group.parameters)), group.lr_scale, decay, first, {}, {}});
    Group& made = groups_.back();
    for (size_t i = 0; i < state_names_.size(); ++i) made.states.push_back(made.arena.make_state());
    made.rules = Tensor::empty({static_cast<int64_t>(all_.size()), kRuleNumbers},
                               {DType::F64, made.arena.flat().device()});
    first += static_cast<int64_t>(made.arena.parameters().size());
  }
  keys_ = keys_for(all_);
  parameter_steps_.assign(all_.size(), 0);
}

void Optimizer::set_lr(double lr) {
  check_number(lr >= 0, "lr", lr);
  settings_.lr = lr;
}

void Optimizer::set_clip_norm(double norm) {
  check_number(norm >= 0, "clip_norm", norm);
  settings_.clip_norm = norm;
}

void Optimizer::zero_grad() {
  for (Tensor& p : all_) p.clear_grad();
}

Optimizer::Update Optimizer::make_update() const {
  Update update;
  int64_t tiles = 0;
  for (const Tensor& p : all_) tiles += (p.numel() + kOptimizerTile - 1) / kOptimizerTile;
  update.tiles.reserve(all_[0].device(), tiles);
  return update;
}

void Optimizer::gather(Update& u) const {
  u.moves.assign(all_.size(), false);
  u.trains.assign(all_.size(), false);
  u.group_ends.clear();
  u.tiles.clear();
  u.clip_norm = settings_.clip_norm;
  for (const Group& group : groups_) {
    for (size_t i = 0; i < group.arena.parameters().size(); ++i) {
      const int64_t number = group.first + static_cast<int64_t>(i);
      const Tensor& p = group.arena.parameters()[i];
      u.trains[static_cast<size_t>(number)] = p.requires_grad();
      const Tensor gradient = p.requires_grad() ? p.grad() : Tensor();
      if (!gradient.defined()) continue;
      check<ShapeError>(gradient.shape() == p.shape(), "optimizer: the gradient of ",
                        parameter_name(p, number), " is ", gradient.shape(), ", the parameter ", p.shape());
      group.arena.check_in_place(static_cast<int64_t>(i));
      u.moves[static_cast<size_t>(number)] = true;
      u.tiles.append(gradient, group.arena.offset(static_cast<int64_t>(i)), number);
    }
    u.group_ends.push_back(static_cast<int64_t>(u.tiles.host().size()));
  }
}

void Optimizer::queue(Update& u, const Tensor& loss, const Tensor& halted) {
  check<UsageError>(!u.tiles.host().empty(),
                    "optimizer: no parameter has a gradient; hint: call backward() before step()");
  const NoGradGuard no_grad;
  u.norm = gradient_norm(u.tiles, u.clip_norm);
  if (halted.defined()) judge_step(loss, u.norm.total, halted);
  // The passes change nothing where the norm is not finite, so it is read when they are on their way.
  for (size_t i = 0; i < groups_.size(); ++i) {
    const int64_t begin = i == 0 ? 0 : u.group_ends[i - 1];
    if (begin == u.group_ends[i]) continue;
    pass_over(groups_[i], {u.tiles, begin, u.group_ends[i], groups_[i].rules, u.norm.total});
  }
}

void Optimizer::prepare(Update& u) {
  const NoGradGuard no_grad;
  u.tiles.commit(all_[0].device());
  std::vector<int64_t> steps = parameter_steps_;
  for (size_t i = 0; i < all_.size(); ++i) steps[i] += u.moves[i] ? 1 : 0;
  for (size_t i = 0; i < groups_.size(); ++i)
    if (u.group_ends[i] > (i == 0 ? 0 : u.group_ends[i - 1])) write_group_rules(groups_[i], steps);
}

void Optimizer::count(const Update& u, int64_t updates) {
  steps_ += updates;
  for (size_t i = 0; i < all_.size(); ++i) {
    if (!u.moves[i]) continue;
    parameter_steps_[i] += updates;
    all_[i].storage().bump_version();
  }
}

bool Optimizer::still_fits(const Update& u) const {
  if (u.clip_norm != settings_.clip_norm) return false;
  for (const Group& group : groups_) {
    for (size_t i = 0; i < group.arena.parameters().size(); ++i) {
      const auto number = static_cast<size_t>(group.first) + i;
      if (all_[number].requires_grad() != u.trains[number]) return false;
      if (!group.arena.in_place(static_cast<int64_t>(i))) return false;
    }
  }
  return true;
}

double Optimizer::grad_norm() const {
  gather(update_);
  update_.tiles.commit(all_[0].device());
  return gradient_norm(update_.tiles, settings_.clip_norm).total.to_vector()[0];
}

void Optimizer::refuse(const Update& u) const {
  const std::vector<double> sums = u.norm.sums.to_vector();
  size_t bad = 0;
  while (bad + 1 < sums.size() && std::isfinite(sums[bad])) ++bad;
  const int64_t number = u.tiles.host()[bad].parameter;
  throw NumericError(concat_text(
      "optimizer: the gradient of ", parameter_name(all_[static_cast<size_t>(number)], number),
      " is not finite at step ", steps_, "; nothing was changed; hint: a lower learning rate or clip_norm"));
}

double Optimizer::step() {
  gather(update_);
  prepare(update_);
  queue(update_);
  const double norm = update_.norm.total.to_vector()[0];  // waits for the device
  if (!std::isfinite(norm)) refuse(update_);
  count(update_, 1);
  return norm;
}

// Views of the states under their names in state().
std::map<std::string, Tensor> Optimizer::state_views() const {
  std::map<std::string, Tensor> views;
  for (const Group& group : groups_) {
    for (size_t s = 0; s < state_names_.size(); ++s) {
      for (size_t i = 0; i < group.arena.parameters().size(); ++i) {
        const std::string& key = keys_[static_cast<size_t>(group.first) + i];
        views[state_names_[s] + "." + key] = group.arena.part_of(group.states[s], static_cast<int64_t>(i));
      }
    }
  }
  return views;
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> state;
  for (const auto& [name, view] : state_views())
    state[name] = view.device().is_cpu() ? view.clone() : view.to(kCpu);
  std::vector<int64_t> steps{steps_};
  steps.insert(steps.end(), parameter_steps_.begin(), parameter_steps_.end());
  state[kSteps] = Tensor::from_data(std::span<const int64_t>(steps), {static_cast<int64_t>(steps.size())});
  return state;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& state) {
  auto views = state_views();
  const Shape steps_shape{1 + static_cast<int64_t>(all_.size())};
  const auto find = [&](const std::string& name) -> const Tensor& {
    const auto found = state.find(name);
    check<IncompatibleError>(found != state.end(), "optimizer: the state has no '", name, "'");
    return found->second;
  };
  const Tensor& steps = find(kSteps);
  check<IncompatibleError>(steps.shape() == steps_shape && steps.dtype() == DType::I64, "optimizer: state '",
                           kSteps, "' is ", describe(steps), ", expected i64 ", steps_shape);
  for (const auto& [name, view] : views) {
    const Tensor& saved = find(name);
    check<IncompatibleError>(saved.shape() == view.shape() && saved.dtype() == DType::F32,
                             "optimizer: state '", name, "' is ", describe(saved), ", expected ",
                             describe(view));
  }
  for (const auto& [name, tensor] : state)
    check<IncompatibleError>(name == kSteps || views.contains(name), "optimizer: unknown state '", name, "'");

  const NoGradGuard no_grad;
  for (auto& [name, view] : views) view.copy_from(state.at(name));
  const int64_t* counts = steps.data<int64_t>();
  steps_ = counts[0];
  parameter_steps_.assign(counts + 1, counts + steps.numel());
}

Sgd::Sgd(std::vector<Tensor> parameters, SgdOptions options)
    : Sgd(one_group(std::move(parameters)), options) {}

Sgd::Sgd(std::vector<ParameterGroup> groups, SgdOptions options)
    : Optimizer(std::move(groups), {options.lr, options.weight_decay, options.clip_norm},
                options.momentum > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}),
      options_(options) {
  check_number(options.momentum >= 0 && options.momentum < 1, "momentum", options.momentum);
  check<UsageError>(!options.nesterov || options.momentum > 0,
                    "optimizer: nesterov needs a momentum above 0");
}

void Sgd::write_group_rules(const Group& group, std::span<const int64_t>) {
  write_rule(SgdUpdate{.lr = rate_of(group),
                       .momentum = options_.momentum,
                       .weight_decay = group.weight_decay,
                       .nesterov = options_.nesterov},
             group.rules);
}

void Sgd::pass_over(const Group& group, const OptimizerPass& pass) {
  sgd_step(pass, group.arena.flat(), group.states.empty() ? Tensor() : group.states[0]);
}

Adam::Adam(std::vector<Tensor> parameters, AdamOptions options)
    : Adam(one_group(std::move(parameters)), options) {}

Adam::Adam(std::vector<ParameterGroup> groups, AdamOptions options)
    : Adam(std::move(groups), options, false) {}

Adam::Adam(std::vector<ParameterGroup> groups, AdamOptions options, bool decoupled)
    : Optimizer(std::move(groups), {options.lr, options.weight_decay, options.clip_norm},
                {"exp_avg", "exp_avg_sq"}),
      options_(options),
      decoupled_(decoupled) {
  check_number(options.beta1 >= 0 && options.beta1 < 1, "beta1", options.beta1);
  check_number(options.beta2 >= 0 && options.beta2 < 1, "beta2", options.beta2);
  check_number(options.eps >= 0, "eps", options.eps);
}

void Adam::write_group_rules(const Group& group, std::span<const int64_t> steps) {
  write_rule(AdamUpdate{.lr = rate_of(group),
                        .beta1 = options_.beta1,
                        .beta2 = options_.beta2,
                        .eps = options_.eps,
                        .weight_decay = group.weight_decay,
                        .decoupled = decoupled_,
                        .steps = steps},
             group.rules);
}

void Adam::pass_over(const Group& group, const OptimizerPass& pass) {
  adam_step(pass, group.arena.flat(), group.states[0], group.states[1]);
}

AdamW::AdamW(std::vector<Tensor> parameters, AdamWOptions options)
    : AdamW(one_group(std::move(parameters)), options) {}

AdamW::AdamW(std::vector<ParameterGroup> groups, AdamWOptions options)
    : Adam(std::move(groups),
           {options.lr, options.beta1, options.beta2, options.eps, options.weight_decay, options.clip_norm},
           true) {}

}  // namespace tern::nn
