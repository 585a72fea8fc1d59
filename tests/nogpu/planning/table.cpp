// The full product: every graph form x every convolution of the zoo (batch norm and pools: on every one's
// output), each number type, planned for one GPU; a table of the outcome. Exit status 1 if a plan is missing
// or breaks a rule; plans without tensor cores where they were expected are named only.
//
//   nogpu_plan_table 90          docs/measurements/cudnn-plans.md holds what it prints

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "tern/core/error.h"
#include "tern/tests/nogpu/planning/planning.h"

namespace nogpu {
namespace {

struct Row {
  int planned = 0, tensor_cores = 0, runtime_compiled = 0, unused = 0;
  int64_t workspace = 0;
};

// False if something is wrong, which is then printed.
bool plan_one(const dnn::Target& target, const dnn::Problem& problem, const dnn::Policy& policy, Row& row) {
  try {
    const dnn::Plan plan = dnn::make_plan(target, problem, policy);
    ++row.planned;
    row.tensor_cores += plan.notes().tensor_cores;
    row.runtime_compiled += plan.notes().runtime_compiled;
    row.workspace = std::max(row.workspace, plan.workspace());
    const std::string wrong = violation(problem, policy, plan);
    if (wrong.empty()) return true;
    std::fprintf(stderr, "%s: %s\n", dnn::to_string(problem).c_str(), wrong.c_str());
    return wrong == kNoTensorCores;  // slower, not wrong: named and counted
  } catch (const tern::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return false;
}

bool plan_form(const dnn::Target& target, int architecture, dnn::Form form, Numbers numbers) {
  const dnn::Policy policy{.tf32 = numbers == Numbers::Tf32};
  bool good = true;
  Row row;
  std::map<dnn::ProblemKey, bool> seen;
  for (const auto& conv : zoo()) {
    dnn::Problem problem = problem_of(form, numbers, conv);
    if (form >= dnn::Form::BatchNorm && form < dnn::Form::MaxPool)  // only y's sizes matter
      problem.sizes = tern::test::geometry_of({"", 1, conv.out_h, conv.o, conv.o, 1, 1, 0, 1}, conv.n);
    if (!seen.emplace(dnn::key_of(problem), true).second) continue;
    if (is_used(problem)) good &= plan_one(target, problem, policy, row);
    else ++row.unused;
  }
  std::printf("| sm_%d | %s | %s | %d | %d | %d | %.1f | %d |\n", architecture, to_string(numbers),
              std::string(dnn::to_string(form)).c_str(), row.planned, row.tensor_cores, row.runtime_compiled,
              static_cast<double>(row.workspace) / (1 << 20), row.unused);
  std::fflush(stdout);
  return good;
}

bool plan_all(int architecture) {
  const dnn::Target target(dnn::described_gpu(architecture));
  bool good = true;
  for (const Numbers numbers : {Numbers::F32, Numbers::Tf32, Numbers::Bf16}) {
    for (const auto form : kConvolutionForms) good &= plan_form(target, architecture, form, numbers);
    if (numbers == Numbers::Tf32) continue;  // the same as f32 for what is not a product
    for (const auto form : kOtherForms) good &= plan_form(target, architecture, form, numbers);
  }
  return good;
}

}  // namespace
}  // namespace nogpu

int main(int argc, char** argv) { return nogpu::plan_all(argc > 1 ? std::atoi(argv[1]) : 90) ? 0 : 1; }
