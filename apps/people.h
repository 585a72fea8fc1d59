#pragma once
// Where a command's photos come from: a folder or the synthetic people, narrowed by lists of identities, and
// split by identity into those trained on and those held out.

#include <memory>
#include <set>
#include <string>

#include "tern/apps/cli.h"
#include "tern/data/dataset.h"
#include "tern/data/synthetic.h"

namespace tern::app {

constexpr int kLargestFace = 250;  // pixels; the largest side that synthetic faces are drawn at

struct PeopleOptions {
  std::string data;                 // root/PERSON/PHOTO; empty: synthetic people
  std::string identities, exclude;  // list files
  SyntheticOptions synthetic{.size = 64, .seed = 1, .identities = 400, .photos = 10};
  std::string same;  // cues made the same
};

// --data, --identities, --exclude-identities and the --synthetic-... options.
void add_people_options(Command& command, PeopleOptions& options, bool synthetic);

// Throws DataError for a folder without people. Notes about names that are not there go to `notes`.
std::unique_ptr<Dataset> open_people(const PeopleOptions& options, std::vector<std::string>& notes);

}  // namespace tern::app
