#include "tern/data/loader.h"

#include <gtest/gtest.h>

#include <set>

#include "tern/core/error.h"
#include "tests/data/fake_dataset.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using test::FakeDataset;

constexpr Preprocess kSmall{.size = 16, .channels = 3, .crop = 0.9};

TEST(Loader, BatchesAreTheSameForAnyNumberOfWorkersAndAnyCache) {
  const FakeDataset dataset(std::vector<int>(12, 5));
  const PKSampler sampler(dataset, {.p = 4, .k = 3, .seed = 2});
  Loader inline_loader(dataset, sampler, kSmall, {}, {.workers = 0, .seed = 8, .cache_bytes = 0});
  for (const int workers : {1, 4}) {
    for (const int64_t cache : {int64_t{0}, int64_t{20000}, int64_t{-1}}) {
      Loader alone(dataset, sampler, kSmall, {}, {.workers = 0, .seed = 8, .cache_bytes = 0});
      Loader loader(dataset, sampler, kSmall, {}, {.workers = workers, .seed = 8, .cache_bytes = cache});
      for (int64_t step = 0; step < 9; ++step) {
        const Batch a = alone.next(), b = loader.next();
        EXPECT_EQ(b.step, step);
        EXPECT_EQ(a.indices, b.indices);
        test::expect_equal_bits(a.photos, b.photos);
        test::expect_equal_bits(a.table, b.table);
        test::expect_equal_bits(a.labels, b.labels);
      }
    }
  }
}

TEST(Loader, ResumesAtAStep) {
  const FakeDataset dataset(std::vector<int>(12, 5));
  const PKSampler sampler(dataset, {.p = 4, .k = 3, .seed = 2});
  Loader whole(dataset, sampler, kSmall, {}, {.workers = 2});
  Loader resumed(dataset, sampler, kSmall, {}, {.workers = 2, .first_step = 5});
  for (int i = 0; i < 5; ++i) whole.next();
  for (int i = 0; i < 4; ++i) {
    const Batch a = whole.next(), b = resumed.next();
    EXPECT_EQ(a.step, b.step);
    test::expect_equal_bits(a.photos, b.photos);
    test::expect_equal_bits(a.table, b.table);
  }
}

TEST(Loader, HoldsWhatTheSamplerDrew) {
  const FakeDataset dataset({3, 3, 3, 3, 1, 1});
  const PKSampler sampler(dataset, {.p = 3, .k = 4, .seed = 2});
  Loader loader(dataset, sampler, kSmall, AugmentOptions::none(), {.workers = 1});
  EXPECT_EQ(loader.margin(), 0);
  for (int64_t step = 0; step < 6; ++step) {
    const Batch batch = loader.next();
    const auto draw = sampler.draw(step);
    EXPECT_EQ(batch.indices, draw.photos);
    EXPECT_EQ(batch.identities, draw.identities);
    EXPECT_EQ(batch.short_identities, draw.short_identities);
    EXPECT_EQ(batch.photos.shape(), (Shape{static_cast<int64_t>(draw.photos.size()), 16, 16, 3}));
    for (size_t i = 0; i < draw.photos.size(); ++i)
      EXPECT_EQ(batch.labels.data<int64_t>()[i], dataset.identity(draw.photos[i]));
    // Without augmentation the batch is what evaluation sees, bit for bit.
    test::expect_equal_bits(augment(batch.photos, batch.table, loader.output()),
                            load_photos(dataset, batch.indices, kSmall));
  }
}

TEST(Loader, DecodesAPhotoOnceWhenPhotosFitInMemory) {
  const FakeDataset dataset(std::vector<int>(6, 4));
  const PKSampler sampler(dataset, {.p = 3, .k = 4, .seed = 2});
  Loader loader(dataset, sampler, kSmall, {}, {.workers = 0});
  EXPECT_EQ(loader.cached_photos(), 24);
  for (int i = 0; i < 20; ++i) loader.next();
  EXPECT_EQ(dataset.loads, 24);
  Loader uncached(dataset, sampler, kSmall, {}, {.workers = 0, .cache_bytes = 0});
  for (int i = 0; i < 20; ++i) uncached.next();
  EXPECT_EQ(dataset.loads, 24 + 20 * 12);
}

TEST(Loader, AnErrorInAWorkerReachesTheNextOfItsStep) {
  for (const int workers : {0, 3}) {
    FakeDataset dataset(std::vector<int>(8, 4));
    const PKSampler sampler(dataset, {.p = 2, .k = 4, .seed = 2});
    // The first step whose batch holds the photo.
    const int64_t bad = sampler.batch(3)[5];
    dataset.broken.insert(bad);
    int64_t first = 0;
    for (;; ++first) {
      const auto photos = sampler.batch(first);
      if (std::find(photos.begin(), photos.end(), bad) != photos.end()) break;
    }
    Loader loader(dataset, sampler, kSmall, {}, {.workers = workers});
    for (int64_t step = 0; step < first; ++step) EXPECT_NO_THROW(loader.next());
    test::expect_error<DataError>([&] { loader.next(); }, {"damaged on purpose", dataset.photo_name(bad)});
    test::expect_error<DataError>([&] { loader.next(); }, {"damaged on purpose"});
  }
}

TEST(Loader, SkipReplacesAnUnreadablePhotoByAnotherOfThePersonAndCounts) {
  FakeDataset dataset(std::vector<int>(4, 6));
  const PKSampler sampler(dataset, {.p = 4, .k = 4, .seed = 2});
  dataset.broken = {0, 7, 8, 9};  // one photo of person 0, three of person 1
  const LoaderOptions skip{.workers = 0, .unreadable = Unreadable::Skip, .max_unreadable = 0.5};
  LoaderOptions threaded = skip;
  threaded.workers = 3;
  Loader loader(dataset, sampler, kSmall, {}, skip), other(dataset, sampler, kSmall, {}, threaded);
  for (int step = 0; step < 8; ++step) {
    const Batch a = loader.next(), b = other.next();
    EXPECT_EQ(a.indices, b.indices);
    EXPECT_EQ(a.skipped, b.skipped);
    test::expect_equal_bits(a.photos, b.photos);
    EXPECT_EQ(loader.unreadable(), other.unreadable());
    EXPECT_EQ(std::set<int64_t>(a.indices.begin(), a.indices.end()).size(), a.indices.size());
    for (const int64_t photo : a.indices) EXPECT_EQ(dataset.broken.count(photo), 0u);
    EXPECT_EQ(a.indices.size(), 15u);  // person 1 has three readable photos, person 0 five
    EXPECT_EQ(a.photos.size(0), 15);
    EXPECT_EQ(a.table.size(0), 15);
  }
  EXPECT_EQ(loader.unreadable(), (std::vector<int64_t>{0, 7, 8, 9}));
}

TEST(Loader, SkipGivesUpWhenTooMuchIsUnreadable) {
  for (const int workers : {0, 2}) {
    FakeDataset dataset(std::vector<int>(10, 10));
    dataset.broken = {3, 14, 25};
    const PKSampler sampler(dataset, {.p = 10, .k = 4, .seed = 2});
    Loader loader(dataset, sampler, kSmall, {}, {.workers = workers, .unreadable = Unreadable::Skip});
    test::expect_error<DataError>(
        [&] {
          for (int i = 0; i < 20; ++i) loader.next();
        },
        {"of 100 photos", "0.01"});
  }
}

TEST(Loader, StopsWhileWorkersAreBusy) {
  const FakeDataset dataset(std::vector<int>(12, 5), 80, 80);
  const PKSampler sampler(dataset, {.p = 4, .k = 3});
  for (int i = 0; i < 5; ++i) Loader loader(dataset, sampler, kSmall, {}, {.workers = 4});
}

TEST(Loader, RefusesImpossibleOptions) {
  const FakeDataset dataset(std::vector<int>(4, 4));
  const PKSampler sampler(dataset, {.p = 2, .k = 2});
  test::expect_error<UsageError>([&] { Loader(dataset, sampler, kSmall, {}, {.workers = -1}); }, {"workers"});
  test::expect_error<UsageError>([&] { Loader(dataset, sampler, {.size = 0}, {}); }, {"size 0"});
  test::expect_error<UsageError>([&] { Loader(dataset, sampler, kSmall, {.flip = 2}); }, {"flip"});
}

TEST(LoadPhotos, NamesThePhotoThatCannotBeRead) {
  FakeDataset dataset({4, 4});
  dataset.broken = {5};
  const std::vector<int64_t> all = {0, 5, 2};
  test::expect_error<DataError>([&] { load_photos(dataset, all, kSmall); }, {"p1/5.fake"});
  const std::vector<int64_t> none;
  EXPECT_EQ(load_photos(dataset, none, kSmall).shape(), (Shape{0, 16, 16, 3}));
}

}  // namespace
}  // namespace tern
