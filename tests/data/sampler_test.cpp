#include "tern/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "tern/core/error.h"
#include "tests/data/fake_dataset.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::FakeDataset;

std::vector<int64_t> people(const std::vector<int>& photos_of_each) {
  return identity_of_photos(FakeDataset(photos_of_each));
}

TEST(Sampler, ABatchIsPPeopleWithKDifferentPhotosEach) {
  const auto identities = people(std::vector<int>(40, 10));
  const PKSampler sampler(identities, {.p = 8, .k = 4, .seed = 3});
  EXPECT_EQ(sampler.steps_per_epoch(), 5);
  for (int64_t step = 0; step < 50; ++step) {
    const auto draw = sampler.draw(step);
    ASSERT_EQ(draw.photos.size(), 32u);
    EXPECT_EQ(draw.identities, 8);
    EXPECT_EQ(draw.short_identities, 0);
    std::map<int64_t, std::set<int64_t>> of;
    for (const int64_t photo : draw.photos) of[identities[photo]].insert(photo);
    ASSERT_EQ(of.size(), 8u);
    for (const auto& [identity, photos] : of) EXPECT_EQ(photos.size(), 4u) << identity;
  }
}

TEST(Sampler, EveryoneIsVisitedOnceAnEpochAndEveryPhotoEquallyOften) {
  const auto identities = people(std::vector<int>(24, 12));
  const PKSampler sampler(identities, {.p = 6, .k = 4, .seed = 9});
  std::map<int64_t, int> uses;
  for (int64_t epoch = 0; epoch < 6; ++epoch) {
    std::map<int64_t, int> visits;
    for (int64_t b = 0; b < sampler.steps_per_epoch(); ++b)
      for (const int64_t photo : sampler.batch(epoch * sampler.steps_per_epoch() + b)) {
        ++visits[identities[photo]];
        ++uses[photo];
      }
    ASSERT_EQ(visits.size(), 24u);
    for (const auto& [identity, n] : visits) EXPECT_EQ(n, 4) << identity;
  }
  // 6 epochs x 4 photos of 12: each photo exactly twice.
  ASSERT_EQ(uses.size(), 288u);
  for (const auto& [photo, n] : uses) EXPECT_EQ(n, 2) << photo;
}

TEST(Sampler, IsAPureFunctionOfSeedAndStep) {
  const auto identities = people(std::vector<int>(30, 5));
  const PKSampler a(identities, {.p = 8, .k = 4, .seed = 1}), b(identities, {.p = 8, .k = 4, .seed = 1});
  const PKSampler other(identities, {.p = 8, .k = 4, .seed = 2});
  std::vector<std::vector<int64_t>> forward;
  for (int64_t step = 0; step < 40; ++step) forward.push_back(a.batch(step));
  for (int64_t step = 39; step >= 0; --step) EXPECT_EQ(b.batch(step), forward[step]) << step;
  EXPECT_NE(other.batch(0), forward[0]);
  EXPECT_NE(forward[0], forward[4]);
}

TEST(Sampler, AShortPersonGivesEachPhotoOnceAndOthersCompleteTheBatch) {
  // People with 2 photos each where K is 4: 8 people give 16 of 32 places, 8 further people the rest.
  const auto identities = people(std::vector<int>(40, 2));
  const PKSampler sampler(identities, {.p = 8, .k = 4, .seed = 1});
  for (int64_t step = 0; step < 20; ++step) {
    const auto draw = sampler.draw(step);
    EXPECT_EQ(draw.photos.size(), 32u);
    EXPECT_EQ(draw.identities, 16);
    EXPECT_EQ(draw.short_identities, 16);
    EXPECT_EQ(std::set<int64_t>(draw.photos.begin(), draw.photos.end()).size(), 32u) << "a photo twice";
  }
}

TEST(Sampler, OnePhotoPeopleCompleteBatchesAndAreNeverAskedFirst) {
  // 60 people with one photo and 20 with three; K = 4 leaves one place each.
  std::vector<int> counts(60, 1);
  counts.insert(counts.end(), 20, 3);
  const auto identities = people(counts);
  const PKSampler sampler(identities, {.p = 10, .k = 4, .seed = 5});
  EXPECT_EQ(sampler.steps_per_epoch(), 2);
  std::map<int64_t, int> single_uses;
  for (int64_t step = 0; step < 40; ++step) {
    const auto draw = sampler.draw(step);
    EXPECT_EQ(draw.photos.size(), 40u);
    std::map<int64_t, int> photos;
    for (const int64_t photo : draw.photos) ++photos[identities[photo]];
    int singles = 0;
    for (const auto& [person, n] : photos) {
      if (person >= 60) continue;
      EXPECT_EQ(n, 1);
      ++singles;
      ++single_uses[person];
    }
    EXPECT_EQ(singles, 10);  // 40 places - 10 people x 3 photos
    EXPECT_EQ(std::set<int64_t>(draw.photos.begin(), draw.photos.end()).size(), 40u);
  }
  EXPECT_GE(single_uses.size(), 55u);  // 400 places over 60 people
}

TEST(Sampler, ATinySetGivesASmallerBatchRatherThanAPhotoTwice) {
  const auto identities = people({2, 3, 1, 2});
  const PKSampler sampler(identities, {.p = 4, .k = 4, .seed = 1});
  for (int64_t step = 0; step < 10; ++step) {
    const auto draw = sampler.draw(step);
    EXPECT_EQ(draw.photos.size(), 8u);
    EXPECT_EQ(std::set<int64_t>(draw.photos.begin(), draw.photos.end()).size(), 8u);
    EXPECT_EQ(draw.identities, 4);
    EXPECT_EQ(draw.short_identities, 4);
  }
}

TEST(Sampler, RandomSetsKeepTheRules) {
  PhiloxSequence random(11, RandomStream::Test, 0);
  for (int round = 0; round < 30; ++round) {
    std::vector<int> counts(4 + random.below(60));
    for (int& n : counts) n = 1 + static_cast<int>(random.below(7));
    counts[0] = 2;
    const auto identities = people(counts);
    const int p = 2 + static_cast<int>(random.below(static_cast<uint32_t>(counts.size()) - 1)),
              k = 2 + random.below(4);
    const PKSampler sampler(identities, {.p = p, .k = k, .seed = static_cast<uint64_t>(round)});
    std::set<int64_t> seen;
    for (int64_t step = 0; step < 2 * sampler.steps_per_epoch(); ++step) {
      const auto draw = sampler.draw(step);
      std::map<int64_t, int> photos;
      for (const int64_t photo : draw.photos) ++photos[identities[photo]];
      seen.insert(draw.photos.begin(), draw.photos.end());
      const std::set<int64_t> distinct(draw.photos.begin(), draw.photos.end());
      EXPECT_EQ(distinct.size(), draw.photos.size()) << "a photo twice";
      EXPECT_EQ(static_cast<int64_t>(photos.size()), draw.identities);
      int64_t places = 0, short_people = 0;
      for (const auto& [person, n] : photos) {
        EXPECT_LE(n, k);
        short_people += n < k;
      }
      for (const int n : counts) places += std::min(n, k);
      EXPECT_EQ(draw.short_identities, short_people);
      EXPECT_EQ(static_cast<int64_t>(draw.photos.size()), std::min<int64_t>(int64_t{p} * k, places));
    }
    std::set<int64_t> several_seen;
    for (const int64_t photo : seen)
      if (counts[identities[photo]] >= 2) several_seen.insert(identities[photo]);
    EXPECT_EQ(several_seen.size(),
              static_cast<size_t>(std::count_if(counts.begin(), counts.end(), [](int n) { return n >= 2; })));
  }
}

TEST(Sampler, DefaultKIsFourOrTwoWhereFewerThanHalfHaveFourPhotos) {
  EXPECT_EQ(PKSampler::default_k(people({4, 4, 1, 1})), 4);
  EXPECT_EQ(PKSampler::default_k(people({4, 4, 1, 1, 3})), 2);
  EXPECT_EQ(PKSampler::default_k(people({10, 10})), 4);
  EXPECT_EQ(PKSampler(people({4, 2, 2, 2}), {.p = 2}).k(), 2);
}

TEST(Sampler, TooFewPeopleIsAnErrorWithBothNumbers) {
  test::expect_error<DataError>([] { PKSampler(people({4, 4, 4}), {.p = 16}); }, {"has 16 people", "has 3;"});
  test::expect_error<DataError>([] { PKSampler(people({1, 1, 1}), {.p = 2, .k = 2}); }, {"positive pair"});
  test::expect_error<UsageError>([] { PKSampler(people({4, 4, 4}), {.p = 1, .k = 4}); }, {"P = 1"});
}

TEST(Sampler, IsFastForThousandsOfPeople) {
  std::vector<int> counts(20000, 3);
  const auto identities = people(counts);
  const PKSampler sampler(identities, {.p = 16, .k = 2, .seed = 1});
  sampler.batch(0);
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t step = 0; step < 200; ++step) sampler.batch(step);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(spent.count() / 200, 1e-3);
}

}  // namespace
}  // namespace tern
