#include "tern/models/registry.h"

#include "tern/models/face_net.h"
#include "tern/models/resnet.h"
#include "tern/nn/init.h"

namespace tern {
namespace {

struct Entry {
  const char* name;
  int min_size, max_size;
  std::unique_ptr<nn::Module> (*make)(const ModelSpec&);
};

const Entry kModels[] = {
    {"face_net", 32, 160,
     [](const ModelSpec& spec) -> std::unique_ptr<nn::Module> {
       return std::make_unique<models::FaceNet>(
           models::FaceNetOptions{.channels = spec.channels, .embedding_dim = spec.embedding_dim});
     }},
    {"resnet18", 32, 512,
     [](const ModelSpec& spec) -> std::unique_ptr<nn::Module> {
       return std::make_unique<models::ResNet18>(
           models::ResNet18Options{.channels = spec.channels, .embedding_dim = spec.embedding_dim});
     }},
};

const Entry& find_model(const std::string& arch) {
  for (const Entry& entry : kModels) {
    if (arch == entry.name) return entry;
  }
  std::string known;
  for (const Entry& entry : kModels) known += concat_text(known.empty() ? "" : ", ", entry.name);
  throw UsageError(
      concat_text("unknown architecture '", escaped(arch.substr(0, 64)), "'; hint: one of ", known));
}

}  // namespace

std::vector<std::string> known_models() {
  std::vector<std::string> names;
  for (const Entry& entry : kModels) names.emplace_back(entry.name);
  return names;
}

void check_spec(const ModelSpec& spec) {
  const Entry& entry = find_model(spec.arch);
  check(spec.size >= entry.min_size && spec.size <= entry.max_size, spec.arch, ": the photo size must be ",
        entry.min_size, " to ", entry.max_size, " pixels, got ", spec.size);
  check(spec.channels == 1 || spec.channels == 3, spec.arch, ": channels must be 1 or 3, got ",
        spec.channels);
  check(spec.embedding_dim >= 2 && spec.embedding_dim <= 4096, spec.arch,
        ": the embedding must have 2 to 4096 numbers, got ", spec.embedding_dim);
}

std::unique_ptr<nn::Module> make_model(const ModelSpec& spec, uint64_t seed) {
  check_spec(spec);
  const nn::InitScope scope(seed);
  return find_model(spec.arch).make(spec);
}

}  // namespace tern
