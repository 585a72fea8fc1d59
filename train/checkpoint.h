#pragma once
// Checkpoints: pairs of files in one folder, numbered by step.
//
//   step-000500.safetensors         the model, complete in itself: `tern verify` needs nothing else
//   step-000500.state.safetensors   what training needs beyond it: optimizer tensors, step, held-out AUC,
//                                   options, and the hash of the weights it belongs to
//
// Weights are written first, state last, each in one atomic step: a state file that names the hash of the
// weights beside it is the proof that the pair is complete. So nothing points at a checkpoint: `last` is the
// complete pair of the highest step, `best` the one with the highest held-out AUC (the earlier of equals),
// both found by reading the pairs. Same training, same bytes: no time, host, path, thread or worker count
// inside.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tern/nn/safetensors.h"

namespace tern {

struct Checkpoint {
  int64_t step = 0;
  std::string weights, state;  // paths
  std::optional<double> auc;   // on held-out people; absent where none were held out
};

std::string weights_path(const std::string& folder, int64_t step);
std::string state_path(const std::string& folder, int64_t step);

// The step a file name stands for; nothing for other names.
std::optional<int64_t> step_of_weights(std::string_view file_name);

// Reads the headers of a pair. Nothing if a file is missing, damaged, or the state belongs to other weights.
std::optional<Checkpoint> read_checkpoint(const std::string& folder, int64_t step);

// All complete pairs, by ascending step. A missing folder has none.
std::vector<Checkpoint> complete_checkpoints(const std::string& folder);
std::optional<Checkpoint> last_checkpoint(const std::string& folder);
std::optional<Checkpoint> best_checkpoint(const std::string& folder);

// What a path given to --resume means: a run directory, its checkpoints folder, or one file of a pair.
// Throws IncompatibleError, naming what was looked for, if there is no complete pair.
Checkpoint find_checkpoint(const std::string& path);

// The training state of a pair, written last.
struct TrainingState {
  int64_t step = 0;
  std::string weights_hash;   // nn::tensors_hash of the weights beside it
  std::optional<double> auc;  // on held-out people
  nn::Metadata options;       // those that decide the course of training, and the data's fingerprint
  nn::TensorMap optimizer;
};
void save_state(const std::string& path, const TrainingState& state);
// Throws IncompatibleError if the file is damaged or no training state.
TrainingState load_state(const std::string& path);

// A pair read whole. A run directory gives the last pair whose every byte is sound (a damaged one is passed
// over, with a warning), a file its own pair or an IncompatibleError.
struct LoadedCheckpoint {
  Checkpoint checkpoint;
  nn::TensorMap weights;
  TrainingState state;
  std::vector<std::string> warnings;
};
LoadedCheckpoint load_checkpoint(const std::string& path);

// Removes all complete pairs but the `keep` latest and the best, state before weights. keep < 1 removes none.
void prune_checkpoints(const std::string& folder, int keep);

// Removes what killed processes left: temporary files. Returns how many.
int remove_stale_temporaries(const std::string& folder);

}  // namespace tern
