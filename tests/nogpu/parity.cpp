#include "tern/tests/nogpu/parity.h"

#include <algorithm>

#include "tern/cpu/isa.h"
#include "tern/cuda/runtime.h"
#include "tern/tests/nogpu/cudart.h"
#include "tern/tests/nogpu/emulator.h"
#include "tern/tests/nogpu/libraries.h"
#include "tern/tests/nogpu/tally.h"

namespace tern::test {
namespace {

struct Results {
  Tensors outputs, gradients;  // on the CPU
};

struct ReferenceLoops {
  cpu::Isa before = cpu::active_isa();
  ReferenceLoops() { cpu::set_isa(cpu::Isa::Reference); }
  ~ReferenceLoops() { cpu::set_isa(before); }
};

Tensor on_cpu(const Tensor& x) { return x.defined() ? x.detach().to(kCpu) : x; }

// Outputs, and gradients for the same dy on either device.
Results run(const ParityOp& op, const Tensors& inputs, Device device, bool gradients) {
  Tensors x;
  for (const Tensor& input : inputs) {
    if (!input.defined()) {
      x.emplace_back();
      continue;
    }
    x.push_back(device.is_cpu() ? input.clone() : input.detach().to(device));
    if (gradients && is_floating(input.dtype())) x.back().set_requires_grad();
  }
  const Outputs y = op(x);
  Results results;
  for (const Tensor& output : y) results.outputs.push_back(on_cpu(output));
  for (size_t i = 0; i < y.size(); ++i) {
    if (!y[i].defined() || !y[i].requires_grad()) continue;
    const Tensor dy = random_tensor(y[i].shape(), y[i].dtype(), 1000 + i);
    y[i].backward(dy.to(device), {.retain_graph = true});
  }
  for (const Tensor& input : x) results.gradients.push_back(input.defined() ? on_cpu(input.grad()) : input);
  return results;
}

void compare(const char* what, const Tensors& on_device, const Tensors& expected, double tolerance) {
  ASSERT_EQ(on_device.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    SCOPED_TRACE(testing::Message() << what << " " << i);
    ASSERT_EQ(on_device[i].defined(), expected[i].defined());
    if (!expected[i].defined()) continue;
    ASSERT_EQ(on_device[i].dtype(), expected[i].dtype());
    const bool bf16 = expected[i].dtype() == DType::BF16;
    const double allowed = bf16 ? std::max(tolerance, 1.0 / 128) : tolerance;
    if (tolerance == 0 || !is_floating(expected[i].dtype())) expect_equal_bits(on_device[i], expected[i]);
    else expect_close(on_device[i], expected[i], allowed);
  }
}

void expect_same_bits(const Tensors& a, const Tensors& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].defined()) expect_equal_bits(a[i], b[i]);
}

void tally_shapes(const Tensors& inputs) {
  std::string shapes = testing::UnitTest::GetInstance()->current_test_info()->name();
  for (const Tensor& input : inputs) {
    shapes += ' ';
    shapes += input.defined() ? to_string(input.shape()) : "-";
  }
  nogpu::tally("shape", shapes);
}

void in_each_order(bool caching, const std::function<void()>& body) {
  using nogpu::ThreadOrder;
  nogpu::use_library_stand_ins();
  for (const ThreadOrder order : {ThreadOrder::Ascending, ThreadOrder::Descending, ThreadOrder::Shuffled}) {
    SCOPED_TRACE(testing::Message() << "thread order " << static_cast<int>(order));
    nogpu::set_thread_order(order);
    cu::CachingAllocator& memory = cu::runtime(kCuda).allocator();
    memory.set_caching(caching);
    body();
    memory.set_caching(true);
  }
  nogpu::set_thread_order(ThreadOrder::Ascending);
}

}  // namespace

void expect_parity(const ParityOp& op, const Tensors& inputs, const ParityOptions& options) {
  tally_shapes(inputs);
  Results expected;
  {
    const ReferenceLoops reference;
    expected = run(op, inputs, kCpu, options.gradients);
  }
  std::vector<Results> runs;
  in_each_order(options.keep_cache, [&] {
    try {
      runs.push_back(run(op, inputs, kCuda, options.gradients));
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << " " << nogpu::take_fault();
      return;
    }
    compare("output", runs.back().outputs, expected.outputs, options.tolerance);
    compare("gradient", runs.back().gradients, expected.gradients, options.gradient_tolerance);
    expect_same_bits(runs.back().outputs, runs.front().outputs);
    expect_same_bits(runs.back().gradients, runs.front().gradients);
  });
}

void for_each_thread_order(const std::function<void()>& body) { in_each_order(false, body); }

}  // namespace tern::test
