#pragma once
// Trains an embedding network on photos of people.
//
//   SyntheticDataset people({.identities = 200}), unseen({.identities = 50, .first_identity = 200});
//   Trainer trainer(net, people, &unseen, {.steps = 500, .lr = 1e-3, .eval_every = 100});
//   TrainResult result = trainer.run();
//
// A run is a pure function of the data, the options and the seed: the same bytes for any number of threads
// and loader workers, and whether or not it was stopped (or killed) and resumed on the way. It prints
// nothing; an Observer is told what happens, on a GPU some steps after it has (options.graph). With a run
// directory it writes checkpoints, each with the threshold of best balanced accuracy on the held-out people
// (on the people trained on if none are held out; the file says which).

#include <cstdint>
#include <memory>

#include "tern/data/dataset.h"
#include "tern/nn/module.h"
#include "tern/train/observer.h"
#include "tern/train/options.h"

namespace tern {

class Trainer {
 public:
  // model, train, held_out (may be null) and observer (may be null) must outlive the trainer.
  // Throws UsageError for impossible options, DataError for data that cannot be trained on or shares people
  // between train and held_out; with options.resume also IncompatibleError and IoError.
  Trainer(nn::Module& model, const Dataset& train, const Dataset* held_out, TrainOptions options,
          Observer* observer = nullptr);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  // The most steps that are under way before the oldest is looked at.
  static constexpr int64_t kAhead = 3;

  // All steps that are left. A throw leaves model, optimizer and step number as after the last whole step.
  TrainResult run();

  // One step, a transaction, over when this returns. run() is a loop over such steps.
  StepInfo step();

  // On the held-out people, or, without them, on those trained on.
  EvaluationInfo evaluate();

  // Bytes that one step takes beyond what is in use now, extrapolated from two small batches; changes
  // nothing.
  int64_t estimate_step_memory();

  int64_t steps_done() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Names a data set's content in a manifest and a checkpoint: a hash over the names of its people and photos.
std::string data_fingerprint(const Dataset& dataset);

}  // namespace tern
