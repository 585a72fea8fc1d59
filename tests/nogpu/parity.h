#pragma once
// Parity of the two backends: an operation on CPU tensors with the naive loops (TERN_ISA=reference) against
// the same operation on cuda:0, outputs and the gradients of all inputs.
//
//   expect_parity([](const Tensors& x) { return matmul(x[0], x[1]); },
//                 {random_tensor({5, 7}), random_tensor({7, 3})});
//
// On the device it runs once per thread order of the emulator, each time with every block of memory an
// allocation of its own, filled with NaN: what a kernel does not write, or reads past the end, shows. The
// three runs must agree bit by bit.

#include <functional>
#include <vector>

#include "tern/tests/support/tensors.h"

namespace tern::test {

inline constexpr Device kCuda{DeviceType::Cuda, 0};
using Tensors = std::vector<Tensor>;

// What an operation gives: one tensor or several.
struct Outputs : Tensors {
  Outputs(Tensor one) : Tensors{std::move(one)} {}
  Outputs(Tensors many) : Tensors(std::move(many)) {}
};
using ParityOp = std::function<Outputs(const Tensors&)>;

struct ParityOptions {
  // Of the outputs and of the gradients, as a fraction of the tensor's largest element (close()). 0: bit by
  // bit. bf16 tensors get at least one rounding step. Integers and bools must be equal.
  double tolerance = 1e-6;
  double gradient_tolerance = 1e-5;
  bool gradients = true;    // floating inputs require gradients
  bool keep_cache = false;  // the caching allocator instead of one allocation a block
};

// Inputs are on the CPU. On the device, op sees copies of them on cuda:0.
void expect_parity(const ParityOp& op, const Tensors& inputs, const ParityOptions& options = {});

// Runs body once per thread order, on a fresh device whose allocator gives every block its own allocation.
void for_each_thread_order(const std::function<void()>& body);

// Numbers of elements at which kernels that work on 16-byte vectors and blocks of 256 threads change their
// path.
inline const std::vector<int64_t> kSizes = {0,   1,   3,   4,    7,    8,    9,    31,
                                            255, 256, 257, 1023, 1024, 1025, 2048, 4099};

}  // namespace tern::test
