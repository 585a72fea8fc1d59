#include "tern/models/embedder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <thread>

#include "tern/core/philox.h"
#include "tern/models/embed.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

ModelCard card() {
  ModelCard card;
  card.spec = {.arch = "face_net", .size = 32, .channels = 3, .embedding_dim = 16};
  card.preprocess = {.size = 32, .channels = 3};
  card.training_margin = 0.2;
  card.rule = DecisionRule{.threshold = 0.7, .intercept = 7, .slope = -10, .source = "validation people"};
  return card;
}

Embedder make_embedder() { return Embedder({make_model(card().spec, 1), card()}); }

// Smooth random pixels: every seed another picture.
Image picture(uint64_t seed, int width = 40, int height = 50) {
  PhiloxSequence random(seed, RandomStream::Test, 0);
  Image image = make_image(width, height, 3);
  const double a = random.uniform(0.05f, 0.5f), b = random.uniform(0.05f, 0.5f), phase = random.uniform(0, 6);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) {
        image.row(y)[3 * x + c] = static_cast<uint8_t>(127 + 120 * std::sin(a * x + b * y + phase * (c + 1)));
      }
  return image;
}

TEST(Embedder, OnePhotoTwiceIsTheSame) {
  const Embedder face = make_embedder();
  const Image a = picture(1);
  const VerifyResult verdict = face.verify(a, a);
  EXPECT_TRUE(verdict.same);
  EXPECT_EQ(verdict.distance, 0);
  EXPECT_EQ(verdict.threshold, 0.7);
  EXPECT_EQ(verdict.margin, 0.7);
  EXPECT_NEAR(verdict.confidence, 1 / (1 + std::exp(-7.0)), 1e-12);
  EXPECT_GT(verdict.ms, 0);
}

TEST(Embedder, VerdictsFollowTheirDefinitions) {
  const Embedder face = make_embedder();
  EXPECT_TRUE(face.judge(0.7).same) << "at the threshold";
  EXPECT_FALSE(face.judge(0.7000001).same);
  EXPECT_NEAR(face.judge(0.7).confidence, 0.5, 1e-12);
  EXPECT_LT(face.judge(0.8).margin, 0);

  const TripletResult good = face.judge(0.3, 0.9, 1.0);
  EXPECT_TRUE(good.same_person && good.negative_is_other && good.satisfied);
  EXPECT_NEAR(good.margin, 0.6, 1e-12);
  EXPECT_FALSE(face.judge(0.9, 0.3, 1.0).satisfied) << "positive and negative swapped";
  const TripletResult narrow = face.judge(0.65, 0.75, 1.0);  // right, but by less than the training margin
  EXPECT_TRUE(narrow.same_person && narrow.negative_is_other);
  EXPECT_FALSE(narrow.satisfied);
  const TripletResult at = face.judge(0.7, 0.7, 1.0);
  EXPECT_TRUE(at.same_person);
  EXPECT_FALSE(at.negative_is_other) << "not strictly beyond the threshold";
}

TEST(Embedder, TripletMeasuresAllThreePairs) {
  const Embedder face = make_embedder();
  const Image a = picture(1), p = picture(2), n = picture(3);
  const TripletResult verdict = face.check_triplet(a, p, n);
  const Tensor e = face.embed({a, p, n});
  EXPECT_EQ(e.shape(), (Shape{3, 16}));
  EXPECT_EQ(verdict.d_ap, embedding_distance(e, 0, 1));
  EXPECT_EQ(verdict.d_an, embedding_distance(e, 0, 2));
  EXPECT_EQ(verdict.d_pn, embedding_distance(e, 1, 2));
  EXPECT_NEAR(verdict.d_ap, face.verify(a, p).distance, 1e-5);
}

TEST(Embedder, BytesAndPixelsAgree) {
  const Embedder face = make_embedder();
  const Image image = picture(4);
  const auto png = write_png(image);
  EXPECT_EQ(face.verify(png, image).distance, 0);
  EXPECT_LT(face.verify(Photo(write_jpeg(image, 95)), image).distance, 0.1);
}

TEST(Embedder, Errors) {
  const Embedder face = make_embedder();
  const Image a = picture(1);
  const std::vector<uint8_t> text{'t', 'e', 'x', 't'};
  test::expect_error<DataError>([&] { face.verify(a, Photo(text, "b.jpg")); }, {"b.jpg"});
  ModelCard without = card();
  without.rule.reset();
  const Embedder unjudged({make_model(without.spec, 1), without});
  test::expect_error<IncompatibleError>([&] { unjudged.verify(a, a); }, {"no threshold", "--threshold"});
  EXPECT_EQ(unjudged.embed({a}).shape(), (Shape{1, 16}));
  EXPECT_THROW(face.embed(std::span<const Photo>()), UsageError);
  EXPECT_THROW(Embedder::load("/nonexistent"), IoError);
}

TEST(Embedder, LoadsWhatWasSaved) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("tern_embedder_" + std::to_string(::getpid()))).string();
  save_model(path, *make_model(card().spec, 1), card());
  const Embedder loaded = Embedder::load(path);
  std::filesystem::remove(path);
  const Image a = picture(5), b = picture(6);
  EXPECT_EQ(loaded.verify(a, b).distance, make_embedder().verify(a, b).distance);
  EXPECT_EQ(loaded.card().training_margin, 0.2);
}

TEST(Embedder, ManyThreadsAtOnce) {
  const Embedder face = make_embedder();
  const Image a = picture(7), b = picture(8);
  const double expected = make_embedder().verify(a, b).distance;
  std::vector<std::thread> threads;
  std::vector<double> distances(6, -1);
  for (double& distance : distances) {
    threads.emplace_back([&] {
      for (int i = 0; i < 3; ++i) distance = face.verify(a, b).distance;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const double distance : distances) EXPECT_EQ(distance, expected);
}

class Pictures final : public Dataset {
 public:
  int64_t size() const override { return 7; }
  int64_t identity(int64_t photo) const override { return photo / 2; }
  int64_t identities() const override { return 4; }
  std::string identity_name(int64_t identity) const override { return std::to_string(identity); }
  std::string photo_name(int64_t photo) const override { return std::to_string(photo); }
  Image load(int64_t photo) const override {
    if (photo == broken) throw DataError("photo " + std::to_string(photo) + " is broken");
    return picture(static_cast<uint64_t>(photo));
  }
  int64_t broken = -1;
};

TEST(EmbedDataset, InOrderWhateverTheBatch) {
  const auto model = make_model(card().spec, 1);
  Pictures pictures;
  const Tensor all = embed_dataset(*model, pictures, card().preprocess, 64);
  ASSERT_EQ(all.shape(), (Shape{7, 16}));
  EXPECT_FALSE(all.requires_grad());
  EXPECT_TRUE(model->training()) << "put back into the mode it was in";
  test::expect_close(embed_dataset(*model, pictures, card().preprocess, 3), all, 1e-5);
  const Image third = picture(3);
  test::expect_close(make_embedder().embed({third}),
                     Tensor::from_data(std::span<const float>(all.data<float>() + 48, 16), {1, 16}), 1e-5);
  pictures.broken = 5;
  test::expect_error<DataError>([&] { embed_dataset(*model, pictures, card().preprocess); }, {"photo 5"});
  EXPECT_TRUE(model->training());
}

}  // namespace
}  // namespace tern
