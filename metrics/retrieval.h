#pragma once
// Identification: who is this? Every photo asks, the nearest photos answer.
//
//     Recall@k: share of the photos with a photo of their person among the k nearest of all other photos.
//     MAP@R: for a photo with R other photos of its person,
//            1/R sum_{i <= R} [i-th nearest is right] (right up to i) / i; the mean over the photos.
//     rank-1: each person's first photo is the only gallery photo; share of the other photos whose
//             nearest gallery photo is their person's.
// Photos without another photo of their person ask nothing, but answer. Equal distances: the lower index is
// nearer. Source: Musgrave, Belongie, Lim, "A metric learning reality check", ECCV 2020 (MAP@R).

#include <cstdint>
#include <span>
#include <vector>

#include "tern/metrics/all_pairs.h"

namespace tern::metrics {

struct Retrieval {
  std::vector<double> recall_at;  // for each k asked for
  double map_at_r = 0;
  int64_t queries = 0;
};

// Throws DataError if no person has two photos.
Retrieval retrieval(std::span<const int64_t> identity, const DistanceRow& distance, std::span<const int> ks);

struct Rank1 {
  double rate = 0;
  int64_t queries = 0, people = 0;
};

// "First" is the lowest index. Throws DataError if no person has two photos.
Rank1 rank1(std::span<const int64_t> identity, const DistanceRow& distance);

}  // namespace tern::metrics
