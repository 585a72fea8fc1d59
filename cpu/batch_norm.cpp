#include "tern/ops/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "tern/core/parallel.h"
#include "tern/cpu/batch_norm_kernels.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/batch_norm.h"

namespace tern::cpu {
namespace {

const BatchNormKernels& kernels() {
  return isa_pick(
      []() -> auto& { return baseline::batch_norm_table; }, []() -> auto& { return avx2::batch_norm_table; },
      []() -> auto& { return avx512::batch_norm_table; });
}

// A run of rows seen as a matrix of `rows` x `width`: with few or odd channels, `fold` rows lie side by side
// in one, so that vectors are full; column j then holds channel j % channels.
struct Panel {
  int64_t rows, width, fold;
  int64_t element, mask;  // where it starts in the tensor, and in the mask
};

// The folded rows, then the few that are left over.
std::vector<Panel> panels_of(const BatchNormGeometry& g) {
  constexpr int64_t kLanes = 16, kWideEnough = 64, kNeverFold = 256;
  int64_t fold = 1;
  if (g.channels < kNeverFold && g.channels > 0) {
    fold = kLanes / std::gcd(g.channels, kLanes);
    while (fold * g.channels < kWideEnough) fold *= 2;
  }
  std::vector<Panel> panels;
  const int64_t full = g.rows / fold, left = g.rows % fold, width = fold * g.channels;
  if (full > 0) panels.push_back({full, width, fold, 0, 0});
  if (left > 0) {
    const int64_t mask = (full + kBatchNormMaskRows - 1) / kBatchNormMaskRows * width;
    panels.push_back({left, g.channels, 1, full * width, mask});
  }
  return panels;
}

// Blocks of a panel, in rows x channels. The sums of the statistics follow them, so they depend on the shape
// alone.
struct Grid {
  int64_t block_rows, row_blocks, column_blocks;
};

Grid grid_of(const Panel& p, int64_t elements_per_block, int64_t most_row_blocks) {
  const int64_t columns = std::min(p.width, kBatchNormBlock);
  int64_t rows = std::max(elements_per_block / columns, (p.rows + most_row_blocks - 1) / most_row_blocks);
  rows = std::max<int64_t>(1, (rows + kBatchNormSumRows - 1) / kBatchNormSumRows) * kBatchNormSumRows;
  return {rows, (p.rows + rows - 1) / rows, (p.width + kBatchNormBlock - 1) / kBatchNormBlock};
}
Grid sum_grid(const Panel& p) { return grid_of(p, 32768, 64); }
Grid apply_grid(const Panel& p) { return grid_of(p, 32768, p.rows); }

// body(block, row, column, row block) over the blocks of a panel, in parallel.
template <class Body>
void for_blocks(const Panel& p, const Grid& grid, const Body& body) {
  parallel_for(grid.row_blocks * grid.column_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row_block = i / grid.column_blocks, row = row_block * grid.block_rows;
      const int64_t column = i % grid.column_blocks * kBatchNormBlock;
      body(BatchNormBlock{.rows = std::min(grid.block_rows, p.rows - row),
                          .channels = std::min(kBatchNormBlock, p.width - column),
                          .stride = p.width},
           row, column, row_block);
    }
  });
}

// The constants of each column of a panel, from f(channel).
template <class F>
std::vector<float> columns_of(const Panel& p, int64_t channels, const F& f) {
  std::vector<float> values(static_cast<size_t>(p.width));
  for (int64_t j = 0; j < p.width; ++j)
    values[j] = static_cast<float>(j < channels ? f(j) : values[j - channels]);
  return values;
}

struct Statistics {
  Statistics(const BatchNormGeometry& g, const Tensor& t)
      : mean(t.data<double>()), variance(mean + g.channels), g_(g) {}
  double inverse(int64_t c) const { return reference::inverse_deviation(g_, variance[c]); }
  // The mean in two floats: x - high(c) is nearly exact, low(c) is what is then missing.
  float high(int64_t c) const { return static_cast<float>(mean[c]); }
  double low(int64_t c) const { return mean[c] - static_cast<double>(high(c)); }
  const double* mean;
  const double* variance;

 private:
  const BatchNormGeometry& g_;
};

template <class T>
const T* optional_data(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}
template <class T>
T* optional_mutable(const Tensor& t) {
  return t.defined() ? t.mutable_data<T>() : nullptr;
}
template <class T>
double value_or(const T* data, int64_t c, double otherwise) {
  return data ? static_cast<double>(data[c]) : otherwise;
}

// Runs fn(T{}) of the naive loops if they are to be used.
template <class Fn>
bool by_reference(DType dtype, const Fn& fn) {
  check<DTypeError>(dtype == DType::F32 || dtype == DType::F64, "batch_norm: ", dtype,
                    " is not supported yet");
  if (dtype == DType::F64) return fn(double{}), true;
  if (use_reference()) return fn(float{}), true;
  return false;
}

// Adds n rows with their mean and squared deviations to what count rows gave.
void merge(double& mean, double& squares, double count, double n, double other_mean, double other_squares) {
  const double delta = other_mean - mean;
  mean += delta * (n / (count + n));
  squares += other_squares + delta * delta * (count * n / (count + n));
}

}  // namespace

int64_t batch_norm_mask_words(const BatchNormGeometry& g) {
  int64_t words =
      (g.rows + kBatchNormMaskRows - 1) / kBatchNormMaskRows * g.channels;  // the reference's layout
  for (const Panel& p : panels_of(g))
    words = std::max(words, p.mask + (p.rows + kBatchNormMaskRows - 1) / kBatchNormMaskRows * p.width);
  return words;
}

void batch_norm_statistics(const BatchNormGeometry& g, const Tensor& x, const Tensor& statistics) {
  double* mean = statistics.mutable_data<double>();
  double* variance = mean + g.channels;
  if (by_reference(x.dtype(), [&](auto t) {
        reference::batch_norm_statistics(g, x.data<decltype(t)>(), mean, variance);
      }))
    return;
  std::fill(mean, mean + 2 * g.channels, 0.0);
  const float* data = x.data<float>();
  double count = 0;
  for (const Panel& p : panels_of(g)) {
    const Grid grid = sum_grid(p);
    std::vector<double> part(static_cast<size_t>(grid.row_blocks * 2 * p.width));
    for_blocks(p, grid, [&](const BatchNormBlock& b, int64_t row, int64_t column, int64_t row_block) {
      double* means = part.data() + row_block * 2 * p.width + column;
      kernels().statistics(b, data + p.element + row * p.width + column, means, means + p.width);
    });
    for (int64_t i = 0; i < grid.row_blocks; ++i) {
      const double* means = part.data() + i * 2 * p.width;
      const double n = static_cast<double>(std::min(grid.block_rows, p.rows - i * grid.block_rows));
      for (int64_t f = 0; f < p.fold; ++f, count += n) {
        for (int64_t c = 0; c < g.channels; ++c, ++means)
          merge(mean[c], variance[c], count, n, means[0], means[p.width]);
      }
    }
  }
  for (int64_t c = 0; c < g.channels; ++c) variance[c] /= static_cast<double>(g.rows);
}

void batch_norm_update_running(const BatchNormGeometry& g, const Tensor& statistics, double momentum,
                               const Tensor& running_mean, const Tensor& running_var) {
  const Statistics s(g, statistics);
  const double unbiased = static_cast<double>(g.rows) / static_cast<double>(g.rows - 1);
  const auto update = [&](auto* mean, auto* variance) {
    using T = std::remove_reference_t<decltype(*mean)>;
    for (int64_t c = 0; c < g.channels; ++c) {
      mean[c] = static_cast<T>((1 - momentum) * mean[c] + momentum * s.mean[c]);
      variance[c] = static_cast<T>((1 - momentum) * variance[c] + momentum * unbiased * s.variance[c]);
    }
  };
  if (running_mean.dtype() == DType::F64)
    return update(running_mean.mutable_data<double>(), running_var.mutable_data<double>());
  update(running_mean.mutable_data<float>(), running_var.mutable_data<float>());
}

void batch_norm_load_running(const Tensor& running_mean, const Tensor& running_var,
                             const Tensor& statistics) {
  double* out = statistics.mutable_data<double>();
  for (const Tensor* t : {&running_mean, &running_var}) {
    if (t->dtype() == DType::F64) std::copy_n(t->data<double>(), t->numel(), out);
    else std::copy_n(t->data<float>(), t->numel(), out);
    out += t->numel();
  }
}

void batch_norm_apply(const BatchNormGeometry& g, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                      const Tensor& residual, const BatchNormState& state, const Tensor& y) {
  const Statistics s(g, state.statistics);
  int32_t* mask = optional_mutable<int32_t>(state.mask);
  if (by_reference(x.dtype(), [&](auto t) {
        using T = decltype(t);
        reference::batch_norm_apply(g, x.data<T>(), optional_data<T>(gamma), optional_data<T>(beta),
                                    optional_data<T>(residual), s.mean, s.variance, y.mutable_data<T>(),
                                    mask);
      }))
    return;
  const float* gammas = optional_data<float>(gamma);
  const float* betas = optional_data<float>(beta);
  const auto scale_of = [&](int64_t c) { return value_or(gammas, c, 1) * s.inverse(c); };
  const float *in = x.data<float>(), *added = optional_data<float>(residual);
  float* out = y.mutable_data<float>();
  for (const Panel& p : panels_of(g)) {
    const auto shift = columns_of(p, g.channels, [&](int64_t c) { return s.high(c); });
    const auto scale = columns_of(p, g.channels, scale_of);
    const auto bias =
        columns_of(p, g.channels, [&](int64_t c) { return value_or(betas, c, 0) - s.low(c) * scale_of(c); });
    for_blocks(p, apply_grid(p), [&](const BatchNormBlock& b, int64_t row, int64_t column, int64_t) {
      const int64_t i = p.element + row * p.width + column;
      int32_t* bits = mask ? mask + p.mask + row / kBatchNormMaskRows * p.width + column : nullptr;
      kernels().apply(b, {in + i, added ? added + i : nullptr, shift.data() + column, scale.data() + column,
                          bias.data() + column, out + i, bits, g.relu});
    });
  }
}

void batch_norm_backward_reduce(const BatchNormGeometry& g, const Tensor& dy, const Tensor& x,
                                const BatchNormState& state, const Tensor& sums) {
  const Statistics s(g, state.statistics);
  const int32_t* mask = optional_data<int32_t>(state.mask);
  double* sum_g = sums.mutable_data<double>();
  double* sum_gx = sum_g + g.channels;
  if (by_reference(x.dtype(), [&](auto t) {
        using T = decltype(t);
        reference::batch_norm_backward_reduce(g, dy.data<T>(), x.data<T>(), s.mean, mask, sum_g, sum_gx);
      }))
    return;
  std::fill(sum_g, sum_g + 2 * g.channels, 0.0);
  const float *in = x.data<float>(), *up = dy.data<float>();
  for (const Panel& p : panels_of(g)) {
    const Grid grid = sum_grid(p);
    const auto shift = columns_of(p, g.channels, [&](int64_t c) { return s.high(c); });
    std::vector<double> part(static_cast<size_t>(grid.row_blocks * 2 * p.width));
    for_blocks(p, grid, [&](const BatchNormBlock& b, int64_t row, int64_t column, int64_t row_block) {
      const int64_t i = p.element + row * p.width + column;
      const int32_t* bits = mask ? mask + p.mask + row / kBatchNormMaskRows * p.width + column : nullptr;
      double* out = part.data() + row_block * 2 * p.width + column;
      kernels().backward_reduce(b, {up + i, in + i, shift.data() + column, bits, out, out + p.width});
    });
    for (int64_t k = 0; k < grid.row_blocks * 2; k += 2) {
      for (int64_t j = 0; j < p.width; ++j) {
        sum_g[j % g.channels] += part[k * p.width + j];
        sum_gx[j % g.channels] += part[(k + 1) * p.width + j];
      }
    }
  }
  for (int64_t c = 0; c < g.channels; ++c) sum_gx[c] -= s.low(c) * sum_g[c];
}

void batch_norm_backward_parameters(const BatchNormGeometry& g, const Tensor& sums,
                                    const BatchNormState& state, const Tensor& dgamma, const Tensor& dbeta) {
  const Statistics s(g, state.statistics);
  const double* sum_g = sums.data<double>();
  const double* sum_gx = sum_g + g.channels;
  const auto write = [&](auto* dg, auto* db) {
    using T = std::remove_reference_t<decltype(*dg)>;
    for (int64_t c = 0; c < g.channels; ++c) {
      dg[c] = static_cast<T>(sum_gx[c] * s.inverse(c));
      db[c] = static_cast<T>(sum_g[c]);
    }
  };
  if (dgamma.dtype() == DType::F64) return write(dgamma.mutable_data<double>(), dbeta.mutable_data<double>());
  write(dgamma.mutable_data<float>(), dbeta.mutable_data<float>());
}

void batch_norm_backward_apply(const BatchNormGeometry& g, const Tensor& dy, const Tensor& x,
                               const Tensor& gamma, const BatchNormState& state, const Tensor& sums,
                               const Tensor& dx, const Tensor& dresidual) {
  const Statistics s(g, state.statistics);
  const int32_t* mask = optional_data<int32_t>(state.mask);
  const double* sum_g = optional_data<double>(sums);
  const double* sum_gx = sum_g ? sum_g + g.channels : nullptr;
  if (by_reference(x.dtype(), [&](auto t) {
        using T = decltype(t);
        reference::batch_norm_backward_apply(g, dy.data<T>(), x.data<T>(), optional_data<T>(gamma), s.mean,
                                             s.variance, mask, sum_g, sum_gx, optional_mutable<T>(dx),
                                             optional_mutable<T>(dresidual));
      }))
    return;
  const float* gammas = optional_data<float>(gamma);
  const double m = static_cast<double>(g.rows);
  // dx = scale g + slope (x - mean) + offset, the mean split in its two floats.
  const auto scale_of = [&](int64_t c) { return value_or(gammas, c, 1) * s.inverse(c); };
  const auto slope_of = [&](int64_t c) { return -scale_of(c) * s.inverse(c) * s.inverse(c) * sum_gx[c] / m; };
  const auto offset_of = [&](int64_t c) { return -scale_of(c) * sum_g[c] / m - slope_of(c) * s.low(c); };
  const auto zero = [](int64_t) { return 0.0; };
  const float *in = x.data<float>(), *up = dy.data<float>();
  // The kernel always writes dx; a caller that wants dresidual alone pays for a scratch dx.
  const Tensor target = dx.defined() ? dx : Tensor::empty(x.shape());
  float *out = target.mutable_data<float>(), *out_residual = optional_mutable<float>(dresidual);
  for (const Panel& p : panels_of(g)) {
    const auto shift = columns_of(p, g.channels, [&](int64_t c) { return s.high(c); });
    const auto scale = columns_of(p, g.channels, scale_of);
    const auto slope = g.training ? columns_of(p, g.channels, slope_of) : columns_of(p, g.channels, zero);
    const auto offset = g.training ? columns_of(p, g.channels, offset_of) : columns_of(p, g.channels, zero);
    for_blocks(p, apply_grid(p), [&](const BatchNormBlock& b, int64_t row, int64_t column, int64_t) {
      const int64_t i = p.element + row * p.width + column;
      const int32_t* bits = mask ? mask + p.mask + row / kBatchNormMaskRows * p.width + column : nullptr;
      kernels().backward_apply(b, {up + i, g.training ? in + i : nullptr, shift.data() + column,
                                   scale.data() + column, slope.data() + column, offset.data() + column, bits,
                                   out + i, out_residual ? out_residual + i : nullptr});
    });
  }
}

}  // namespace tern::cpu
