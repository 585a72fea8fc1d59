#pragma once
// The plans of one device, each made once: a lookup by (form, shape, type, alignment, policy) at every call,
// the device being the cache's own.
//
// A new problem takes the first allowed configuration of the heuristics. With tuning, the first kCandidates
// of them are run on the caller's tensors (every form only writes its outputs) and the fastest stays. What
// won is kept in a file per GPU and cuDNN version, one line a problem, so that it is measured once per
// machine:
//
//   conv_forward bf16 64x56x56x64 w64x3x3x64 s1 p1 d1 g1 a16 tf32=0<TAB>67 2=1 13=0
//
// A line that this cuDNN cannot plan any more is measured anew. The file is a cache: unreadable, it is
// ignored.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "tern/cuda/dnn_plan.h"

namespace tern::cu::dnn {

class PlanCache {
 public:
  static constexpr size_t kCandidates = 8;
  // Seconds that one run of a plan takes.
  using Measure = std::function<double(const Plan&)>;

  // tuned_file: where tuned plans are kept; empty: in memory only.
  explicit PlanCache(Target target, std::string tuned_file = "");

  // The reference stays good as long as the cache. With measure: tuned, unless the policy is deterministic.
  const Plan& get(const Problem& problem, const Policy& policy, const Measure& measure = {});
  // Null where cuDNN has no configuration that the policy allows; asked for once, too.
  const Plan* find(const Problem& problem, const Policy& policy, const Measure& measure = {});

  const Target& target() const { return target_; }
  size_t size() const;
  int64_t tuned() const { return tuned_count_; }  // problems measured by this cache

 private:
  using Key = std::pair<ProblemKey, int>;
  static Key key(const Problem& problem, const Policy& policy);
  std::unique_ptr<Plan> make(const Problem& problem, const Policy& policy, const Measure& measure);
  std::unique_ptr<Plan> tune(const Problem& problem, const Policy& policy, const Measure& measure);
  void load();
  void save() const;

  Target target_;
  std::string tuned_file_;
  mutable std::mutex mutex_;
  std::map<Key, std::unique_ptr<Plan>> plans_;  // null: there is none
  std::map<std::string, Engine> tuned_;         // by problem
  int64_t tuned_count_ = 0;
};

// Where the plans tuned for a GPU are kept: $XDG_CACHE_HOME or ~/.cache, tern/cudnn-9.19.0-NVIDIA_H100.txt.
// Makes the folder. "" where there is no such place.
std::string tuned_plans_file(const std::string& gpu);

}  // namespace tern::cu::dnn
