#pragma once
// Training of a tiny network on tiny people, in a folder of its own; and an observer that remembers.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tern/nn/safetensors.h"
#include "tern/nn/state_dict.h"
#include "tern/train/trainer.h"
#include "tests/train/tiny.h"

namespace tern::test {

class TrainerFixture : public testing::Test {
 protected:
  void SetUp() override { folder_ = scratch_folder(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Trains a fresh net; the weights as bytes.
  std::string weights_after(TrainOptions options, TrainResult* result = nullptr,
                            Observer* observer = nullptr) {
    auto net = tiny_net();
    Trainer trainer(*net, people_, &unseen_, std::move(options), observer);
    const TrainResult r = trainer.run();
    if (result) *result = r;
    return nn::safetensors_bytes(nn::state_dict(*net));
  }

  TinyPeople people_{24, 6}, unseen_{12, 5, 24};
  std::string folder_;
};

struct Recorder : Observer {
  std::vector<double> losses;
  std::vector<std::string> warnings;
  std::vector<int64_t> evaluations, checkpoints;
  int starts = 0, ends = 0;
  std::function<void(const StepInfo&)> at_step;
  void on_start(const RunInfo&) override { ++starts; }
  void on_step(const StepInfo& info) override {
    losses.push_back(info.loss);
    if (at_step) at_step(info);
  }
  void on_evaluation(const EvaluationInfo& info) override { evaluations.push_back(info.step); }
  void on_checkpoint(const CheckpointInfo& info) override { checkpoints.push_back(info.step); }
  void on_warning(const std::string& text) override { warnings.push_back(text); }
  void on_end(const TrainResult&) override { ++ends; }
};

}  // namespace tern::test
