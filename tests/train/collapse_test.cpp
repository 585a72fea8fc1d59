#include "tern/train/collapse.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace tern {
namespace {

TripletStats stats_at(double rms) {
  TripletStats stats;
  stats.valid = stats.terms = stats.active = 64;
  stats.pairwise_rms = rms;
  stats.spread = 0.7 * rms;
  return stats;
}

// The step of the first alarm when every batch has this distance; 0: none within 100 steps.
int64_t sounds_at(CollapseAlarm alarm, double rms, double loss, std::string* text = nullptr) {
  for (int64_t step = 1; step <= 100; ++step) {
    if (const auto alert = alarm.watch(step, loss, stats_at(rms))) {
      if (text) *text = *alert;
      return step;
    }
  }
  return 0;
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

TEST(CollapseAlarm, TheLimitIsAQuarterOfTheMargin) {
  const CollapseAlarm alarm(BatchTripletOptions{.margin = 0.2}, {});
  EXPECT_EQ(sounds_at(alarm, 0.049, 0.21), 20);
  EXPECT_EQ(sounds_at(alarm, 0.051, 0.21), 0);
  EXPECT_EQ(sounds_at(CollapseAlarm(BatchTripletOptions{.margin = 0.4}, {}), 0.099, 0.4), 20);
  // Squared distances of 0.05: d = 0.2236. Cosine distances d^2 / 2 of 0.05: d = 0.3162.
  const CollapseAlarm squared(BatchTripletOptions{.margin = 0.2, .distance = Distance::SquaredEuclidean}, {});
  EXPECT_EQ(sounds_at(squared, 0.223, 0.2), 20);
  EXPECT_EQ(sounds_at(squared, 0.224, 0.2), 0);
  const CollapseAlarm cosine(BatchTripletOptions{.margin = 0.2, .distance = Distance::Cosine}, {});
  EXPECT_EQ(sounds_at(cosine, 0.316, 0.2), 20);
  EXPECT_EQ(sounds_at(cosine, 0.317, 0.2), 0);
}

// Batch-hard training of face_net from nothing, seed 1: batches of every tenth step. It stayed like that.
TEST(CollapseAlarm, NamesARunThatReallyCollapsed) {
  const double rms[] = {0.1858, 0.1117, 0.0853, 0.0727, 0.0609, 0.0534,
                        0.0517, 0.0478, 0.0448, 0.0427, 0.0408};
  const double loss[] = {0.2324, 0.2202, 0.2158, 0.2104, 0.2104, 0.2092,
                         0.2059, 0.2068, 0.2057, 0.2057, 0.2066};
  CollapseAlarm alarm(BatchTripletOptions{.margin = 0.2}, {});
  int64_t at = 0;
  std::string text;
  for (int64_t step = 1; step <= 110; ++step) {
    const auto alert = alarm.watch(step, loss[(step - 1) / 10], stats_at(rms[(step - 1) / 10]));
    if (!alert) continue;
    EXPECT_EQ(at, 0) << "once";
    at = step, text = *alert;
  }
  EXPECT_EQ(at, 90);
  EXPECT_TRUE(has(text, "collapsed") && has(text, "the margin") && has(text, "hint: ")) << text;
  EXPECT_TRUE(has(text, "0.0448") && has(text, "active triplets 100%")) << text;
}

TEST(CollapseAlarm, AWiderBatchStartsTheCountAnew) {
  CollapseAlarm alarm(BatchTripletOptions{}, {});
  for (int64_t step = 1; step <= 19; ++step) EXPECT_FALSE(alarm.watch(step, 0.2, stats_at(0.01)));
  EXPECT_FALSE(alarm.watch(20, 0.2, stats_at(0.5)));
  for (int64_t step = 21; step <= 39; ++step) EXPECT_FALSE(alarm.watch(step, 0.2, stats_at(0.01)));
  EXPECT_TRUE(alarm.watch(40, 0.2, stats_at(0.01)));
}

// As where only logged steps are read from a GPU.
TEST(CollapseAlarm, LooksAtEveryTenthStepCompleteTheSameRow) {
  CollapseAlarm alarm(BatchTripletOptions{}, {});
  std::vector<int64_t> sounded;
  for (int64_t step = 10; step <= 100; step += 10)
    if (alarm.watch(step, 0.2, stats_at(step == 50 ? 0.5 : 0.01))) sounded.push_back(step);
  EXPECT_EQ(sounded, (std::vector<int64_t>{30, 80}));
}

TEST(CollapseAlarm, OtherLossesHaveOtherWords) {
  std::string text;
  EXPECT_EQ(
      sounds_at(CollapseAlarm(BatchTripletOptions{.soft_margin = true}, {}), 0.049, std::log(2.0), &text),
      20);
  EXPECT_TRUE(has(text, "ln 2")) << text;
  EXPECT_EQ(sounds_at(CollapseAlarm(std::nullopt, {}), 0.049, 0.5, &text), 20);
  EXPECT_FALSE(has(text, "triplet") || has(text, "hardest") || has(text, "the margin")) << text;
  EXPECT_EQ(sounds_at(CollapseAlarm(std::nullopt, {}), 0.051, 0.5), 0);
}

}  // namespace
}  // namespace tern
