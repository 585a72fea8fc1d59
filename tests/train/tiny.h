#pragma once
// A network and people small enough to train in a test.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include "tern/core/error.h"
#include "tern/core/philox.h"
#include "tern/data/dataset.h"
#include "tern/nn/init.h"
#include "tern/nn/layers.h"
#include "tern/ops/pointwise.h"
#include "tern/ops/pool2d.h"
#include "tern/ops/shape_ops.h"
#include "tern/train/options.h"

namespace tern::test {

// 16 x 16 photos: a colour gradient that is the person, brightness and noise that are the photo.
class TinyPeople final : public Dataset {
 public:
  TinyPeople(int64_t people, int64_t photos, int64_t first = 0, bool all_alike = false)
      : people_(people), photos_(photos), first_(first), all_alike_(all_alike) {}
  int64_t size() const override { return people_ * photos_; }
  int64_t identity(int64_t i) const override { return i / photos_; }
  int64_t identities() const override { return people_; }
  std::string identity_name(int64_t id) const override { return concat_text("p", first_ + id); }
  std::string photo_name(int64_t i) const override {
    return concat_text(identity_name(identity(i)), "/", i % photos_);
  }
  Image load(int64_t i) const override;

 private:
  int64_t people_, photos_, first_;
  bool all_alike_;
};

inline Image TinyPeople::load(int64_t i) const {
  constexpr int kSide = 16;
  Image image = make_image(kSide, kSide, 3, 128);
  if (all_alike_) return image;
  PhiloxSequence person(5, RandomStream::Test, static_cast<uint64_t>(first_ + identity(i)));
  PhiloxSequence photo(6, RandomStream::Test, static_cast<uint64_t>(first_ * photos_ + i));
  float slope[3][2];
  for (auto& s : slope) s[0] = person.uniform(-6, 6), s[1] = person.uniform(-6, 6);
  const float light = photo.uniform(-20, 20);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      for (int c = 0; c < 3; ++c) {
        const float v = 128 + light + slope[c][0] * (static_cast<float>(x) - 7.5f) +
                        slope[c][1] * (static_cast<float>(y) - 7.5f) + photo.uniform(-25, 25);
        image.row(y)[x * 3 + c] = static_cast<uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
      }
    }
  }
  return image;
}

// Every kind of layer with a state of its own: convolution, batch norm, dropout, linear.
struct TinyNet final : nn::Module {
  nn::Conv2d conv1{{.in = 3, .out = 8, .kernel = 3, .padding = 1, .bias = false}};
  nn::BatchNorm2d bn{{.channels = 8}};
  nn::Conv2d conv2{{.in = 8, .out = 16, .kernel = 3, .stride = 2, .padding = 1}};
  nn::Dropout dropout{{.p = 0.1}};
  nn::Linear fc{{.in = 16 * 16, .out = 16}};

  Tensor forward(const Tensor& x) override {
    Tensor y = max_pool2d(relu(bn(conv1(x))), {.kernel = 2});
    return fc(dropout(flatten(relu(conv2(y)))));
  }
  void visit(nn::Visitor& v) override {
    v.child("conv1", conv1), v.child("bn", bn), v.child("conv2", conv2), v.child("dropout", dropout);
    v.child("fc", fc);
  }
};

// The same initial values each time.
inline std::unique_ptr<TinyNet> tiny_net() {
  const nn::InitScope seed(3);
  return std::make_unique<TinyNet>();
}

inline TrainOptions tiny_options(int64_t steps) {
  TrainOptions o{.steps = steps, .p = 8, .k = 4};
  o.preprocess.size = 16;
  o.lr = 3e-3;
  o.workers = 0;
  o.log_every = 5;
  return o;
}

// A fresh folder of the running test, in memory where the system offers that: fsync on a busy disk takes
// long.
inline std::string scratch_folder() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  const std::string root = std::filesystem::exists("/dev/shm") ? "/dev/shm" : testing::TempDir();
  const std::string folder =
      concat_text(root, "/tern_", getpid(), "_", info->test_suite_name(), "_", info->name());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

inline std::string file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// Name -> content of the files of a folder.
inline std::map<std::string, std::string> folder_bytes(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files[entry.path().filename().string()] = file_bytes(entry.path().string());
  }
  return files;
}

}  // namespace tern::test
