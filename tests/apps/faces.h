#pragma once
// Models and photos for the tests of the command line, made in memory in a few milliseconds.

#include <string>
#include <vector>

#include "tern/core/fs.h"
#include "tern/data/synthetic.h"
#include "tern/models/model_file.h"
#include "tests/apps/command.h"

namespace tern::test {

inline std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

// An untrained network that takes photos of 32 x 32 pixels, with a threshold.
inline ModelCard small_card() {
  ModelCard card;
  card.spec = {.arch = "face_net", .size = 32, .channels = 3, .embedding_dim = 8};
  card.preprocess = {.size = 32, .channels = 3};
  card.training_margin = 0.2;
  card.rule = DecisionRule{.threshold = 0.5,
                           .far = 0.1,
                           .tar = 0.9,
                           .same_pairs = 10,
                           .different_pairs = 20,
                           .intercept = 4,
                           .slope = -8,
                           .source = "a test"};
  return card;
}

inline void write_model(const std::string& path) {
  const ModelCard card = small_card();
  save_model(path, *make_model(card.spec, 1), card);
}

inline std::string jpeg(int64_t person, int64_t photo, int size = 48) {
  return text_of(write_jpeg(draw_face({.size = size}, person, photo)));
}

// root/p0/0.jpg ...
inline void write_people(const std::string& root, int people, int photos) {
  for (int person = 0; person < people; ++person)
    for (int photo = 0; photo < photos; ++photo)
      write_text(root + "/p" + std::to_string(person) + "/" + std::to_string(photo) + ".jpg",
                 jpeg(person, photo));
}

// The JPEG with another width and height in its frame header.
inline std::string with_size(std::string file, int width, int height) {
  for (size_t at = 2; at + 9 < file.size();) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(file[at + i]); };
    if (byte(1) >= 0xC0 && byte(1) <= 0xC2) {
      file[at + 5] = static_cast<char>(height >> 8), file[at + 6] = static_cast<char>(height & 255);
      file[at + 7] = static_cast<char>(width >> 8), file[at + 8] = static_cast<char>(width & 255);
      return file;
    }
    at += 2 + static_cast<size_t>(byte(2) << 8 | byte(3));
  }
  return file;
}

}  // namespace tern::test
