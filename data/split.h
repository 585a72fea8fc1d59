#pragma once
// Splitting people, never photos: no person is on both sides.

#include <cstdint>
#include <string>
#include <vector>

#include "tern/data/dataset.h"

namespace tern {

struct IdentitySplit {
  std::vector<int64_t> train;     // ascending
  std::vector<int64_t> held_out;  // ascending
};

// round(fraction * identities) people are held out, drawn by the seed, at least 2 on either side where
// fraction > 0. Throws DataError when there are too few people, UsageError unless 0 <= fraction < 1.
IdentitySplit split_identities(int64_t identities, double fraction, uint64_t seed);

// What two data sets share.
struct Leak {
  enum class Kind { Identity, Photo } kind;
  std::string a;  // identity or photo name in the first data set
  std::string b;  // in the second
};

// Identities of the same name, and (with compare_photos) byte-identical photos. Reads every photo once.
std::vector<Leak> find_leaks(const Dataset& a, const Dataset& b, bool compare_photos = true);

// Throws DataError naming the first leaks if there is one.
void check_disjoint(const Dataset& a, const Dataset& b, bool compare_photos = true);

}  // namespace tern
