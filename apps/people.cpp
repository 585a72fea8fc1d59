#include "tern/apps/people.h"

#include <fmt/format.h>

#include "tern/core/error.h"
#include "tern/data/pairs.h"

namespace tern::app {

void add_people_options(CLI::App* app, PeopleOptions& options, bool synthetic) {
  app->add_option("--data", options.data,
                  synthetic ? "Photos as root/PERSON/PHOTO; without it synthetic people are drawn"
                            : "Photos as root/PERSON/PHOTO")
      ->type_name("DIR");
  app->add_option("--identities", options.identities,
                  "Only the people of this list: one a line, or a pairs file, meaning every name in it")
      ->type_name("FILE");
  app->add_option("--exclude-identities", options.exclude, "Not the people of this list")->type_name("FILE");
  if (!synthetic) return;
  Cli::number(app, "--synthetic-identities", options.synthetic.identities, {2, 1e7}, "Synthetic people");
  Cli::number(app, "--synthetic-photos", options.synthetic.photos, {2, 1e5}, "Photos of each");
  Cli::number(app, "--synthetic-first", options.synthetic.first_identity, {0, 2e8},
              "Number of the first person");
  app->add_option(
         "--same", options.same,
         "Cues of the synthetic people made the same for everybody: outline, eyes, nose-mouth, hair, "
         "coloring, all")
      ->type_name("CUES");
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
