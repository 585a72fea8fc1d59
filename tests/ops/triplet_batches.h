#pragma once
// Labelled batches made to provoke ties and rounding, and options of every kind, as a function of a seed.

#include <cmath>
#include <vector>

#include "tern/core/philox.h"
#include "tern/ops/batch_triplet_loss.h"

namespace tern::test {

inline constexpr Mining kMined[] = {Mining::BatchHard,      Mining::SemiHard,     Mining::SemiHardOrHardest,
                                    Mining::RandomViolator, Mining::EasyPositive, Mining::DistanceWeighted};

enum class BatchKind { Normal, Integers, OneUlp, Duplicates, Scales, Count };

struct LabelledBatch {
  Tensor e, labels;
};

// Different sizes, label patterns (singletons and one class among them) and value patterns.
inline LabelledBatch make_batch(BatchKind kind, uint64_t seed) {
  PhiloxSequence draw(seed, RandomStream::Test, static_cast<uint64_t>(kind));
  const int64_t n = 1 + draw.below(26), d = 1 + draw.below(seed % 3 == 0 ? 40 : 5);
  const uint32_t classes = 1 + draw.below(static_cast<uint32_t>(n));
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < n; ++i) labels.push_back(static_cast<int64_t>(draw.below(classes)) * 7 - 3);
  std::vector<float> x;
  for (int64_t i = 0; i < n * d; ++i) {
    float value = static_cast<float>(draw.normal());
    if (kind == BatchKind::Integers || kind == BatchKind::OneUlp)
      value = static_cast<float>(draw.below(5)) - 2;
    if (kind == BatchKind::OneUlp && draw.below(4) == 0) value = std::nextafter(value, 9.0f);
    x.push_back(value);
  }
  for (int64_t i = 1; i < n && (kind == BatchKind::Duplicates || kind == BatchKind::Scales); ++i) {
    const int64_t from = draw.below(static_cast<uint32_t>(i));
    const float scale =
        kind == BatchKind::Scales ? std::pow(10.0f, static_cast<float>(draw.below(9)) - 4) : 1.0f;
    const bool copy = draw.below(2) == 0;
    for (int64_t k = 0; k < d; ++k) {
      float& value = x[static_cast<size_t>(i * d + k)];
      value = scale * (copy ? x[static_cast<size_t>(from * d + k)] : value);
    }
  }
  return {Tensor::from_data(std::span<const float>(x), {n, d}),
          Tensor::from_data(std::span<const int64_t>(labels), {n})};
}

inline BatchTripletOptions mining_options(Mining mining, uint64_t seed) {
  BatchTripletOptions options{
      .mining = mining, .margin = seed % 5 == 0 ? 1.0 : 0.2, .seed = seed, .step = seed + 3};
  options.distance = static_cast<Distance>(seed % 3);
  options.normalize = mining == Mining::DistanceWeighted || seed % 2 == 0;
  return options;
}

}  // namespace tern::test
