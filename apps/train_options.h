#pragma once
// The flags of tern train as TrainOptions, people and model.

#include <memory>
#include <string>
#include <vector>

#include "tern/apps/people.h"
#include "tern/models/registry.h"
#include "tern/train/options.h"

namespace tern::app {

struct TrainFlags {
  PeopleOptions people;
  std::string val_data;
  double val_split = 0.1;  // of the people
  ModelSpec model;
  TrainOptions train;
  int64_t epochs = 0;  // 0: --max-steps counts
  int batch_p = 0;
  int64_t batch_size = 0;
  std::string margin, mining = "batch-all", distance = "euclidean";
  std::string augment = "basic", precision = "f32";
  std::string out = "runs", name, init_from, on_collapse = "warn";
  bool dry_run = false, deterministic = false;
};

void add_train_flags(Command& command, TrainFlags& flags);

// Size and colour of the photos and length of the embedding, where no flag says them: what the network was
// designed for.
void use_native_sizes(const Command& command, TrainFlags& flags);

// Turns the flags into options that are whole: margin, mining, batch, model card. people: those trained
// on. Throws UsageError.
void finish(TrainFlags& flags, const Dataset& people);

// The flags of a command as JSON, for the manifest; and those of an earlier run given to this one where it
// has none of its own, so that --resume needs no other flag.
std::string flags_json(const Command& command);
void adopt_flags(Command& command, const std::string& manifest_path);

}  // namespace tern::app
