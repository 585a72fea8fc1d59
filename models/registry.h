#pragma once
// Networks by name: what a model file and the command line's --arch mean.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tern/nn/module.h"

namespace tern {

struct ModelSpec {
  std::string arch = "face_net";
  int size = 64;     // side of the photos it takes, pixels
  int channels = 3;  // 1 grey, 3 colour
  int embedding_dim = 128;

  friend bool operator==(const ModelSpec&, const ModelSpec&) = default;
};

std::vector<std::string> known_models();

// The photos and embedding the network was designed for. Throws UsageError for an unknown arch.
ModelSpec native_spec(const std::string& arch);

// Throws UsageError for an unknown arch (the text lists the known ones), a size the network cannot take,
// channels other than 1 and 3, or an embedding of fewer than 2 or more than 4096 numbers.
void check_spec(const ModelSpec& spec);

// A fresh network in training mode; the seed decides its initial values. Takes [N,size,size,channels], gives
// [N,embedding_dim] with rows of length 1.
std::unique_ptr<nn::Module> make_model(const ModelSpec& spec, uint64_t seed);

}  // namespace tern
