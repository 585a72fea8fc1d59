#include "tern/data/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tern/core/error.h"
#include "tern/core/parallel.h"
#include "tern/data/face_painter.h"

namespace tern {
namespace {

double mean_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(int{a.pixels[i]} - int{b.pixels[i]});
  return sum / static_cast<double>(a.pixels.size());
}

Image drawn(const SyntheticOptions& options, int64_t who, int64_t scene_of_person, int64_t photo) {
  const auto person = faces::person_of(options.seed, who, options.same);
  const auto scene = faces::scene_of(options.seed, scene_of_person, photo);
  return faces::FacePainter(person, scene, options.size).photo();
}

TEST(Synthetic, PhotoIsAPureFunctionOfSeedIdentityPhoto) {
  const SyntheticOptions options;
  const Image first = draw_face(options, 3, 2);
  draw_face(options, 4, 1);
  EXPECT_EQ(first, draw_face(options, 3, 2));
  EXPECT_NE(first, draw_face(options, 3, 3));
  EXPECT_NE(first, draw_face(options, 4, 2));
  SyntheticOptions other = options;
  other.seed = 2;
  EXPECT_NE(first, draw_face(other, 3, 2));
  other = options;
  other.identities = 5, other.photos = 3, other.first_identity = 2;
  EXPECT_EQ(first, draw_face(other, 3, 2)) << "how many people there are must not matter";
}

TEST(Synthetic, PhotoIsRgbOfTheAskedSize) {
  for (int size : {32, 64, 250}) {
    SyntheticOptions options;
    options.size = size;
    const Image photo = draw_face(options, 0, 0);
    EXPECT_EQ(photo.width, size);
    EXPECT_EQ(photo.height, size);
    EXPECT_EQ(photo.channels, 3);
    EXPECT_EQ(photo.pixels.size(), static_cast<size_t>(size) * static_cast<size_t>(size) * 3);
  }
}

TEST(Synthetic, SizesShowTheSamePicture) {
  SyntheticOptions small, large;
  small.size = 50, large.size = 200;
  for (int64_t photo = 0; photo < 4; ++photo) {
    const Image a = draw_face(small, 9, photo), b = resize(draw_face(large, 9, photo), 50, 50);
    EXPECT_LT(mean_difference(a, b), 16) << "photo " << photo;
  }
}

TEST(Synthetic, EveryCueChangesTheDrawing) {
  const SameCues one_differs[] = {{false, true, true, true, true},
                                  {true, false, true, true, true},
                                  {true, true, false, true, true},
                                  {true, true, true, false, true},
                                  {true, true, true, true, false}};
  for (const SameCues& same : one_differs) {
    SyntheticOptions options;
    options.same = same;
    int differ = 0;
    for (int64_t who = 1; who <= 5; ++who)
      differ += drawn(options, who, 7, 0) != drawn(options, who + 5, 7, 0);
    EXPECT_EQ(differ, 5);
  }
}

TEST(Synthetic, AllCuesTheSameLeaveNothingOfThePerson) {
  SyntheticOptions options;
  options.same = SameCues::all();
  for (int64_t photo = 0; photo < 8; ++photo) {
    const Image first = drawn(options, 1, 50, photo);
    for (int64_t who : {2, 9, 12345}) EXPECT_EQ(first, drawn(options, who, 50, photo)) << "person " << who;
    options.seed += 1;
    EXPECT_EQ(first, drawn({options.size, 1, 1, 1, 0, options.same}, 77, 50, photo));
    options.seed = 1;
  }
}

// The scene knows the person as a number only: nothing in it may repeat from photo to photo of one person.
TEST(Synthetic, SceneSaysNothingAboutThePerson) {
  double within = 0, between = 0;
  constexpr int kPeople = 200;
  const auto far = [](const faces::Scene& a, const faces::Scene& b) {
    return std::fabs(a.yaw - b.yaw) + std::fabs(a.pitch - b.pitch) + std::fabs(a.smile - b.smile) +
           std::fabs(a.exposure - b.exposure) + std::fabs(a.balance.r - b.balance.r) +
           std::fabs(a.background_a.r - b.background_a.r) + std::fabs(a.shirt.g - b.shirt.g);
  };
  std::set<uint32_t> textures;
  for (int64_t i = 0; i < kPeople; ++i) {
    const auto a = faces::scene_of(1, i, 0), b = faces::scene_of(1, i, 1), c = faces::scene_of(1, i + 1, 2);
    within += far(a, b) / kPeople;
    between += far(a, c) / kPeople;
    textures.insert({a.texture_seed, b.texture_seed});
  }
  EXPECT_EQ(textures.size(), 2u * kPeople);
  EXPECT_NEAR(within / between, 1, 0.12);
}

TEST(Synthetic, PhotosOfManyPeopleAreVaried) {
  SyntheticOptions options;
  options.size = 32;
  double least = 255;
  for (int64_t a = 0; a < 12; ++a)
    for (int64_t b = 0; b < a; ++b)
      least = std::min(least, mean_difference(draw_face(options, a, 0), draw_face(options, b, 0)));
  EXPECT_GT(least, 8);
}

TEST(Synthetic, DatasetNumbersPeopleAndPhotos) {
  SyntheticOptions options;
  options.identities = 4, options.photos = 3, options.first_identity = 10, options.size = 32;
  const SyntheticDataset dataset(options);
  EXPECT_EQ(dataset.size(), 12);
  EXPECT_EQ(dataset.identities(), 4);
  EXPECT_EQ(dataset.identity(5), 1);
  EXPECT_EQ(dataset.identity_name(1), "person_000011");
  EXPECT_EQ(dataset.photo_name(5), "person_000011/0002");
  EXPECT_EQ(dataset.load(5), draw_face(options, 11, 2));
  std::vector<Image> photos(12);
  parallel_for(12, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) photos[static_cast<size_t>(i)] = dataset.load(i);
  });
  for (int64_t i = 0; i < 12; ++i) EXPECT_EQ(photos[static_cast<size_t>(i)], dataset.load(i));
  EXPECT_THROW(dataset.load(12), UsageError);
}

TEST(Synthetic, OptionsOutOfRangeAreNamed) {
  for (int size : {31, 251}) EXPECT_THROW(SyntheticDataset({.size = size}), UsageError);
  EXPECT_THROW(SyntheticDataset({.identities = 0}), UsageError);
  EXPECT_THROW(SyntheticDataset({.photos = 0}), UsageError);
  EXPECT_THROW(SyntheticDataset({.identities = 1, .first_identity = int64_t{1} << 28}), UsageError);
  EXPECT_THROW(SyntheticDataset({.first_identity = -1}), UsageError);
  EXPECT_THROW(draw_face({}, -1, 0), UsageError);
}

TEST(Synthetic, CuesAreParsedByName) {
  const SameCues same = SameCues::parse("hair,nose-mouth");
  EXPECT_TRUE(same.hair && same.nose_mouth);
  EXPECT_FALSE(same.outline || same.eyes || same.coloring);
  const SameCues all = SameCues::parse("all");
  EXPECT_TRUE(all.outline && all.eyes && all.nose_mouth && all.hair && all.coloring);
  EXPECT_FALSE(SameCues::parse("").hair);
  EXPECT_THROW(SameCues::parse("shoes"), UsageError);
}

// The painter's own functions replace libm: they must agree with it where faces use them.
TEST(Paint, ElementaryFunctionsAgreeWithLibm) {
  for (int i = -4000; i <= 4000; ++i) {
    const float x = static_cast<float>(i) * 0.01f;
    EXPECT_NEAR(paint::sin_of(x), std::sin(double{x}), 2e-5) << x;
    EXPECT_NEAR(paint::exp2_of(x * 0.2f) / std::exp2(0.2 * double{x}), 1, 2e-5) << x;
    if (i > 0) {
      EXPECT_NEAR(paint::log2_of(x), std::log2(double{x}), 2e-4) << x;
    }
  }
}

TEST(Paint, CoverageOfAPolygonIsItsArea) {
  const paint::Canvas canvas(40);
  const auto covered = [&](const paint::Path& path) {
    const paint::Mask mask = canvas.fill(path);
    double sum = 0;
    for (int y = mask.y0(); y < mask.y1(); ++y)
      for (int x = mask.x0(); x < mask.x1(); ++x) sum += mask.at(x, y);
    return sum;
  };
  EXPECT_NEAR(covered({{3.25f, 4.5f}, {10.75f, 4.5f}, {10.75f, 9.25f}, {3.25f, 9.25f}}), 7.5 * 4.75, 1e-4);
  EXPECT_NEAR(covered({{5, 5}, {25.5f, 9}, {12, 30.25f}}), 0.5 * std::fabs(20.5 * 25.25 - 7 * 4), 1e-3);
  EXPECT_NEAR(covered({{-10, 10}, {50, 10}, {50, 20}, {-10, 20}}), 400, 1e-3) << "clipped at the border";
  EXPECT_NEAR(covered(paint::ellipse({20, 20}, 10, 6, 0.4f, 200)), 3.14159265 * 60, 0.2);
}

}  // namespace
}  // namespace tern
