#pragma once
// A data set in memory: people with given numbers of photos, each photo a pattern of its own.

#include <atomic>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tern/core/error.h"
#include "tern/core/philox.h"
#include "tern/data/dataset.h"

namespace tern::test {

class FakeDataset final : public Dataset {
 public:
  explicit FakeDataset(std::vector<int> photos_of_each, int width = 40, int height = 48)
      : people_(static_cast<int64_t>(photos_of_each.size())), width_(width), height_(height) {
    for (size_t i = 0; i < photos_of_each.size(); ++i)
      for (int j = 0; j < photos_of_each[i]; ++j) identity_.push_back(static_cast<int64_t>(i));
  }
  int64_t size() const override { return static_cast<int64_t>(identity_.size()); }
  int64_t identity(int64_t photo) const override { return identity_[static_cast<size_t>(photo)]; }
  int64_t identities() const override { return people_; }
  std::string identity_name(int64_t identity) const override { return concat_text("p", identity); }
  std::string photo_name(int64_t photo) const override {
    return concat_text("p", identity(photo), "/", photo, ".fake");
  }
  Image load(int64_t photo) const override {
    ++loads;
    check<DataError>(!broken.count(photo), photo_name(photo), ": damaged on purpose");
    Image image = make_image(width_, height_, 3);
    PhiloxSequence random(7, RandomStream::Test, static_cast<uint64_t>(photo));
    for (uint8_t& sample : image.pixels) sample = static_cast<uint8_t>(random.next());
    return image;
  }

  std::set<int64_t> broken;
  mutable std::atomic<int64_t> loads{0};

 private:
  int64_t people_;
  int width_, height_;
  std::vector<int64_t> identity_;
};

}  // namespace tern::test
