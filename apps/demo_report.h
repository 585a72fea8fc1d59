#pragma once
// What tern demo measured, and the page it becomes.

#include <string>
#include <vector>

#include "tern/data/synthetic.h"
#include "tern/metrics/evaluate.h"
#include "tern/train/options.h"

namespace tern::app {

struct JudgedPair {
  metrics::SampledPair pair;
  double distance = 0;
};

// One way of telling people apart, on the unseen people.
struct Judged {
  std::string name;
  metrics::Evaluation evaluation;
  std::vector<JudgedPair> pairs;             // of the folds
  metrics::SortedScores<float> scores = {};  // of all pairs
};

struct DemoRecord {
  std::vector<double> steps, loss, active, validation_steps, validation_auc;
  std::vector<Judged> judged;  // the trained network first
  double seconds = 0, training_seconds = 0, images_per_s = 0;
  int64_t parameters = 0;
  std::string checkpoint;
};

std::string demo_report(const DemoRecord& record, const TrainOptions& train, const SyntheticDataset& people,
                        const SyntheticDataset& unseen);

}  // namespace tern::app
