#pragma once
// Everything a training run can be told. The defaults train a face network on a few thousand photos.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "tern/data/augmentation.h"
#include "tern/data/preprocess.h"
#include "tern/models/model_file.h"
#include "tern/nn/module.h"
#include "tern/nn/optim.h"
#include "tern/nn/schedule.h"
#include "tern/ops/batch_triplet_loss.h"
#include "tern/train/collapse.h"
#include "tern/train/stats_report.h"

namespace tern {

struct LossResult {
  Tensor loss;        // one element
  StatsReport stats;  // optional; of pairs where those are its terms. Valid > 0: feeds the collapse alarm
};
// From the embeddings [N,D] of a batch and its labels i64 [N], at a step (0 = the first).
using LossFunction = std::function<LossResult(const Tensor& embeddings, const Tensor& labels, int64_t step)>;

struct TrainOptions {
  int64_t steps = 1000;
  int p = 16, k = 0;  // a batch: k photos of each of p people; k = 0: 4, or 2 where most people have fewer
  uint64_t seed = 1;
  // Of the activations: f32 or bf16. Parameters, statistics, the loss, evaluation and files are f32 either
  // way.
  DType precision = DType::F32;
  // Where the steps are computed. It decides rounding, not the course: a run may be resumed on another
  // device.
  Device device = kCpu;
  // On a GPU: equal steps are recorded once and replayed, the same bits with less work for the host. The
  // model and a loss of one's own must then do the same at each step (train/recorded_step.h).
  bool graph = false;
  bool recompute = false;  // activations are computed again where backward reads them: less memory, more time
  int workers = 2;  // threads that load photos; 0: the training thread does. Changes no bit of the result

  std::string loss = "triplet";  // triplet, contrastive
  BatchTripletOptions triplet;   // mining, margin, distance, soft_margin
  double contrastive_margin = 1;
  LossFunction custom_loss;  // used instead, if set

  std::string optimizer = "adamw";  // sgd, adamw
  double lr = 1e-3;
  double momentum = 0.9;  // sgd
  double weight_decay = 1e-4;
  double clip_norm = 0;             // of the whole gradient; 0: none
  std::string schedule = "cosine";  // constant, step, cosine
  int64_t warmup_steps = 0;
  int64_t decay_every = 0;  // step: multiply the rate by decay_factor after so many steps; 0: steps / 3
  double decay_factor = 0.1;

  Preprocess preprocess;
  AugmentOptions augment;

  int64_t eval_every = 0;      // steps between evaluations; 0: only after the last
  int64_t save_every = 0;      // steps between checkpoints; 0: at each evaluation
  int64_t log_every = 10;      // steps between lines of metrics.jsonl
  int keep = 3;                // checkpoints kept beside the best; 0: all
  int64_t eval_photos = 4000;  // people are taken until there are so many

  std::string run_directory;  // empty: nothing is written
  std::string resume;         // a run directory or checkpoint file to go on from; empty: from the beginning
  bool stop_on_collapse = false;
  CollapseOptions collapse;
  std::function<bool()> stop;  // asked after each step; true: save and return Interrupted

  ModelCard card;                               // of the model file: architecture, preprocessing
  std::map<std::string, std::string> manifest;  // further entries of manifest.json; values are JSON
  std::string config;                           // further lines of config.toml
};

// Throws UsageError, naming the option, its value and what is allowed.
void check_options(const TrainOptions& options);

// The options that decide the course of training, as text: what a checkpoint holds and a resumed run must
// share.
std::map<std::string, std::string> course_of(const TrainOptions& options);

// Throws UsageError naming the first option that differs, with both values.
void check_same_course(const std::map<std::string, std::string>& saved,
                       const std::map<std::string, std::string>& now);

std::string to_toml(const TrainOptions& options);

// What the options name.
nn::Schedule make_schedule(const TrainOptions& options);
std::unique_ptr<nn::Optimizer> make_optimizer(nn::Module& model, const TrainOptions& options);
LossFunction make_loss(const TrainOptions& options);

}  // namespace tern
