#include "tern/cuda/dnn_cache.h"

#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "tern/core/error.h"
#include "tern/core/fs.h"

namespace tern::cu::dnn {
namespace {

constexpr int64_t kMostBytes = int64_t{16} << 20;  // of the file

std::string tuned_name(const Problem& problem, const Policy& policy) {
  return concat_text(to_string(problem), " tf32=", policy.tf32 ? 1 : 0);
}

}  // namespace

PlanCache::PlanCache(Target target, std::string tuned_file)
    : target_(std::move(target)), tuned_file_(std::move(tuned_file)) {
  load();
}

const Plan& PlanCache::get(const Problem& problem, const Policy& policy, const Measure& measure) {
  std::lock_guard lock(mutex_);
  std::unique_ptr<Plan>& plan = plans_[key(problem, policy)];
  if (!plan) plan = make(problem, policy, measure);
  return *plan;
}

const Plan* PlanCache::find(const Problem& problem, const Policy& policy, const Measure& measure) {
  std::lock_guard lock(mutex_);
  const auto [plan, is_new] = plans_.try_emplace(key(problem, policy));
  if (is_new) {
    try {
      plan->second = make(problem, policy, measure);
    } catch (const NoPlanError&) {
      // None: the caller has another way.
    }
  }
  return plan->second.get();
}

PlanCache::Key PlanCache::key(const Problem& problem, const Policy& policy) {
  return {key_of(problem), policy.tf32 * 2 + policy.deterministic};
}

std::unique_ptr<Plan> PlanCache::make(const Problem& problem, const Policy& policy, const Measure& measure) {
  if (measure && !policy.deterministic) return tune(problem, policy, measure);
  return std::make_unique<Plan>(make_plan(target_, problem, policy));
}

std::unique_ptr<Plan> PlanCache::tune(const Problem& problem, const Policy& policy, const Measure& measure) {
  const std::string name = tuned_name(problem, policy);
  if (const auto known = tuned_.find(name); known != tuned_.end()) {
    auto plans = make_named_plan(target_, problem, policy, known->second);
    if (!plans.empty()) return std::make_unique<Plan>(std::move(plans.front()));
  }
  auto plans = make_plans(target_, problem, policy, kCandidates);
  size_t best = 0;
  double best_seconds = measure(plans[0]);
  for (size_t i = 1; i < plans.size(); ++i) {
    const double seconds = measure(plans[i]);
    if (seconds < best_seconds) best = i, best_seconds = seconds;
  }
  ++tuned_count_;
  tuned_[name] = plans[best].engine();
  save();
  return std::make_unique<Plan>(std::move(plans[best]));
}

size_t PlanCache::size() const {
  std::lock_guard lock(mutex_);
  return plans_.size();
}

void PlanCache::load() {
  if (tuned_file_.empty()) return;
  std::string text;
  try {
    text = read_file(tuned_file_, kMostBytes);
  } catch (const Error&) {
    return;  // none yet, or not readable: everything is measured again
  }
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string line = text.substr(start, end - start);
    const size_t tab = line.find('\t');
    Engine engine;
    if (tab != std::string::npos && parse_engine(line.substr(tab + 1), engine))
      tuned_[line.substr(0, tab)] = engine;
    start = end + 1;
  }
}

void PlanCache::save() const {
  if (tuned_file_.empty()) return;
  std::string text;
  for (const auto& [name, engine] : tuned_) text += name + '\t' + to_string(engine) + '\n';
  try {
    AtomicFile file(tuned_file_);
    file.write(text);
    file.commit();
  } catch (const Error&) {
    // A full disk or a read-only home: the next process measures again.
  }
}

std::string tuned_plans_file(const std::string& gpu) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (!(cache && *cache) && !(home && *home)) return "";
  std::string name = "cudnn-" + vendor::cudnn_status().detail + "-" + gpu;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '_';
  const std::string folder = (cache && *cache ? std::string(cache) : std::string(home) + "/.cache") + "/tern";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  return failed ? "" : folder + "/" + name + ".txt";
}

}  // namespace tern::cu::dnn
