#pragma once
// What tern verify and tern triplet share: a model, its threshold, and a verdict as exit code.

#include <string>

#include "tern/apps/cli.h"
#include "tern/models/embedder.h"

namespace tern::app {

struct VerdictOptions {
  std::string model;
  bool exit_code = false;
  double threshold = -1;  // below 0: the model's own
};

void add_verdict_options(Command& command, VerdictOptions& options);
Embedder load_embedder(const VerdictOptions& options);
inline int verdict_code(const VerdictOptions& options, bool positive) {
  return options.exit_code && !positive ? 1 : 0;
}

}  // namespace tern::app
