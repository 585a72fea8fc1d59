#pragma once
// Batches for training: draws photos with a PKSampler, decodes and prepares them, and draws their
// augmentation.
//
// Worker threads run ahead of next(). Batch s is the same bytes for any number of workers, any order they run
// in and any cache size; an error in a worker is thrown by the next() of its step. Prepared photos are kept
// in memory as 8-bit pixels while they fit, so that a photo is decoded once per run.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tern/core/tensor.h"
#include "tern/data/augmentation.h"
#include "tern/data/dataset.h"
#include "tern/data/preprocess.h"
#include "tern/data/sampler.h"

namespace tern {

// What happens when a photo cannot be read (DataError or IoError).
enum class Unreadable {
  Fail,  // next() throws
  Skip  // another photo of the same person takes its place if there is one that is not in the batch, else the
        // batch is smaller; skipped photos are counted
};

struct LoaderOptions {
  int workers = 1;         // threads that prepare batches ahead; 0: next() does it itself
  uint64_t seed = 1;       // of the augmentation
  int64_t first_step = 0;  // of the sampler; a resumed run gives its step
  Unreadable unreadable = Unreadable::Fail;
  double max_unreadable =
      0.01;  // Skip: more than this fraction of the data set (but more than 1 photo) still fails
  int64_t cache_bytes = -1;  // for prepared photos; -1: a quarter of the available memory
};

struct Batch {
  int64_t step = 0;
  Tensor photos;  // [N,S,S,C] u8, S = size + 2 margin
  Tensor table;   // [N,16] i32: augment(photos, table, {size, mean, std}) gives the network's input
  Tensor labels;  // [N] i64: the identity's number
  std::vector<int64_t> indices;  // photo numbers in the data set
  int64_t identities = 0;        // people in the batch
  int64_t short_identities = 0;  // of these, people with fewer than K photos in it
  int64_t skipped = 0;           // photos of this batch that could not be read
};

class Loader {
 public:
  // Refers to dataset and sampler, which must outlive it. Throws UsageError for impossible options.
  Loader(const Dataset& dataset, const PKSampler& sampler, Preprocess preprocess, AugmentOptions augment,
         LoaderOptions options = {});
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // The batch of step first_step, first_step + 1, ... Throws what reading threw; DataError when too much is
  // unreadable. After a throw the loader is finished: every further next() throws the same.
  Batch next();

  int margin() const;                       // pixels of context around each photo
  AugmentOutput output() const;             // what to hand to augment() with photos and table
  int64_t cached_photos() const;            // how many may be kept in memory
  std::vector<int64_t> unreadable() const;  // photos skipped in the batches given out so far, ascending

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Photos for evaluation: decoded and prepared by all threads, normalised, no augmentation: [n,size,size,C]
// f32. Throws the first photo's error in the order given.
Tensor load_photos(const Dataset& dataset, std::span<const int64_t> photos, const Preprocess& preprocess);

}  // namespace tern
