// The plan cache: one plan a problem, tuning by measurement, and the file that remembers it.

#include "tern/cuda/dnn_cache.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "tern/core/fs.h"
#include "tern/tests/nogpu/planning/planning.h"

namespace nogpu {
namespace {

using dnn::Form;
using dnn::PlanCache;
using tern::DType;

class NoGpuPlanCache : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove(file_); }
  void TearDown() override { std::filesystem::remove(file_); }

  static dnn::Problem problem(int64_t batch = 8, DType dtype = DType::F32) {
    const auto conv = tern::test::geometry_of({"", 1, 14, 64, 64, 3, 1, 1, 1}, batch);
    return {Form::ConvForward, dtype, conv};
  }

  std::string file_ = testing::TempDir() + "tern_nogpu_plans_" + std::to_string(getpid()) + ".txt";
};

TEST_F(NoGpuPlanCache, MakesEachPlanOnce) {
  PlanCache plans(dnn::Target(dnn::described_gpu(90)));
  const dnn::Plan* first = &plans.get(problem(), {});
  EXPECT_EQ(&plans.get(problem(), {}), first);
  EXPECT_EQ(plans.size(), 1u);
  // Whatever changes the plan is part of the key.
  dnn::Problem unaligned = problem();
  unaligned.alignment = 4;
  const std::vector<const dnn::Plan*> others{
      &plans.get(problem(16), {}), &plans.get(problem(8, DType::BF16), {}), &plans.get(unaligned, {}),
      &plans.get(problem(), {.tf32 = true}), &plans.get(problem(), {.deterministic = true})};
  for (const dnn::Plan* other : others) EXPECT_NE(other, first);
  EXPECT_EQ(plans.size(), 6u);
  EXPECT_FALSE(first->notes().tensor_cores);
  EXPECT_TRUE(others[3]->notes().tensor_cores);
}

TEST_F(NoGpuPlanCache, TuningTakesTheFastest) {
  PlanCache plans(dnn::Target(dnn::described_gpu(90)));
  std::vector<dnn::Engine> measured;
  const auto& best = plans.get(problem(), {.tf32 = true}, [&](const dnn::Plan& plan) {
    measured.push_back(plan.engine());
    return measured.size() == 3 ? 1e-6 : 1e-3;
  });
  ASSERT_GE(measured.size(), 3u);
  EXPECT_LE(measured.size(), PlanCache::kCandidates);
  EXPECT_EQ(best.engine(), measured[2]);
  EXPECT_EQ(plans.tuned(), 1);
}

TEST_F(NoGpuPlanCache, DeterministicMeasuresNothing) {
  PlanCache plans(dnn::Target(dnn::described_gpu(90)));
  plans.get(problem(), {.deterministic = true}, [](const dnn::Plan&) -> double {
    ADD_FAILURE() << "measured";
    return 1;
  });
  EXPECT_EQ(plans.tuned(), 0);
}

TEST_F(NoGpuPlanCache, WhatWasTunedIsRemembered) {
  dnn::Engine winner;
  int measurements = 0;
  const auto measure = [&](const dnn::Plan& plan) {
    if (++measurements == 2) winner = plan.engine();
    return measurements == 2 ? 1e-6 : 1e-3;
  };
  {
    PlanCache plans(dnn::Target(dnn::described_gpu(90)), file_);
    plans.get(problem(), {.tf32 = true}, measure);
  }
  const int before = measurements;
  PlanCache again(dnn::Target(dnn::described_gpu(90)), file_);
  EXPECT_EQ(again.get(problem(), {.tf32 = true}, measure).engine(), winner);
  EXPECT_EQ(measurements, before);
  again.get(problem(), {}, measure);  // f32 without TF32 is another question
  EXPECT_GT(measurements, before);
}

TEST_F(NoGpuPlanCache, ADamagedFileIsMeasuredAnew) {
  tern::AtomicFile file(file_);
  file.write("nonsense\n" + dnn::to_string(problem()) + " tf32=0\t99999 1=2\n" + dnn::to_string(problem(16)) +
             " tf32=0\tgarbage\n");
  file.commit();
  PlanCache plans(dnn::Target(dnn::described_gpu(90)), file_);
  int measurements = 0;
  for (const int64_t batch : {8, 16})
    plans.get(problem(batch), {}, [&](const dnn::Plan&) { return ++measurements, 1.0; });
  EXPECT_EQ(plans.tuned(), 2);
}

TEST_F(NoGpuPlanCache, AFileThatCannotBeWrittenIsNoError) {
  PlanCache plans(dnn::Target(dnn::described_gpu(90)), "/nonexistent/folder/plans.txt");
  plans.get(problem(), {}, [](const dnn::Plan&) { return 1.0; });
  EXPECT_EQ(plans.tuned(), 1);
}

}  // namespace
}  // namespace nogpu
