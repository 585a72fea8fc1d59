#pragma once
// Synthetic people: faces drawn from numbers, so that training and judging a face network needs no downloaded
// photo. A photo is a pure function of (seed, identity, photo) and the options below: the same bits for any
// number of threads and on every machine that runs the same build.
//
// Who somebody is lies in five cues: the outline of the head, eyes and brows, nose and mouth, hair,
// colouring. Pose, light, expression, glasses and coverings, clothes, background and camera change from photo
// to photo and say nothing about the person. A cue can be made the same for everybody: then only the other
// cues tell people apart.

#include <cstdint>
#include <string>
#include <string_view>

#include "tern/data/dataset.h"
#include "tern/data/image.h"

namespace tern {

struct SameCues {
  bool outline = false, eyes = false, nose_mouth = false, hair = false, coloring = false;

  // From "outline", "eyes", "nose-mouth", "hair", "coloring", "all" or several joined with commas; "" is
  // none. Throws UsageError for another name.
  static SameCues parse(std::string_view names);
  static SameCues all() { return {true, true, true, true, true}; }
};

struct SyntheticOptions {
  int size = 64;               // pixels on a side, 32 to 250
  uint64_t seed = 1;           // another seed, other people
  int64_t identities = 400;    // how many people, 1 to 2^28
  int64_t photos = 10;         // photos of each, 1 to 2^24
  int64_t first_identity = 0;  // number of the first person: disjoint ranges never share anybody
  SameCues same;
};

// Throws UsageError when an option is out of its range.
void check_options(const SyntheticOptions& options);

// One RGB photo, size x size. identity in [0, 2^28), photo in [0, 2^24); options.identities, photos and
// first_identity do not matter here.
Image draw_face(const SyntheticOptions& options, int64_t identity, int64_t photo);

// The people first_identity .. first_identity + identities - 1 as a data set; photos are drawn when asked
// for. Identity i of the data set is person first_identity + i; photo j of it has index i * photos + j.
class SyntheticDataset final : public Dataset {
 public:
  explicit SyntheticDataset(const SyntheticOptions& options);
  const SyntheticOptions& options() const { return options_; }

  int64_t size() const override { return options_.identities * options_.photos; }
  int64_t identity(int64_t i) const override { return i / options_.photos; }
  int64_t identities() const override { return options_.identities; }
  std::string identity_name(int64_t id) const override;  // "person_000012", counted from person 0 of the seed
  std::string photo_name(int64_t i) const override;      // "person_000012/0003"
  Image load(int64_t i) const override;

 private:
  SyntheticOptions options_;
};

}  // namespace tern
