#include "tests/support/tensors.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "tern/core/parallel.h"
#include "tern/ops/creation.h"

namespace tern::test {

Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed) {
  return randn(shape, {.seed = seed, .dtype = dtype});
}

Tensor random_ints(const Shape& shape, DType dtype, uint64_t seed, int low, int high) {
  PhiloxSequence draws(seed, RandomStream::Test, 1);
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (auto& value : values)
    value = low + static_cast<int>(draws.below(static_cast<uint32_t>(high - low + 1)));
  return Tensor::from_data(std::span<const double>(values), shape).to(dtype);
}

Tensor nan_tensor(const Shape& shape, DType dtype) {
  return full(shape, std::numeric_limits<double>::quiet_NaN(), {.dtype = dtype});
}

testing::AssertionResult close(const Tensor& a, const Tensor& b, double tolerance) {
  if (!(a.shape() == b.shape()))
    return testing::AssertionFailure()
           << "shapes " << to_string(a.shape()) << " and " << to_string(b.shape());
  const auto x = a.to_vector(), y = b.to_vector();
  double scale = 0;
  for (const double v : y) scale = std::max(scale, std::fabs(v));
  for (size_t i = 0; i < x.size(); ++i) {
    // Written so that a NaN on either side fails; equal infinities pass.
    if (x[i] == y[i] || std::fabs(x[i] - y[i]) <= tolerance * scale) continue;
    return testing::AssertionFailure()
           << "element " << i << ": " << x[i] << " and " << y[i] << ", difference " << std::fabs(x[i] - y[i])
           << " above " << tolerance * scale;
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult equal_bits(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype())
    return testing::AssertionFailure() << describe(a) << " and " << describe(b);
  if (a.bytes() == 0 || std::memcmp(a.raw_data(), b.raw_data(), static_cast<size_t>(a.bytes())) == 0)
    return testing::AssertionSuccess();
  const auto x = a.to_vector(), y = b.to_vector();
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i] != y[i])
      return testing::AssertionFailure() << "element " << i << ": " << x[i] << " and " << y[i];
  return testing::AssertionFailure() << "the bits differ (signed zero or NaN)";
}

void for_each_isa(const std::function<void(cpu::Isa)>& body) {
  const cpu::Isa before = cpu::active_isa();
  for (const cpu::Isa isa : {cpu::Isa::Baseline, cpu::Isa::Avx2, cpu::Isa::Avx512, cpu::Isa::Amx}) {
    if (!cpu::isa_available(isa)) continue;
    SCOPED_TRACE(std::string(cpu::to_string(isa)));
    cpu::set_isa(isa);
    body(isa);
  }
  cpu::set_isa(before);
}

void for_each_thread_count(const std::function<void(int)>& body) {
  const int before = num_threads();
  for (int threads = 1; threads <= 4; ++threads) {
    SCOPED_TRACE(threads);
    set_num_threads(threads);
    body(threads);
  }
  set_num_threads(before);
}

}  // namespace tern::test
