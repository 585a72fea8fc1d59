#include "tern/nn/schedule.h"

#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace tern {
namespace {

using nn::Schedule;
using nn::ScheduleKind;

// Printed by PyTorch's CosineAnnealingLR(T_max = 10, eta_min = 0.01) with lr 0.1.
TEST(Schedule, CosineIsPyTorchs) {
  const Schedule s{.kind = ScheduleKind::Cosine, .lr = 0.1, .total_steps = 10, .final_lr = 0.01};
  const double expected[] = {0.1,
                             0.09779754323328192,
                             0.09140576474687263,
                             0.08145033635316129,
                             0.06890576474687264,
                             0.05500000000000001,
                             0.04109423525312737,
                             0.028549663646838717,
                             0.01859423525312737,
                             0.012202456766718092,
                             0.01};
  for (int64_t step = 0; step <= 10; ++step) EXPECT_NEAR(s.at(step), expected[step], 1e-15);
  EXPECT_DOUBLE_EQ(s.at(1000), 0.01);
}

TEST(Schedule, StepDividesEveryTenSteps) {
  const Schedule s{.kind = ScheduleKind::Step, .lr = 1, .every = 10, .factor = 0.5};
  for (int64_t step = 0; step < 40; ++step) {
    const double expected = step < 10 ? 1 : step < 20 ? 0.5 : step < 30 ? 0.25 : 0.125;
    EXPECT_DOUBLE_EQ(s.at(step), expected);
  }
}

TEST(Schedule, WarmUpIsLinearAndComesBeforeTheRest) {
  const Schedule constant{.lr = 2, .warmup_steps = 4};
  for (const auto& [step, lr] :
       {std::pair<int64_t, double>{0, 0.5}, {1, 1}, {2, 1.5}, {3, 2}, {4, 2}, {99, 2}})
    EXPECT_DOUBLE_EQ(constant.at(step), lr);
  const Schedule cosine{.kind = ScheduleKind::Cosine, .lr = 2, .total_steps = 14, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(cosine.at(4), 2);
  EXPECT_DOUBLE_EQ(cosine.at(9), 1);
  EXPECT_NEAR(cosine.at(14), 0, 1e-15);
}

TEST(Schedule, NamesGoBothWaysAndErrorsNameTheOption) {
  for (const auto kind : {ScheduleKind::Constant, ScheduleKind::Step, ScheduleKind::Cosine})
    EXPECT_EQ(nn::parse_schedule(to_string(kind)), kind);
  test::expect_error<UsageError>([] { nn::parse_schedule("cosin\n"); }, {"cosin\\x0a", "cosine"});
  test::expect_error<UsageError>([] { Schedule{.kind = ScheduleKind::Step}.at(0); }, {"every"});
  test::expect_error<UsageError>(
      [] { Schedule{.kind = ScheduleKind::Cosine, .total_steps = 5, .warmup_steps = 5}.at(0); },
      {"total_steps", "5"});
  test::expect_error<UsageError>([] { Schedule{}.at(-1); }, {"step", "-1"});
}

}  // namespace
}  // namespace tern
