#pragma once
// P x K batches: the photos of P people, K of each, so that every batch has positive and negative pairs.
//
// An epoch is one permutation of the people who have at least two photos; batch b of it takes the next P of
// them, and each gives min(K, as many as there are) different photos. Where that leaves places of the P x K
// free, further people complete the batch: first those with one photo, who can only be negatives (spread
// evenly over the epoch), then the next of the permutation. A batch is smaller than P x K only when everyone
// is in it. A person's photos take turns through a permutation of their own, remade when it is used up, so no
// photo is favoured.
//
// Everything is a pure function of (seed, step): a resumed run needs no state.

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "tern/data/dataset.h"

namespace tern {

struct PKOptions {
  int p = 16;
  int k = 0;  // 0: PKSampler::default_k()
  uint64_t seed = 1;
};

class PKSampler {
 public:
  // identity_of_photo[i] is the person on photo i, 0 .. n - 1. Throws DataError if there are fewer than P
  // people or nobody has two photos, UsageError if P < 2 or K < 2.
  PKSampler(std::span<const int64_t> identity_of_photo, PKOptions options = {});
  explicit PKSampler(const Dataset& dataset, PKOptions options = {});

  // 4, or 2 where fewer than half of the people have 4 photos.
  static int default_k(std::span<const int64_t> identity_of_photo);

  struct Draw {
    std::vector<int64_t> photos;   // the photos of one person stand together
    int64_t identities = 0;        // people in the batch, those who complete it included
    int64_t short_identities = 0;  // of these, people who gave fewer than K photos
  };
  // Safe from many threads at once.
  Draw draw(int64_t step) const;
  std::vector<int64_t> batch(int64_t step) const { return draw(step).photos; }

  int p() const { return options_.p; }
  int k() const { return options_.k; }
  uint64_t seed() const { return options_.seed; }
  int64_t batch_size() const { return int64_t{options_.p} * options_.k; }  // the most that a batch holds
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  int64_t identities() const { return static_cast<int64_t>(photos_.size()); }

 private:
  struct Epoch {
    int64_t number = -1;
    std::vector<int32_t> several;  // people with two photos and more, permuted
    std::vector<int32_t> single;   // people with one
  };
  std::shared_ptr<const Epoch> epoch(int64_t number) const;
  // Appends photos of one person for their visit-th turn, at most `places`; returns how many.
  int64_t take(int64_t person, int64_t visit, int64_t places, Draw& draw) const;

  PKOptions options_;
  std::vector<std::vector<int64_t>> photos_;  // of each person
  std::vector<int32_t> several_, single_;     // ascending
  int64_t steps_per_epoch_ = 1;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Epoch> latest_[2];  // a prefetching loader sees two epochs at a boundary
};

}  // namespace tern
