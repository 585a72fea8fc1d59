#include "tern/apps/people.h"

#include <fmt/format.h>

#include "tern/core/error.h"
#include "tern/data/pairs.h"

namespace tern::app {

void add_people_options(Command& command, PeopleOptions& options, bool synthetic) {
  command
      .text("--data", options.data,
            synthetic ? "Photos as root/PERSON/PHOTO; without it synthetic people are drawn"
                      : "Photos as root/PERSON/PHOTO")
      .type("DIR");
  command
      .text("--identities", options.identities,
            "Only the people of this list: one a line, or a pairs file, meaning every name in it")
      .type("FILE");
  command.text("--exclude-identities", options.exclude, "Not the people of this list").type("FILE");
  if (!synthetic) return;
  command.number("--synthetic-identities", options.synthetic.identities, {2, 1e7}, "Synthetic people");
  command.number("--synthetic-photos", options.synthetic.photos, {2, 1e5}, "Photos of each");
  command.number("--synthetic-first", options.synthetic.first_identity, {0, 2e8},
                 "Number of the first person");
  command
      .text("--same", options.same,
            "Cues of the synthetic people made the same for everybody: outline, eyes, nose-mouth, hair, "
            "coloring, all")
      .type("CUES");
}

std::unique_ptr<Dataset> open_people(const PeopleOptions& options, std::vector<std::string>& notes) {
  if (options.data.empty()) {
    check(options.identities.empty() && options.exclude.empty(),
          "--identities and --exclude-identities name people of a folder; hint: give the folder with --data");
    SyntheticOptions synthetic = options.synthetic;
    synthetic.same = SameCues::parse(options.same);
    return std::make_unique<SyntheticDataset>(synthetic);
  }
  FolderOptions folder;
  if (!options.identities.empty()) folder.include = read_identities(options.identities);
  if (!options.exclude.empty()) folder.exclude = read_identities(options.exclude);
  auto people = std::make_unique<FolderDataset>(options.data, folder);
  if (!people->missing().empty())
    notes.push_back(fmt::format("{} people of {} are not in {}, the first is {}", people->missing().size(),
                                escaped(options.identities), escaped(options.data),
                                escaped(people->missing()[0])));
  if (people->passed_over() > 0)
    notes.push_back(
        fmt::format("{} files in {} are no photos", people->passed_over(), escaped(options.data)));
  return people;
}

}  // namespace tern::app
