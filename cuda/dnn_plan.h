#pragma once
// From a graph to something that runs: cuDNN's heuristics propose configurations (an engine and its knobs),
// one is chosen, and cuDNN makes an execution plan of it.
//
// What a configuration may do is the policy's matter, read off the notes that its engine carries:
//   f32            no tensor cores and no rounding of inputs, unless TF32 is asked for
//   deterministic  no engine that adds in changing order
//   workspace      at most the cap
// Among the allowed ones: the first with tensor cores where the arithmetic wants them (the first proposal of
// all is sometimes without), else the first.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tern/core/error.h"
#include "tern/cuda/dnn_forms.h"
#include "tern/cuda/gpu_description.h"

namespace tern::cu::dnn {

inline constexpr int64_t kWorkspaceCap = int64_t{256} << 20;

struct Policy {
  bool tf32 = false;  // f32 products on tensor cores, rounded to 10 bits of fraction
  bool deterministic = false;
  int64_t workspace_cap = kWorkspaceCap;
};

// A configuration by name: enough to make it again, in another process, with the same cuDNN.
struct Engine {
  int64_t index = -1;
  std::vector<std::pair<int64_t, int64_t>> knobs;  // type, value
  friend bool operator==(const Engine&, const Engine&) = default;
};
std::string to_string(const Engine& engine);  // "67 2=1 13=0"
bool parse_engine(const std::string& text, Engine& engine);

struct EngineNotes {
  bool tensor_cores = false, rounds_inputs = false, reduced_sums = false, nondeterministic = false;
  bool large_winograd = false;  // tiles of 6x6 and 13x13, which lose digits
  bool runtime_compiled = false;
};

// A finalized execution plan; keeps the graph alive.
class Plan {
 public:
  Plan(std::shared_ptr<Graph> graph, Descriptor plan, Descriptor configuration, Engine engine,
       EngineNotes notes);
  const Engine& engine() const { return engine_; }
  const EngineNotes& notes() const { return notes_; }
  int64_t workspace() const { return workspace_; }

  // Tensors by Uid; workspace() bytes of device memory. Runs on the handle's stream.
  struct Pointers {
    std::vector<int64_t> uids;
    std::vector<void*> data;
    void add(Uid uid, const void* pointer) {
      uids.push_back(uid);
      data.push_back(const_cast<void*>(pointer));
    }
  };
  void execute(cudnnHandle_t handle, const Pointers& tensors, void* workspace) const;

 private:
  std::shared_ptr<Graph> graph_;
  Descriptor configuration_, plan_;
  Engine engine_;
  EngineNotes notes_;
  int64_t workspace_;
};

// cuDNN has no configuration that the policy allows; everything else that goes wrong is another DeviceError.
struct NoPlanError : DeviceError {
  using DeviceError::DeviceError;
};

// At most `limit` plans that the policy allows, best first. Throws NoPlanError, naming the problem, if there
// is none.
std::vector<Plan> make_plans(const Target& target, const Problem& problem, const Policy& policy,
                             size_t limit);
Plan make_plan(const Target& target, const Problem& problem, const Policy& policy);
// The plan of one named configuration. Empty if this cuDNN does not have it or the policy does not allow it.
std::vector<Plan> make_named_plan(const Target& target, const Problem& problem, const Policy& policy,
                                  const Engine& engine);

}  // namespace tern::cu::dnn
