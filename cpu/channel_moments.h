#pragma once
// Mean and variance of each channel of a matrix [rows, channels], taken range by range of its rows, as
// whoever writes the matrix finishes a range and has it in a cache still. A range is summed in f32 over
// kPanelSumRows rows around a shift, its sums are added up in f64; the ranges are merged in their order
// (Chan, Golub, LeVeque 1979): with n rows and mean m, squares q of deviations so far, and n', m', q' of the
// next range,
//
//   m + (m' - m) n' / (n + n'),   q + q' + (m' - m)^2 n n' / (n + n')

#include <cstdint>
#include <optional>
#include <type_traits>

#include "tern/cpu/batch_norm_kernels.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/scratch.h"

namespace tern::cpu {

template <class T>
const BatchNormKernels<T>& batch_norm_kernels() {
  if constexpr (std::is_same_v<T, float>)
    return isa_pick(
        []() -> auto& { return baseline::batch_norm_table; },
        []() -> auto& { return avx2::batch_norm_table; }, []() -> auto& { return avx512::batch_norm_table; });
  else
    return isa_pick(
        []() -> auto& { return baseline::batch_norm_bf16_table; },
        []() -> auto& { return avx2::batch_norm_bf16_table; },
        []() -> auto& { return avx512::batch_norm_bf16_table; });
}

// The merge above, with its two quotients.
struct MomentsMerge {
  MomentsMerge(double count, double n) : share(n / (count + n)), weight(count * n / (count + n)) {}
  void operator()(double& mean, double& squares, double other_mean, double other_squares) const {
    const double delta = other_mean - mean;
    mean += delta * share;
    squares += other_squares + delta * delta * weight;
  }
  double share, weight;
};

class ChannelMoments {
 public:
  ChannelMoments(int64_t rows, int64_t channels) : rows_(rows), channels_(channels) {}

  // How many ranges the rows are cut into, once and before the first take(). A function of sizes, so that the
  // bits of the result are too.
  void cut(int64_t ranges);
  // Whether anybody did: not every way to write a matrix finishes it range by range.
  bool is_cut() const { return parts_.has_value(); }

  // Channels [first, first + n) of the rows of one range; y: the first of them. Every channel of every range
  // once, in any order and from any thread.
  template <class T>
  void take(int64_t range, int64_t rows, const T* y, int64_t first, int64_t n);

  // mean[channels], variance[channels], the latter with all rows as divisor.
  void finish(double* mean, double* variance) const;

 private:
  int64_t rows_, channels_, ranges_ = 0;
  std::optional<Scratch<double>> parts_;  // [range][mean, squares][channel]
  std::optional<Scratch<int64_t>> counts_;
};

}  // namespace tern::cpu
