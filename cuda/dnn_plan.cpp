#include "tern/cuda/dnn_plan.h"

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>

#include "tern/core/error.h"

namespace tern::cu::dnn {
namespace {

constexpr int64_t kMostConfigurations = 64;

// One configuration and what its engine says about itself.
struct Candidate {
  Descriptor configuration;
  Engine engine;
  EngineNotes notes;
  bool tried = false;
};

EngineNotes read_notes(const Descriptor& engine) {
  EngineNotes notes;
  for (const auto note : engine.values<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                    CUDNN_NUMERICAL_NOTE_TYPE_COUNT)) {
    notes.tensor_cores |= note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    notes.rounds_inputs |= note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    notes.reduced_sums |= note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION;
    notes.nondeterministic |= note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    notes.large_winograd |=
        note == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6 || note == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13;
  }
  for (const auto note : engine.values<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                                   CUDNN_BEHAVIOR_NOTE_TYPE_COUNT))
    notes.runtime_compiled |= note == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
  return notes;
}

std::vector<Descriptor> make_descriptors(cudnnBackendDescriptorType_t type, int64_t count) {
  std::vector<Descriptor> result;
  for (int64_t i = 0; i < count; ++i) result.emplace_back(type);
  return result;
}

Candidate read_candidate(Descriptor configuration) {
  std::array<Descriptor, 1> engine{Descriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR)};
  configuration.descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  auto choices = make_descriptors(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS);
  const auto knobs =
      static_cast<size_t>(configuration.descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, choices));
  Candidate result{std::move(configuration), {}, read_notes(engine[0]), false};
  result.engine.index = engine[0].value<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  for (size_t i = 0; i < knobs; ++i)
    result.engine.knobs.emplace_back(
        choices[i].value<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE),
        choices[i].value<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  return result;
}

// What the heuristics propose, best first as they see it; nothing where they know no engine.
std::vector<Candidate> propose(const Target& target, const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, mode)
      .set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, target.properties());
  std::vector<Candidate> result;
  if (!heuristics.finalize_if_supported()) return result;
  const int64_t count =
      std::min(heuristics.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, {}), kMostConfigurations);
  auto configurations = make_descriptors(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, count);
  const int64_t got = heuristics.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, configurations);
  for (int64_t i = 0; i < got; ++i)
    result.push_back(read_candidate(std::move(configurations[static_cast<size_t>(i)])));
  return result;
}

bool allowed(const EngineNotes& notes, const Problem& problem, const Policy& policy) {
  if (policy.deterministic && notes.nondeterministic) return false;
  // Engines of pools carry the note, too; there are no products in them that could be rounded.
  if (problem.dtype != DType::F32 || !is_convolution(problem.form)) return true;
  if (notes.large_winograd) return false;
  return policy.tf32 || !(notes.tensor_cores || notes.rounds_inputs || notes.reduced_sums);
}

std::optional<Plan> finalize(const Target& target, const std::shared_ptr<Graph>& graph, Candidate& candidate,
                             const Policy& policy) {
  Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, candidate.configuration)
      .set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, target.properties());
  if (!plan.finalize_if_supported()) return std::nullopt;
  Plan result(graph, std::move(plan), std::move(candidate.configuration), candidate.engine, candidate.notes);
  if (result.workspace() > policy.workspace_cap) return std::nullopt;
  return result;
}

}  // namespace

std::string to_string(const Engine& engine) {
  std::string text = concat_text(engine.index);
  for (const auto& [type, value] : engine.knobs) text += concat_text(" ", type, "=", value);
  return text;
}

bool parse_engine(const std::string& text, Engine& engine) {
  std::istringstream in(text);
  engine = {};
  if (!(in >> engine.index)) return false;
  char equals = 0;
  for (int64_t type = 0, value = 0; in >> type;) {
    if (!(in >> equals >> value) || equals != '=') return false;
    engine.knobs.emplace_back(type, value);
  }
  return in.eof();
}

Plan::Plan(std::shared_ptr<Graph> graph, Descriptor plan, Descriptor configuration, Engine engine,
           EngineNotes notes)
    : graph_(std::move(graph)),
      configuration_(std::move(configuration)),
      plan_(std::move(plan)),
      engine_(std::move(engine)),
      notes_(notes),
      workspace_(plan_.value<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)) {}

void Plan::execute(cudnnHandle_t handle, const Pointers& tensors, void* workspace) const {
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const int64_t>(tensors.uids))
      .set_pointers(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, tensors.data)
      .set_pointers(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, std::span<void* const>(&workspace, 1))
      .finalize();
  TERN_CUDNN_CALL(vendor::cudnn().Execute(handle, plan_.get(), pack.get()));
}

std::vector<Plan> make_plans(const Target& target, const Problem& problem, const Policy& policy,
                             size_t limit) {
  const std::shared_ptr<Graph> graph = build(problem);
  const Descriptor& finished = graph->finish();
  const bool prefer_tensor_cores =
      wants_tensor_cores(problem) && (problem.dtype == DType::BF16 || policy.tf32);
  std::vector<Plan> plans;
  const auto take = [&](std::vector<Candidate>& proposals, bool only_tensor_cores) {
    for (Candidate& candidate : proposals) {
      if (plans.size() >= limit) return;
      if (candidate.tried || !allowed(candidate.notes, problem, policy)) continue;
      if (only_tensor_cores && !candidate.notes.tensor_cores) continue;
      candidate.tried = true;
      if (auto plan = finalize(target, graph, candidate, policy)) plans.push_back(std::move(*plan));
    }
  };
  std::vector<Candidate> proposals = propose(target, finished, CUDNN_HEUR_MODE_A), fallback;
  take(proposals, prefer_tensor_cores);
  if (plans.empty()) {
    fallback = propose(target, finished, CUDNN_HEUR_MODE_FALLBACK);
    take(fallback, prefer_tensor_cores);
  }
  take(proposals, false);
  if (plans.empty()) take(fallback, false);
  check<NoPlanError>(!plans.empty(), "cudnn: no configuration for ", to_string(problem), " on ",
                     target.name(), policy.deterministic ? " that is deterministic" : "", " within ",
                     policy.workspace_cap >> 20,
                     " MiB of workspace; hint: a newer cuDNN 9, or a smaller batch");
  return plans;
}

Plan make_plan(const Target& target, const Problem& problem, const Policy& policy) {
  return std::move(make_plans(target, problem, policy, 1).front());
}

std::vector<Plan> make_named_plan(const Target& target, const Problem& problem, const Policy& policy,
                                  const Engine& engine) {
  const std::shared_ptr<Graph> graph = build(problem);
  Descriptor named(CUDNN_BACKEND_ENGINE_DESCRIPTOR), configuration(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  named.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph->finish())
      .set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, engine.index)
      .set(CUDNN_ATTR_ENGINE_DEVICEPROP, target.properties());
  std::vector<Plan> plans;
  if (!named.finalize_if_supported()) return plans;
  std::vector<Descriptor> choices;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const auto& [type, value] : engine.knobs) {
    Descriptor& choice = choices.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    choice.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, static_cast<cudnnBackendKnobType_t>(type))
        .set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value);
    if (!choice.finalize_if_supported()) return plans;
    raw.push_back(choice.get());
  }
  configuration.set(CUDNN_ATTR_ENGINECFG_ENGINE, named);
  if (!raw.empty())
    configuration.set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, std::span<const cudnnBackendDescriptor_t>(raw));
  if (!configuration.finalize_if_supported()) return plans;
  Candidate candidate = read_candidate(std::move(configuration));
  if (!allowed(candidate.notes, problem, policy)) return plans;
  if (auto plan = finalize(target, graph, candidate, policy)) plans.push_back(std::move(*plan));
  return plans;
}

}  // namespace tern::cu::dnn
