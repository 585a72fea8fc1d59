// The cost of small operations in LibTorch's C++ interface: a thousand additions, multiplications and ReLUs of 64
// elements, each on the result of the last. One JSON line a case, as the Python programs give.
//   overhead SECONDS none|recorded|backward...

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

constexpr int kChain = 1000;

torch::Tensor chain(torch::Tensor x, const torch::Tensor& y) {
  for (int i = 0; i < kChain; ++i) x = i % 3 == 0 ? x.add(y) : i % 3 == 1 ? x.mul(y) : x.relu();
  return x;
}

void call(const std::string& which, torch::Tensor& leaf, const torch::Tensor& y, const torch::Tensor& dy) {
  if (which == "none") {
    const torch::NoGradGuard no_grad;
    chain(leaf, y);
  } else if (which == "recorded") {
    chain(leaf, y);
  } else {
    leaf.mutable_grad().reset();
    chain(leaf, y).backward(dy);
  }
}

double now_ms() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(since).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: overhead SECONDS CASE...\n"), 2;
  const double seconds = std::atof(argv[1]);
  const auto y = torch::full({64}, 0.999), dy = torch::ones({64});
  for (int i = 2; i < argc; ++i) {
    const std::string which = argv[i];
    auto leaf = torch::ones({64});
    leaf.set_requires_grad(which != "none");
    for (int warm = 0; warm < 20; ++warm) call(which, leaf, y, dy);
    std::vector<double> times;
    for (const double begin = now_ms(); times.size() < 7 || now_ms() - begin < seconds * 1e3;) {
      const double start = now_ms();
      call(which, leaf, y, dy);
      times.push_back(now_ms() - start);
    }
    std::sort(times.begin(), times.end());
    std::printf("{\"case\": \"%s\", \"median_ms\": %g, \"min_ms\": %g, \"max_ms\": %g, \"rounds\": %zu}\n", argv[i],
                times[times.size() / 2], times.front(), times.back(), times.size());
  }
}
