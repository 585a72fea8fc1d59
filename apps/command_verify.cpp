// tern verify: do two photos show the same person?

#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tern/apps/commands.h"
#include "tern/apps/verify_options.h"
#include "tern/data/image.h"

namespace tern::app {
namespace {

struct VerifyOptions {
  VerdictOptions verdict;
  std::string a, b;
};

int run_verify(const GlobalOptions& global, const VerifyOptions& options) {
  const Embedder face = load_embedder(options.verdict);
  const auto a = read_photo_bytes(options.a), b = read_photo_bytes(options.b);
  const VerifyResult v = face.verify({a, options.a}, {b, options.b});
  if (global.json) {
    nlohmann::ordered_json out{{"same", v.same},     {"distance", v.distance},     {"threshold", v.threshold},
                               {"margin", v.margin}, {"confidence", v.confidence}, {"ms", v.ms}};
    std::cout << out.dump() << '\n';
  } else {
    std::cout << fmt::format("{} d={:.4f} threshold={:.4f} margin={:+.4f} P(same)={:.3f} ms={:.1f}\n",
                             v.same ? "same" : "different", v.distance, v.threshold, v.margin, v.confidence,
                             v.ms);
  }
  return verdict_code(options.verdict, v.same);
}

}  // namespace

void add_verdict_options(Command& command, VerdictOptions& options) {
  command.flag("--exit-code", options.exit_code, "Exit with 1 for a negative verdict");
  command
      .number("--threshold", options.threshold, {0, 2},
              "Largest distance of one person's photos, instead of the model's")
      .show_default("the model's");
}

Embedder load_embedder(const VerdictOptions& options) {
  LoadedModel model = load_model(options.model);
  if (options.threshold >= 0) {
    if (!model.card.rule) model.card.rule.emplace();
    model.card.rule->threshold = options.threshold;
    model.card.rule->source = "--threshold";
  }
  return Embedder(std::move(model));
}

void add_verify(Cli& cli) {
  auto options = std::make_shared<VerifyOptions>();
  Command sub = cli.command("verify", "Do two photos show the same person?",
                            "  tern verify model.safetensors a.jpg b.jpg\n"
                            "  tern verify model.safetensors a.jpg b.jpg --json --exit-code\n"
                            "Distances go from 0 (the same photo) to 2; the same person: distance <= "
                            "threshold.",
                            [&cli, options](Command&) { return run_verify(cli.global, *options); });
  sub.text("MODEL", options->verdict.model, "A model file").required();
  sub.text("A", options->a, "A photo: JPEG, PNG, PGM or PPM").required();
  sub.text("B", options->b, "Another").required();
  add_verdict_options(sub, options->verdict);
}

}  // namespace tern::app
