#include "tern/train/checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tern/core/error.h"
#include "tern/ops/creation.h"
#include "tests/support/fault_fs.h"
#include "tests/train/tiny.h"

namespace tern {
namespace {

namespace stdfs = std::filesystem;

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override { folder_ = test::scratch_folder(); }
  void TearDown() override { stdfs::remove_all(folder_); }

  nn::TensorMap weights(double value) { return {{"w", full({64}, value)}}; }
  void save_weights(int64_t step, double value) {
    const auto tensors = weights(value);
    nn::save_safetensors(weights_path(folder_, step), tensors,
                         {{"tern.weights_hash", nn::tensors_hash(tensors)}});
  }
  void save_pair(int64_t step, double value, std::optional<double> auc) {
    save_weights(step, value);
    save_state(
        state_path(folder_, step),
        {step, nn::tensors_hash(weights(value)), auc, {{"lr", "0.1"}}, {{"m", full({64}, 2 * value)}}});
  }
  std::vector<int64_t> steps() {
    std::vector<int64_t> found;
    for (const auto& c : complete_checkpoints(folder_)) found.push_back(c.step);
    return found;
  }
  void flip_byte(const std::string& path, int64_t from_end) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-from_end, std::ios::end);
    const int byte = file.get();
    file.seekp(-from_end, std::ios::end);
    file.put(static_cast<char>(byte ^ 1));
  }

  std::string folder_;
};

TEST(CheckpointNames, AreOneToOne) {
  EXPECT_EQ(weights_path("a", 500), "a/step-000500.safetensors");
  EXPECT_EQ(state_path("a", 12345678), "a/step-12345678.state.safetensors");
  EXPECT_EQ(step_of_weights("step-000500.safetensors"), 500);
  EXPECT_EQ(step_of_weights("step-12345678.safetensors"), 12345678);
  for (const char* other :
       {"step-500.safetensors", "step-000500.state.safetensors", "step-00x500.safetensors",
        "step--00001.safetensors", "last.safetensors", "step-.safetensors", ""}) {
    EXPECT_FALSE(step_of_weights(other)) << other;
  }
}

TEST_F(CheckpointTest, LastIsTheHighestStepBestTheHighestAucAndTheEarlierOfEquals) {
  save_pair(100, 1, 0.8);
  save_pair(200, 2, 0.9);
  save_pair(300, 3, 0.9);
  save_pair(1000000, 4, 0.7);
  EXPECT_EQ(steps(), (std::vector<int64_t>{100, 200, 300, 1000000}));
  EXPECT_EQ(last_checkpoint(folder_)->step, 1000000);
  EXPECT_EQ(best_checkpoint(folder_)->step, 200);
  EXPECT_EQ(last_checkpoint(folder_)->auc, 0.7);
}

TEST_F(CheckpointTest, WithoutHeldOutPeopleNothingIsBest) {
  save_pair(100, 1, std::nullopt);
  EXPECT_TRUE(last_checkpoint(folder_));
  EXPECT_FALSE(best_checkpoint(folder_));
}

TEST_F(CheckpointTest, HalfAPairAndAMixedPairAreNone) {
  save_pair(100, 1, 0.8);
  save_weights(200, 2);  // killed before the state was written
  save_pair(300, 3, 0.9);
  save_weights(300, 4);                                             // other weights than the state's
  stdfs::copy(state_path(folder_, 100), state_path(folder_, 400));  // of another step
  save_weights(400, 1);
  save_pair(500, 5, 0.9);
  stdfs::resize_file(weights_path(folder_, 500), stdfs::file_size(weights_path(folder_, 500)) - 1);
  EXPECT_EQ(steps(), (std::vector<int64_t>{100}));
  EXPECT_TRUE(complete_checkpoints(folder_ + "/missing").empty());
}

TEST_F(CheckpointTest, ReadsBackWhatWasSaved) {
  save_pair(7, 1.5, 0.123456789012345678);
  for (const std::string& path : {folder_, weights_path(folder_, 7), state_path(folder_, 7)}) {
    const LoadedCheckpoint loaded = load_checkpoint(path);
    EXPECT_EQ(loaded.checkpoint.step, 7);
    EXPECT_EQ(loaded.state.auc, 0.123456789012345678);
    EXPECT_EQ(loaded.state.options.at("lr"), "0.1");
    EXPECT_EQ(loaded.weights.at("w").to_vector()[63], 1.5);
    EXPECT_EQ(loaded.state.optimizer.at("m").to_vector()[63], 3);
    EXPECT_TRUE(loaded.warnings.empty());
  }
}

TEST_F(CheckpointTest, ADamagedPairIsPassedOverWithAWarning) {
  save_pair(1, 1, 0.5);
  save_pair(2, 2, 0.6);
  flip_byte(weights_path(folder_, 2), 5);
  const LoadedCheckpoint loaded = load_checkpoint(folder_);
  EXPECT_EQ(loaded.checkpoint.step, 1);
  ASSERT_EQ(loaded.warnings.size(), 1u);
  EXPECT_NE(loaded.warnings[0].find("step-000002"), std::string::npos) << loaded.warnings[0];
  EXPECT_THROW(load_checkpoint(weights_path(folder_, 2)), IncompatibleError);  // asked for by name
  flip_byte(state_path(folder_, 1), 5);
  EXPECT_THROW(load_checkpoint(folder_), IncompatibleError);
}

TEST_F(CheckpointTest, RefusesWhatIsNoCheckpoint) {
  EXPECT_THROW(find_checkpoint(folder_), IncompatibleError);
  EXPECT_THROW(find_checkpoint(folder_ + "/nothing"), IncompatibleError);
  save_weights(3, 1);
  EXPECT_THROW(find_checkpoint(weights_path(folder_, 3)), IncompatibleError);
  EXPECT_THROW(load_state(weights_path(folder_, 3)), IncompatibleError);
}

TEST_F(CheckpointTest, PruningKeepsTheLatestAndTheBest) {
  save_pair(1, 1, 0.5);
  save_pair(2, 2, 0.9);
  for (int64_t step = 3; step <= 6; ++step) save_pair(step, 3, 0.6);
  prune_checkpoints(folder_, 2);
  EXPECT_EQ(steps(), (std::vector<int64_t>{2, 5, 6}));
  prune_checkpoints(folder_, 0);
  EXPECT_EQ(steps(), (std::vector<int64_t>{2, 5, 6}));
  EXPECT_FALSE(stdfs::exists(weights_path(folder_, 1)));
}

TEST_F(CheckpointTest, AFullDiskAtAnyCallLeavesTheOldPair) {
  save_pair(1, 1, 0.5);
  for (int nth = 1;; ++nth) {
    test::FailingFs disk;
    disk.fail("", nth, ENOSPC);
    bool failed = false;
    {
      const UseFs use(disk);
      try {
        save_pair(2, 2, 0.9);
      } catch (const IoError&) {
        failed = true;
      }
    }
    if (disk.injected == 0) break;
    EXPECT_EQ(load_checkpoint(folder_).checkpoint.step, best_checkpoint(folder_)->step);
    if (failed && !read_checkpoint(folder_, 2)) {
      EXPECT_EQ(steps(), (std::vector<int64_t>{1})) << nth;
    }
    for (const auto& entry : stdfs::directory_iterator(folder_)) {
      // A temporary may only be left where removing it was what failed.
      if (is_temporary_name(entry.path().filename().string())) {
        EXPECT_EQ(remove_stale_temporaries(folder_), 1);
      }
    }
    stdfs::remove(weights_path(folder_, 2));
    stdfs::remove(state_path(folder_, 2));
  }
}

}  // namespace
}  // namespace tern
