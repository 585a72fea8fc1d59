#include "tern/data/synthetic.h"

#include "tern/core/error.h"
#include "tern/data/face_painter.h"

namespace tern {

namespace {

constexpr int64_t kMaxIdentities = int64_t{1} << 28, kMaxPhotos = int64_t{1} << 24;

std::string padded(int64_t number, size_t digits) {
  std::string text = std::to_string(number);
  return text.size() < digits ? std::string(digits - text.size(), '0') + text : text;
}

}  // namespace

SameCues SameCues::parse(std::string_view names) {
  SameCues same;
  while (!names.empty()) {
    const size_t comma = names.find(',');
    const std::string_view name = names.substr(0, comma);
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
    if (name == "outline") same.outline = true;
    else if (name == "eyes") same.eyes = true;
    else if (name == "nose-mouth") same.nose_mouth = true;
    else if (name == "hair") same.hair = true;
    else if (name == "coloring") same.coloring = true;
    else if (name == "all") same = all();
    else
      check(false, "synthetic: no cue is called '", escaped(name),
            "'; hint: use outline, eyes, nose-mouth, hair, coloring or all");
  }
  return same;
}

void check_options(const SyntheticOptions& o) {
  check(o.size >= 32 && o.size <= 250, "synthetic: size is ", o.size, ", allowed are 32 to 250 pixels");
  check(o.photos >= 1 && o.photos <= kMaxPhotos, "synthetic: photos is ", o.photos, ", allowed are 1 to ",
        kMaxPhotos);
  check(o.first_identity >= 0 && o.identities >= 1 && o.first_identity <= kMaxIdentities - o.identities,
        "synthetic: people ", o.first_identity, " and ", o.identities, " from there on, allowed are 0 to ",
        kMaxIdentities - 1);
}

Image draw_face(const SyntheticOptions& options, int64_t identity, int64_t photo) {
  check(options.size >= 32 && options.size <= 250, "synthetic: size is ", options.size,
        ", allowed are 32 to 250 pixels");
  check(identity >= 0 && identity < kMaxIdentities && photo >= 0 && photo < kMaxPhotos,
        "synthetic: no photo ", photo, " of person ", identity);
  const faces::Person person = faces::person_of(options.seed, identity, options.same);
  const faces::Scene scene = faces::scene_of(options.seed, identity, photo);
  return faces::FacePainter(person, scene, options.size).photo();
}

SyntheticDataset::SyntheticDataset(const SyntheticOptions& options) : options_(options) {
  check_options(options);
}

std::string SyntheticDataset::identity_name(int64_t id) const {
  return "person_" + padded(options_.first_identity + id, 6);
}

std::string SyntheticDataset::photo_name(int64_t i) const {
  return identity_name(identity(i)) + "/" + padded(i % options_.photos, 4);
}

Image SyntheticDataset::load(int64_t i) const {
  check(i >= 0 && i < size(), "synthetic: no photo ", i, ", there are ", size());
  return draw_face(options_, options_.first_identity + identity(i), i % options_.photos);
}

}  // namespace tern
