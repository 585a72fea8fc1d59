#pragma once
// What a file or folder is, in rows of a table: the answer of `tern info FILE`.

#include <string>
#include <utility>
#include <vector>

#include "tern/models/registry.h"

namespace tern::app {

using Rows = std::vector<std::pair<std::string, std::string>>;

// A network at a size: parameters, multiply-adds.
Rows describe_network(const ModelSpec& spec);

// A model file, a training state, any other safetensors file (its tensors), a photo, a list of pairs or of
// people, a run directory, or a folder of photos; told apart by what is inside, never by the name. Files are
// read whole, so that damage is found. Throws what their readers throw, DataError for anything else.
Rows describe_path(const std::string& path);

}  // namespace tern::app
