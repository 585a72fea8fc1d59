#include "tern/models/registry.h"

#include "tern/models/face_net.h"
#include "tern/models/iresnet.h"
#include "tern/models/mobilefacenet.h"
#include "tern/models/resnet.h"
#include "tern/models/tiny.h"
#include "tern/nn/init.h"

namespace tern {
namespace {

struct Entry {
  ModelSpec native;  // what the network was designed for
  int min_size, max_size;
  std::unique_ptr<nn::Module> (*make)(const ModelSpec&);
};

using Made = std::unique_ptr<nn::Module>;

Made make_face_net(const ModelSpec& s) {
  return std::make_unique<models::FaceNet>(
      models::FaceNetOptions{.channels = s.channels, .embedding_dim = s.embedding_dim});
}
Made make_resnet18(const ModelSpec& s) {
  return std::make_unique<models::ResNet18>(
      models::ResNet18Options{.channels = s.channels, .embedding_dim = s.embedding_dim});
}
Made make_iresnet18(const ModelSpec& s) {
  return std::make_unique<models::IResNet18>(
      models::IResNet18Options{.channels = s.channels, .size = s.size, .embedding_dim = s.embedding_dim});
}
Made make_mobilefacenet(const ModelSpec& s) {
  return std::make_unique<models::MobileFaceNet>(
      models::MobileFaceNetOptions{.channels = s.channels, .size = s.size, .embedding_dim = s.embedding_dim});
}
Made make_tiny(const ModelSpec& s) {
  return std::make_unique<models::Tiny>(
      models::TinyOptions{.channels = s.channels, .embedding_dim = s.embedding_dim});
}

const Entry kModels[] = {
    {{.arch = "face_net", .size = 64, .channels = 3, .embedding_dim = 128}, 32, 160, make_face_net},
    {{.arch = "resnet18", .size = 112, .channels = 3, .embedding_dim = 128}, 32, 512, make_resnet18},
    {{.arch = "iresnet18", .size = 112, .channels = 3, .embedding_dim = 128}, 32, 512, make_iresnet18},
    {{.arch = "mobilefacenet", .size = 112, .channels = 3, .embedding_dim = 128},
     32,
     512,
     make_mobilefacenet},
    {{.arch = "tiny", .size = 64, .channels = 1, .embedding_dim = 64}, 32, 512, make_tiny},
};

const Entry& find_model(const std::string& arch) {
  for (const Entry& entry : kModels) {
    if (arch == entry.native.arch) return entry;
  }
  std::string known;
  for (const Entry& entry : kModels) known += concat_text(known.empty() ? "" : ", ", entry.native.arch);
  throw UsageError(
      concat_text("unknown architecture '", escaped(arch.substr(0, 64)), "'; hint: one of ", known));
}

}  // namespace

std::vector<std::string> known_models() {
  std::vector<std::string> names;
  for (const Entry& entry : kModels) names.push_back(entry.native.arch);
  return names;
}

ModelSpec native_spec(const std::string& arch) { return find_model(arch).native; }

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
