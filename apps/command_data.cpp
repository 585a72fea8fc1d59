// tern data synth | check | split: draws synthetic people, audits a folder, splits people.

#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "tern/apps/commands.h"
#include "tern/apps/files.h"
#include "tern/core/error.h"
#include "tern/core/fs.h"
#include "tern/core/parallel.h"
#include "tern/data/dataset.h"
#include "tern/data/pairs.h"
#include "tern/data/split.h"
#include "tern/data/synthetic.h"

namespace tern::app {
namespace {

namespace fs = std::filesystem;

struct SynthOptions {
  std::string out, same, format = "jpg";
  SyntheticOptions faces{.size = 112, .seed = 1, .identities = 100, .photos = 10};
  int quality = 95;
};

void write_photo(const SynthOptions& options, const SyntheticDataset& people, int64_t photo) {
  const Image image = people.load(photo);
  const auto bytes = options.format == "png" ? write_png(image) : write_jpeg(image, options.quality);
  write_photo_file(options.out + "/" + people.photo_name(photo) + "." + options.format, bytes);
}

int run_synth(const GlobalOptions& global, SynthOptions& options) {
  options.faces.same = SameCues::parse(options.same);
  const SyntheticDataset people(options.faces);
  check(!fs::exists(options.out) || fs::is_empty(options.out), "data synth: ", escaped(options.out),
        " is not empty; hint: name a new folder");
  for (int64_t id = 0; id < people.identities(); ++id)
    make_folders(options.out + "/" + people.identity_name(id));
  parallel_for(people.size(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) write_photo(options, people, i);
  });
  if (global.json) {
    nlohmann::ordered_json out{
        {"folder", options.out}, {"people", people.identities()}, {"photos", people.size()}};
    std::cout << out.dump() << '\n';
  } else {
    std::cout << fmt::format("{} photos of {} people in {}\n", people.size(), people.identities(),
                             options.out);
  }
  return 0;
}

struct CheckOptions {
  std::string folder, against;
};

struct Audit {
  std::vector<std::string> unreadable, duplicates;
  int64_t one_photo = 0;
};

Audit audit(const FolderDataset& people) {
  Audit found;
  std::vector<uint64_t> hashes(static_cast<size_t>(people.size()));
  std::vector<std::string> problems(static_cast<size_t>(people.size()));
  parallel_for(people.size(), 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      try {
        hashes[static_cast<size_t>(i)] = people.content_hash(i);
        people.load(i);
      } catch (const Error& error) {
        problems[static_cast<size_t>(i)] = error.what();
      }
    }
  });
  std::map<uint64_t, int64_t> first;
  for (int64_t i = 0; i < people.size(); ++i) {
    const auto at = static_cast<size_t>(i);
    if (!problems[at].empty()) {
      found.unreadable.push_back(problems[at]);
      continue;
    }
    const auto [entry, fresh] = first.try_emplace(hashes[at], i);
    if (!fresh) found.duplicates.push_back(people.photo_name(i) + " = " + people.photo_name(entry->second));
  }
  for (const auto& photos : photos_of_identities(people)) found.one_photo += photos.size() == 1;
  return found;
}

int run_check(const GlobalOptions& global, const CheckOptions& options) {
  const FolderDataset people(options.folder, {.min_identities = 1});
  const Audit found = audit(people);
  std::vector<Leak> leaks;
  if (!options.against.empty())
    leaks = find_leaks(people, FolderDataset(options.against, {.min_identities = 1}));
  if (global.json) {
    nlohmann::ordered_json out{{"people", people.identities()},
                               {"photos", people.size()},
                               {"unreadable", found.unreadable.size()},
                               {"duplicates", found.duplicates.size()},
                               {"one_photo_identities", found.one_photo},
                               {"other_files", people.passed_over()},
                               {"shared", leaks.size()}};
    std::cout << out.dump() << '\n';
  } else {
    std::cout << fmt::format("{:<28} {:>8}\n", "people", people.identities())
              << fmt::format("{:<28} {:>8}\n", "photos", people.size())
              << fmt::format("{:<28} {:>8}\n", "people with one photo", found.one_photo)
              << fmt::format("{:<28} {:>8}\n", "unreadable photos", found.unreadable.size())
              << fmt::format("{:<28} {:>8}\n", "duplicate photos", found.duplicates.size())
              << fmt::format("{:<28} {:>8}\n", "files that are no photos", people.passed_over());
    if (!options.against.empty())
      std::cout << fmt::format("{:<28} {:>8}\n", "shared with the other set", leaks.size());
    for (const auto& text : found.unreadable) std::cout << "unreadable: " << text << '\n';
    for (const auto& text : found.duplicates) std::cout << "duplicate: " << escaped(text) << '\n';
    for (const auto& leak : leaks)
      std::cout << (leak.kind == Leak::Kind::Identity ? "shared person: " : "shared photo: ")
                << escaped(leak.a) << " = " << escaped(leak.b) << '\n';
  }
  return found.unreadable.empty() && leaks.empty() ? 0 : static_cast<int>(ErrorKind::Data);
}

struct SplitOptions {
  std::string folder, out;
  double fraction = 0.2;
  uint64_t seed = 1;
};

int run_split(const GlobalOptions& global, const SplitOptions& options) {
  const FolderDataset people(options.folder);
  const IdentitySplit split = split_identities(people.identities(), options.fraction, options.seed);
  const auto write = [&](const std::string& file, const std::vector<int64_t>& identities) {
    std::string text;
    for (const int64_t id : identities) text += people.identity_name(id) + "\n";
    write_file_atomically(file, text);
  };
  make_folders(options.out);
  write(options.out + "/train.txt", split.train);
  write(options.out + "/held-out.txt", split.held_out);
  if (global.json) {
    nlohmann::ordered_json out{{"train", split.train.size()}, {"held_out", split.held_out.size()}};
    std::cout << out.dump() << '\n';
  } else {
    std::cout << fmt::format("{}/train.txt: {} people\n{}/held-out.txt: {} people\n", options.out,
                             split.train.size(), options.out, split.held_out.size());
  }
  return 0;
}

}  // namespace

void add_data(Cli& cli) {
  Command data = cli.command("data", "Draw synthetic people, audit a folder of photos, split people",
                             "  tern data synth faces --identities 50 --photos 8 --size 250\n"
                             "  tern data check photos --against other-photos\n"
                             "  tern data split photos --fraction 0.2 --out lists",
                             [](Command&) { return 0; });

  auto synth = std::make_shared<SynthOptions>();
  Command sub = data.command("synth", "Draw synthetic people into FOLDER/PERSON/PHOTO",
                             "  tern data synth faces --identities 50 --photos 8 --size 250",
                             [&cli, synth](Command&) { return run_synth(cli.global, *synth); });
  sub.text("FOLDER", synth->out, "A new or empty folder").required();
  sub.number("--identities", synth->faces.identities, {1, 1e8}, "People");
  sub.number("--photos", synth->faces.photos, {1, 1e6}, "Photos of each");
  sub.number("--size", synth->faces.size, {32, 250}, "Pixels on a side");
  sub.number("--first-identity", synth->faces.first_identity, {0, 2e8}, "Number of the first person");
  sub.seed(synth->faces.seed, "Another seed, other people");
  sub.text("--same", synth->same,
           "Cues made the same for everybody: outline, eyes, nose-mouth, hair, coloring, all")
      .type("CUES");
  sub.choice("--format", synth->format, {"jpg", "png"}, "File format");
  sub.number("--quality", synth->quality, {1, 100}, "JPEG quality");

  auto checked = std::make_shared<CheckOptions>();
  sub = data.command("check",
                     "Audit a folder: unreadable and duplicate photos, one-photo people, shared people",
                     "  tern data check photos\n  tern data check photos --against other-photos --json\n"
                     "Exit code 3 if a photo is unreadable or a person or photo is shared.",
                     [&cli, checked](Command&) { return run_check(cli.global, *checked); });
  sub.text("FOLDER", checked->folder, "Photos as FOLDER/PERSON/PHOTO").required();
  sub.text("--against", checked->against, "Another folder that must share no person and no photo")
      .type("DIR");

  auto split = std::make_shared<SplitOptions>();
  sub = data.command("split", "Write lists of people for training and testing; nobody is on both",
                     "  tern data split photos --fraction 0.2 --out lists\n"
                     "  tern train --data photos --identities lists/train.txt",
                     [&cli, split](Command&) { return run_split(cli.global, *split); });
  sub.text("FOLDER", split->folder, "Photos as FOLDER/PERSON/PHOTO").required();
  sub.text("--out", split->out, "Folder for train.txt and held-out.txt (required)").required().type("DIR");
  sub.number("--fraction", split->fraction, {0.01, 0.99}, "Share of the people held out");
  sub.seed(split->seed, "Another seed, another draw");
}

}  // namespace tern::app
