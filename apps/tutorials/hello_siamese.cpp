// A siamese network in thirty lines: two convolutions, the triplet loss, and an accuracy on people never
// seen. One network embeds every photo, so anchor, positive and negative share its weights by construction;
// the trainer draws batches of P people with K photos each and the loss finds its triplets inside.

#include <tern/tern.h>

#include <cstdio>

using namespace tern;

struct Net : nn::Module {
  nn::Conv2d conv1{{.in = 3, .out = 32, .kernel = 5, .stride = 2, .padding = 2, .bias = false}};
  nn::BatchNorm2d bn1{{.channels = 32, .relu = true}};
  nn::Conv2d conv2{{.in = 32, .out = 64, .kernel = 3, .stride = 2, .padding = 1, .bias = false}};
  nn::BatchNorm2d bn2{{.channels = 64, .relu = true}};
  nn::MaxPool2d pool{{.kernel = 4}};
  nn::Linear fc{{.in = 64 * 4 * 4, .out = 64}};
  Tensor forward(const Tensor& x) override {
    return l2_normalize(fc(flatten(pool(bn2(conv2(bn1(conv1(x))))))));
  }
  void visit(nn::Visitor& v) override {
    v.child("conv1", conv1), v.child("bn1", bn1), v.child("conv2", conv2), v.child("bn2", bn2),
        v.child("fc", fc);
  }
};

int main() {
  const SyntheticDataset people({.identities = 200}), unseen({.identities = 100, .first_identity = 200});
  Net net;
  Trainer trainer(net, people, &unseen,
                  {.steps = 300, .triplet = {.margin = 0.2}, .optimizer = "adamw", .lr = 2e-3});
  trainer.run();
  std::printf("accuracy on 100 unseen people: %.3f\n",
              trainer.evaluate().evaluation.verification.accuracy_mean);
}
