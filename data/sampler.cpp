#include "tern/data/sampler.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "tern/core/error.h"
#include "tern/core/philox.h"

namespace tern {

namespace {

// Addresses in the Shuffle stream: 2 per epoch for the people, the rest for the photos of each person.
constexpr uint64_t kPhotoSpace = uint64_t{1} << 62;

template <class T>
void shuffle(std::vector<T>& list, uint64_t seed, uint64_t address) {
  PhiloxSequence random(seed, RandomStream::Shuffle, address);
  for (size_t i = list.size(); i > 1; --i)
    std::swap(list[i - 1], list[random.below(static_cast<uint32_t>(i))]);
}

std::vector<std::vector<int64_t>> group(std::span<const int64_t> identity_of_photo) {
  std::vector<std::vector<int64_t>> photos;
  for (size_t i = 0; i < identity_of_photo.size(); ++i) {
    const int64_t identity = identity_of_photo[i];
    check(identity >= 0 && identity < static_cast<int64_t>(identity_of_photo.size()), "sampler: photo ", i,
          " has identity ", identity, ", allowed is 0 .. ", identity_of_photo.size());
    if (identity >= static_cast<int64_t>(photos.size())) photos.resize(static_cast<size_t>(identity) + 1);
    photos[static_cast<size_t>(identity)].push_back(static_cast<int64_t>(i));
  }
  return photos;
}

}  // namespace

int PKSampler::default_k(std::span<const int64_t> identity_of_photo) {
  const auto photos = group(identity_of_photo);
  size_t people = 0, with_four = 0;
  for (const auto& list : photos) {
    people += !list.empty();
    with_four += list.size() >= 4;
  }
  return 2 * with_four < people ? 2 : 4;
}

PKSampler::PKSampler(const Dataset& dataset, PKOptions options)
    : PKSampler(identity_of_photos(dataset), options) {}

PKSampler::PKSampler(std::span<const int64_t> identity_of_photo, PKOptions options)
    : options_(options), photos_(group(identity_of_photo)) {
  if (options_.k == 0) options_.k = default_k(identity_of_photo);
  check(options_.p >= 2 && options_.k >= 2 && options_.p <= 1 << 16 && options_.k <= 1 << 16,
        "sampler: P = ", options_.p, ", K = ", options_.k, "; each must be 2 to 65536");
  for (size_t i = 0; i < photos_.size(); ++i) {
    if (photos_[i].size() >= 2) several_.push_back(static_cast<int32_t>(i));
    if (photos_[i].size() == 1) single_.push_back(static_cast<int32_t>(i));
  }
  const size_t people = several_.size() + single_.size();
  check<DataError>(people >= static_cast<size_t>(options_.p), "sampler: a batch has ", options_.p,
                   " people, the data set has ", people, "; hint: a smaller --batch-p, or more people");
  check<DataError>(
      !several_.empty(), "sampler: none of the ", people,
      " people has two photos, so there is no positive pair; hint: at least two photos of a person");
  steps_per_epoch_ = (static_cast<int64_t>(several_.size()) + options_.p - 1) / options_.p;
}

std::shared_ptr<const PKSampler::Epoch> PKSampler::epoch(int64_t number) const {
  const std::lock_guard lock(mutex_);
  auto& slot = latest_[number % 2];
  if (slot && slot->number == number) return slot;
  auto made = std::make_shared<Epoch>();
  made->number = number;
  made->several = several_;
  made->single = single_;
  shuffle(made->several, options_.seed, static_cast<uint64_t>(number) * 2);
  shuffle(made->single, options_.seed, static_cast<uint64_t>(number) * 2 + 1);
  slot = std::move(made);
  return slot;
}

int64_t PKSampler::take(int64_t person, int64_t visit, int64_t places, Draw& draw) const {
  const auto& mine = photos_[static_cast<size_t>(person)];
  const auto have = static_cast<int64_t>(mine.size());
  const int64_t turns = std::max<int64_t>(1, have / options_.k);  // visits that one permutation serves
  std::vector<int64_t> order = mine;
  shuffle(order, options_.seed,
          kPhotoSpace + (static_cast<uint64_t>(person) << 32) + static_cast<uint64_t>(visit / turns));
  const int64_t begin = visit % turns * options_.k;
  const int64_t count = std::min({int64_t{options_.k}, have, places});
  draw.photos.insert(draw.photos.end(), order.begin() + begin, order.begin() + begin + count);
  ++draw.identities;
  draw.short_identities += count < options_.k;
  return count;
}

PKSampler::Draw PKSampler::draw(int64_t step) const {
  check(step >= 0, "sampler: step ", step, " is negative");
  const int64_t number = step / steps_per_epoch_, b = step % steps_per_epoch_;
  const auto order = epoch(number);
  const auto several = static_cast<int64_t>(order->several.size());
  const auto single = static_cast<int64_t>(order->single.size());
  Draw draw;
  draw.photos.reserve(static_cast<size_t>(batch_size()));
  int64_t places = batch_size(), used = 0;
  // A second visit within the epoch gets a permutation that no first visit uses.
  const auto take_next = [&] {
    const int64_t i = b * options_.p + used++;
    const int64_t visit = (i < several && used <= options_.p ? 0 : int64_t{1} << 31) + number;
    places -= take(order->several[static_cast<size_t>(i % several)], visit, places, draw);
  };
  while (used < std::min<int64_t>(options_.p, several) && places > 0) take_next();
  // Singles: an even share of them for every batch of the epoch, the others only where nobody else is left.
  const int64_t share = (single + steps_per_epoch_ - 1) / steps_per_epoch_;
  int64_t used_singles = 0;
  const auto take_singles = [&](int64_t at_most) {
    for (; used_singles < at_most && places > 0; ++used_singles)
      places -=
          take(order->single[static_cast<size_t>((b * share + used_singles) % single)], 0, places, draw);
  };
  take_singles(std::clamp<int64_t>(single - b * share, 0, share));
  while (used < several && places > 0) take_next();
  take_singles(single);
  return draw;
}

}  // namespace tern
