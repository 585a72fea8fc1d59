// tern triplet: the three-photo check of a hand-held scanner.

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tern/apps/commands.h"
#include "tern/apps/verify_options.h"
#include "tern/apps/watch.h"
#include "tern/core/error.h"
#include "tern/data/image.h"
#include "tern/train/signals.h"

namespace tern::app {
namespace {

struct TripletOptions {
  VerdictOptions verdict;
  std::array<std::string, 3> photos;
  std::string watch;
};

TripletResult check_photos(const Embedder& face, const std::array<std::string, 3>& paths) {
  std::array<std::vector<uint8_t>, 3> bytes;
  for (size_t i = 0; i < 3; ++i) bytes[i] = read_photo_bytes(paths[i]);
  return face.check_triplet({bytes[0], paths[0]}, {bytes[1], paths[1]}, {bytes[2], paths[2]});
}

nlohmann::ordered_json to_json(const TripletResult& v) {
  return {{"same_person", v.same_person},
          {"negative_is_other", v.negative_is_other},
          {"satisfied", v.satisfied},
          {"d_ap", v.d_ap},
          {"d_an", v.d_an},
          {"d_pn", v.d_pn},
          {"margin", v.margin},
          {"threshold", v.threshold},
          {"ms", v.ms}};
}

std::string verdict_text(const TripletResult& v) {
  const char* positive =
      v.same_person ? "positive is the anchor's person" : "positive is NOT the anchor's person";
  const char* negative = v.negative_is_other ? "negative is someone else" : "negative is NOT someone else";
  return fmt::format("{}: {}, {}", v.satisfied ? "satisfied" : "not satisfied", positive, negative);
}

std::string numbers_text(const TripletResult& v) {
  return fmt::format("d_ap={:.4f} d_an={:.4f} d_pn={:.4f} margin={:+.4f} threshold={:.4f} ms={:.1f}", v.d_ap,
                     v.d_an, v.d_pn, v.margin, v.threshold, v.ms);
}

// One trio that was dropped: a line or an object, whatever happens to its photos.
void answer(const GlobalOptions& global, const Embedder& face, const Trio& trio) {
  nlohmann::ordered_json out{{"name", trio.name}};
  std::string line = escaped(trio.name) + ": ";
  try {
    const TripletResult v = check_photos(face, trio.photos);
    out.update(to_json(v));
    line += verdict_text(v) + "  " + numbers_text(v);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::Data && error.kind() != ErrorKind::Io) throw;
    out["error"] = error.what();
    line += std::string("error: ") + error.what();
  }
  std::cout << (global.json ? out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                            : line)
            << std::endl;  // who waits for it reads it now
  check<IoError>(bool(std::cout), "triplet: cannot write the answer");
}

int watch(const GlobalOptions& global, const TripletOptions& options, const Embedder& face) {
  SignalGuard signals;
  TrioFolder folder(options.watch);
  if (!global.quiet) std::cerr << "watching " << escaped(options.watch) << "; Ctrl-C ends\n";
  while (SignalGuard::received() == 0) {
    for (const Trio& trio : folder.take_new()) answer(global, face, trio);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return 128 + SignalGuard::received();
}

int run_triplet(const GlobalOptions& global, const Command& command, const TripletOptions& options) {
  constexpr const char* kNames[] = {"ANCHOR", "POSITIVE", "NEGATIVE"};
  for (size_t i = 0; i < 3; ++i) {
    check(options.watch.empty() || options.photos[i].empty(),
          "triplet: --watch takes its photos from the folder, not from the command line");
    if (options.watch.empty() && options.photos[i].empty()) command.refuse_missing(kNames[i]);
  }
  const Embedder face = load_embedder(options.verdict);
  if (!options.watch.empty()) return watch(global, options, face);
  const TripletResult v = check_photos(face, options.photos);
  if (global.json) std::cout << to_json(v).dump() << '\n';
  else std::cout << verdict_text(v) << '\n' << numbers_text(v) << '\n';
  return verdict_code(options.verdict, v.satisfied);
}

}  // namespace

void add_triplet(Cli& cli) {
  auto options = std::make_shared<TripletOptions>();
  Command sub = cli.command(
      "triplet", "Is the second photo the first one's person, and the third somebody else?",
      "  tern triplet model.safetensors passport.jpg traveller.jpg stranger.jpg\n"
      "  tern triplet model.safetensors --watch inbox --json\n"
      "--watch answers for each trio in the folder and for each one dropped there later: "
      "inbox/NAME/anchor.jpg,\n"
      "positive.jpg and negative.jpg, or inbox/NAME-anchor.jpg and so on. One line or JSON object a trio; a\n"
      "photo that cannot be read gives \"error\" instead of a verdict. Ctrl-C ends it, with exit code 130.",
      [&cli, options](Command& command) { return run_triplet(cli.global, command, *options); });
  sub.text("MODEL", options->verdict.model, "A model file").required();
  sub.text("ANCHOR", options->photos[0], "A photo of a person: JPEG, PNG, PGM or PPM");
  sub.text("POSITIVE", options->photos[1], "Said to be the same person");
  sub.text("NEGATIVE", options->photos[2], "Said to be somebody else");
  sub.text("--watch", options->watch, "Answer for each trio of photos dropped into this folder").type("DIR");
  add_verdict_options(sub, options->verdict);
}

}  // namespace tern::app
