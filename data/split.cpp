#include "tern/data/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>

#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/core/philox.h"

namespace tern {

IdentitySplit split_identities(int64_t identities, double fraction, uint64_t seed) {
  check(fraction >= 0 && fraction < 1, "split: fraction ", fraction, " is not within [0, 1)");
  std::vector<int64_t> order(static_cast<size_t>(std::max<int64_t>(identities, 0)));
  std::iota(order.begin(), order.end(), int64_t{0});
  IdentitySplit split;
  if (fraction == 0) {
    split.train = std::move(order);
    return split;
  }
  check<DataError>(identities >= 4, "split: ", identities,
                   " people cannot be split into two sides of at least 2; hint: more people, or none held "
                   "out (--val-split 0)");
  PhiloxSequence random(seed, RandomStream::Split, 0);
  for (int64_t i = identities - 1; i > 0; --i)
    std::swap(order[i], order[random.below(static_cast<uint32_t>(i + 1))]);
  const int64_t held = std::clamp<int64_t>(std::llround(fraction * double(identities)), 2, identities - 2);
  split.held_out.assign(order.begin(), order.begin() + held);
  split.train.assign(order.begin() + held, order.end());
  std::sort(split.held_out.begin(), split.held_out.end());
  std::sort(split.train.begin(), split.train.end());
  return split;
}

namespace {

// Unreadable photos have no hash and take part in no comparison; reading them is another check's business.
std::vector<std::optional<uint64_t>> hash_photos(const Dataset& dataset) {
  std::vector<std::optional<uint64_t>> hashes(static_cast<size_t>(dataset.size()));
  parallel_for(dataset.size(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      try {
        hashes[i] = dataset.content_hash(i);
      } catch (const DataError&) {
      } catch (const IoError&) {
      }
    }
  });
  return hashes;
}

}  // namespace

std::vector<Leak> find_leaks(const Dataset& a, const Dataset& b, bool compare_photos) {
  std::vector<Leak> leaks;
  std::unordered_map<std::string, int64_t> names;
  for (int64_t i = 0; i < a.identities(); ++i) names.emplace(a.identity_name(i), i);
  for (int64_t i = 0; i < b.identities(); ++i)
    if (const std::string name = b.identity_name(i); names.count(name))
      leaks.push_back({Leak::Kind::Identity, name, name});
  if (!compare_photos) return leaks;
  std::unordered_map<uint64_t, int64_t> photos;
  const auto hashes_a = hash_photos(a), hashes_b = hash_photos(b);
  for (int64_t i = 0; i < a.size(); ++i)
    if (hashes_a[i]) photos.emplace(*hashes_a[i], i);
  for (int64_t i = 0; i < b.size(); ++i) {
    if (!hashes_b[i]) continue;
    const auto found = photos.find(*hashes_b[i]);
    if (found != photos.end())
      leaks.push_back({Leak::Kind::Photo, a.photo_name(found->second), b.photo_name(i)});
  }
  return leaks;
}

void check_disjoint(const Dataset& a, const Dataset& b, bool compare_photos) {
  const auto leaks = find_leaks(a, b, compare_photos);
  if (leaks.empty()) return;
  constexpr size_t kShown = 5;
  std::string shown;
  for (size_t i = 0; i < std::min(leaks.size(), kShown); ++i) {
    shown += i ? ", " : "";
    shown += leaks[i].kind == Leak::Kind::Identity ? "person " : "photo ";
    shown += escaped(leaks[i].a);
    if (leaks[i].kind == Leak::Kind::Photo) shown += " = " + escaped(leaks[i].b);
  }
  detail::fail<DataError>("data: training and held-out sets share ", leaks.size(),
                          " people or photos: ", shown, leaks.size() > kShown ? ", ..." : "",
                          "; hint: leave them out of training with --exclude-identities");
}

}  // namespace tern
