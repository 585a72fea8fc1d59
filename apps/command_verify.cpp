// tern verify: do two photos show the same person?   tern triplet: the three-photo check of a hand-held
// scanner.

#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tern/apps/commands.h"
#include "tern/core/error.h"
#include "tern/data/image.h"
#include "tern/models/embedder.h"

namespace tern::app {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> photos;
  bool exit_code = false;
  double threshold = -1;  // below 0: the model's own
};

int verdict_code(const Options& options, bool positive) { return options.exit_code && !positive ? 1 : 0; }

Embedder load(const Options& options) {
  LoadedModel model = load_model(options.model);
  if (options.threshold >= 0) {
    if (!model.card.rule) model.card.rule.emplace();
    model.card.rule->threshold = options.threshold;
    model.card.rule->source = "--threshold";
  }
  return Embedder(std::move(model));
}

int run_verify(const GlobalOptions& global, const Options& options) {
  const Embedder face = load(options);
  const auto a = read_photo_bytes(options.photos[0]), b = read_photo_bytes(options.photos[1]);
  const VerifyResult v = face.verify({a, options.photos[0]}, {b, options.photos[1]});
  if (global.json) {
    nlohmann::ordered_json out{{"same", v.same},     {"distance", v.distance},     {"threshold", v.threshold},
                               {"margin", v.margin}, {"confidence", v.confidence}, {"ms", v.ms}};
    std::cout << out.dump() << '\n';
  } else {
    std::cout << fmt::format("{} d={:.4f} threshold={:.4f} margin={:+.4f} P(same)={:.3f} ms={:.1f}\n",
                             v.same ? "same" : "different", v.distance, v.threshold, v.margin, v.confidence,
                             v.ms);
  }
  return verdict_code(options, v.same);
}

std::string verdict_text(const TripletResult& v) {
  const char* positive =
      v.same_person ? "positive is the anchor's person" : "positive is NOT the anchor's person";
  const char* negative = v.negative_is_other ? "negative is someone else" : "negative is NOT someone else";
  return fmt::format("{}: {}, {}", v.satisfied ? "satisfied" : "not satisfied", positive, negative);
}

int run_triplet(const GlobalOptions& global, const Options& options) {
  const Embedder face = load(options);
  std::vector<std::vector<uint8_t>> bytes;
  for (const auto& photo : options.photos) bytes.push_back(read_photo_bytes(photo));
  const TripletResult v = face.check_triplet({bytes[0], options.photos[0]}, {bytes[1], options.photos[1]},
                                             {bytes[2], options.photos[2]});
  if (global.json) {
    nlohmann::ordered_json out{{"same_person", v.same_person},
                               {"negative_is_other", v.negative_is_other},
                               {"satisfied", v.satisfied},
                               {"d_ap", v.d_ap},
                               {"d_an", v.d_an},
                               {"d_pn", v.d_pn},
                               {"margin", v.margin},
                               {"threshold", v.threshold},
                               {"ms", v.ms}};
    std::cout << out.dump() << '\n';
  } else {
    std::cout << fmt::format(
        "{}\nd_ap={:.4f} d_an={:.4f} d_pn={:.4f} margin={:+.4f} threshold={:.4f} ms={:.1f}\n",
        verdict_text(v), v.d_ap, v.d_an, v.d_pn, v.margin, v.threshold, v.ms);
  }
  return verdict_code(options, v.satisfied);
}

CLI::App* add(Cli& cli, const char* name, const char* purpose, const char* examples, int photos,
              const char* help, const std::shared_ptr<Options>& options, std::function<int()> run) {
  CLI::App* sub = cli.command(name, purpose, examples, std::move(run));
  sub->add_option("model", options->model, "A model file")->required();
  sub->add_option("photos", options->photos, help)->required()->expected(photos);
  sub->add_flag("--exit-code", options->exit_code, "Exit with 1 for a negative verdict");
  Cli::number(sub, "--threshold", options->threshold, {0, 2},
              "Use this distance instead of the model's threshold")
      ->default_str("the model's");
  return sub;
}

}  // namespace

void add_verify(Cli& cli) {
  auto options = std::make_shared<Options>();
  add(cli, "verify", "Do two photos show the same person?",
      "  tern verify model.safetensors a.jpg b.jpg\n  tern verify model.safetensors a.jpg b.jpg --json "
      "--exit-code",
      2, "Two photos: JPEG, PNG, PGM or PPM", options,
      [&cli, options] { return run_verify(cli.global, *options); });
}

void add_triplet(Cli& cli) {
  auto options = std::make_shared<Options>();
  add(cli, "triplet", "Is the second photo the first one's person, and the third somebody else?",
      "  tern triplet model.safetensors passport.jpg traveller.jpg stranger.jpg", 3,
      "Three photos: anchor, positive, negative", options,
      [&cli, options] { return run_triplet(cli.global, *options); });
}

}  // namespace tern::app
