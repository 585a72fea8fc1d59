#include "tern/ops/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "tern/cpu/batch_norm_kernels.h"
#include "tern/cpu/channel_moments.h"
#include "tern/cpu/channel_panels.h"
#include "tern/cpu/reference/batch_norm.h"
#include "tern/ops/batch_norm_formulas.h"

namespace tern::cpu {
namespace {

struct Statistics {
  Statistics(const BatchNormGeometry& g, const Tensor& t)
      : mean(t.data<double>()), variance(mean + g.channels), g_(g) {}
  double inverse(int64_t c) const { return BatchNormChannel::inverse_deviation(variance[c], g_.eps); }
  BatchNormChannel channel(const BatchNormInputs& in, int64_t c) const {
    const auto value_or = [c](const Tensor& t, double otherwise) {
      return t.defined() ? static_cast<double>(t.data<float>()[c]) : otherwise;
    };
    return {mean[c], inverse(c), value_or(in.gamma, 1), value_or(in.beta, 0)};
  }
  double low(int64_t c) const { return BatchNormChannel{mean[c], 1}.low(); }
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

template <class T, class P>
reference::BatchNormArrays<T, P> arrays_of(const BatchNormInputs& in, const BatchNormState& state,
                                           const Statistics& s) {
  return {in.x.data<T>(),
          optional_data<P>(in.gamma),
          optional_data<P>(in.beta),
          optional_data<T>(in.residual),
          optional_data<P>(in.slope),
          s.mean,
          s.variance,
          optional_mutable<int32_t>(state.mask)};
}

// The constants of z = (x - shift) scale + bias for the columns of a panel: the mean is split in its two
// floats.
struct PanelConstants {
  PanelConstants(const Panel& p, const BatchNormGeometry& g, const BatchNormInputs& in, const Statistics& s) {
    shift = columns_of(p, g.channels, [&](int64_t c) { return s.channel(in, c).shift(); });
    scale = columns_of(p, g.channels, [&](int64_t c) { return s.channel(in, c).scale(); });
    bias = columns_of(p, g.channels, [&](int64_t c) { return s.channel(in, c).bias(); });
    if (in.slope.defined())
      slope = columns_of(p, g.channels, [&](int64_t c) { return in.slope.data<float>()[c]; });
  }
  BatchNormConstants at(int64_t column) const {
    return {shift.data() + column, scale.data() + column, bias.data() + column,
            slope.empty() ? nullptr : slope.data() + column};
  }
  std::vector<float> shift, scale, bias, slope;
};

BatchNormBlock block_of(const Panel& p, const PanelBlock& b) { return {b.rows, b.columns, p.width}; }

// Where a block of a panel begins in the tensor and in the mask.
int64_t element_of(const Panel& p, const PanelBlock& b) { return p.element + b.row * p.width + b.column; }
template <class Word>
Word* mask_at(Word* mask, const Panel& p, const PanelBlock& b) {
  return mask ? mask + p.mask + b.row / kPanelMaskRows * p.width + b.column : nullptr;
}

}  // namespace

int64_t batch_norm_mask_words(const BatchNormGeometry& g) {
  int64_t words = (g.rows + kPanelMaskRows - 1) / kPanelMaskRows * g.channels;  // the reference's layout
  for (const Panel& p : panels_of(g.rows, g.channels))
    words = std::max(words, p.mask + (p.rows + kPanelMaskRows - 1) / kPanelMaskRows * p.width);
  return words;
}

namespace {

template <class T>
void statistics(const BatchNormGeometry& g, const T* data, double* mean, double* variance) {
  std::fill(mean, mean + g.channels, 0.0);
  std::fill(variance, variance + g.channels, 0.0);
  double count = 0;
  for (const Panel& p : panels_of(g.rows, g.channels)) {
    const PanelGrid grid = sum_grid(p);
    std::vector<double> part(static_cast<size_t>(grid.row_blocks * 2 * p.width));
    for_blocks(p, grid, [&](const PanelBlock& b) {
      double* means = part.data() + b.row_block * 2 * p.width + b.column;
      batch_norm_kernels<T>().statistics(block_of(p, b), data + element_of(p, b), means, means + p.width);
    });
    for (int64_t i = 0; i < grid.row_blocks; ++i) {
      const double* means = part.data() + i * 2 * p.width;
      const double n = static_cast<double>(std::min(grid.block_rows, p.rows - i * grid.block_rows));
      for (int64_t f = 0; f < p.fold; ++f, count += n) {
        const MomentsMerge merge(count, n);
        for (int64_t c = 0; c < g.channels; ++c, ++means)
          merge(mean[c], variance[c], means[0], means[p.width]);
      }
    }
  }
  for (int64_t c = 0; c < g.channels; ++c) variance[c] /= static_cast<double>(g.rows);
}

template <class T>
void apply(const BatchNormGeometry& g, const BatchNormInputs& in, const BatchNormState& state,
           const Statistics& s, const Tensor& y) {
  const T *x = in.x.data<T>(), *residual = optional_data<T>(in.residual);
  T* out = y.mutable_data<T>();
  int32_t* mask = optional_mutable<int32_t>(state.mask);
  for (const Panel& p : panels_of(g.rows, g.channels)) {
    const PanelConstants constants(p, g, in, s);
    for_blocks(p, apply_grid(p), [&](const PanelBlock& b) {
      const int64_t i = element_of(p, b);
      batch_norm_kernels<T>().apply(
          block_of(p, b), {x + i, residual ? residual + i : nullptr, constants.at(b.column), g.activation,
                           out + i, mask_at(mask, p, b)});
    });
  }
}

// What the backward kernels read of a block that begins at element i.
template <class T>
struct GateAt {
  GateAt(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in, const BatchNormState& state)
      : dy(dy.data<T>()),
        x(in.x.data<T>()),
        residual(optional_data<T>(in.residual)),
        mask(optional_data<int32_t>(state.mask)),
        activation(g.activation) {}
  BatchNormGate<T> at(const Panel& p, const PanelConstants& constants, const PanelBlock& b) const {
    const int64_t i = element_of(p, b);
    return {dy + i,
            x + i,
            residual ? residual + i : nullptr,
            constants.at(b.column),
            activation,
            mask_at(mask, p, b)};
  }
  const T *dy, *x, *residual;
  const int32_t* mask;
  Activation activation;
};

template <class T>
void backward_reduce(const BatchNormGeometry& g, const GateAt<T>& gate, const BatchNormInputs& in,
                     const Statistics& s, double* sums) {
  const int64_t kinds = g.activation == Activation::Prelu ? 3 : 2;
  std::fill(sums, sums + 3 * g.channels, 0.0);
  for (const Panel& p : panels_of(g.rows, g.channels)) {
    const PanelGrid grid = sum_grid(p);
    const PanelConstants constants(p, g, in, s);
    std::vector<double> part(static_cast<size_t>(grid.row_blocks * kinds * p.width));
    for_blocks(p, grid, [&](const PanelBlock& b) {
      double* to = part.data() + b.row_block * kinds * p.width + b.column;
      batch_norm_kernels<T>().backward_reduce(block_of(p, b), gate.at(p, constants, b),
                                              {to, to + p.width, to + 2 * p.width});
    });
    for (int64_t k = 0; k < grid.row_blocks * kinds; ++k)
      for (int64_t j = 0; j < p.width; ++j)
        sums[k % kinds * g.channels + j % g.channels] += part[static_cast<size_t>(k * p.width + j)];
  }
  for (int64_t c = 0; c < g.channels; ++c) sums[g.channels + c] -= s.low(c) * sums[c];
}

template <class T>
void backward_apply(const BatchNormGeometry& g, const GateAt<T>& gate, const BatchNormInputs& in,
                    const Statistics& s, const double* sums, T* dx, T* dresidual) {
  const double m = static_cast<double>(g.rows);
  const auto factor_of = [&](int64_t c) { return s.channel(in, c).scale(); };
  const auto tilt_of = [&](int64_t c) { return s.channel(in, c).tilt(sums[g.channels + c], m); };
  const auto offset_of = [&](int64_t c) { return s.channel(in, c).offset(sums[c], sums[g.channels + c], m); };
  for (const Panel& p : panels_of(g.rows, g.channels)) {
    const PanelConstants constants(p, g, in, s);
    const auto factor = columns_of(p, g.channels, factor_of);
    std::vector<float> tilt(static_cast<size_t>(p.width)), offset(tilt);
    if (g.training) tilt = columns_of(p, g.channels, tilt_of), offset = columns_of(p, g.channels, offset_of);
    for_blocks(p, apply_grid(p), [&](const PanelBlock& b) {
      const int64_t i = element_of(p, b), c = b.column;
      batch_norm_kernels<T>().backward_apply(block_of(p, b), gate.at(p, constants, b),
                                             {factor.data() + c, tilt.data() + c, offset.data() + c,
                                              g.training, dx + i, dresidual ? dresidual + i : nullptr});
    });
  }
}

}  // namespace

void batch_norm_statistics(const BatchNormGeometry& g, const Tensor& x, const Tensor& result) {
  double* mean = result.mutable_data<double>();
  double* variance = mean + g.channels;
  by_type(
      x.dtype(),
      [&](auto t, auto) { reference::batch_norm_statistics(g, x.data<decltype(t)>(), mean, variance); },
      [&](auto t) { statistics(g, x.data<decltype(t)>(), mean, variance); });
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

void batch_norm_apply(const BatchNormGeometry& g, const BatchNormInputs& in, const BatchNormState& state,
                      const Tensor& y) {
  const Statistics s(g, state.statistics);
  by_type(
      y.dtype(),
      [&](auto t, auto p) {
        using T = decltype(t);
        reference::batch_norm_apply(g, arrays_of<T, decltype(p)>(in, state, s), y.mutable_data<T>());
      },
      [&](auto t) { apply<decltype(t)>(g, in, state, s, y); });
}

void batch_norm_backward_reduce(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in,
                                const BatchNormState& state, const Tensor& sums) {
  const Statistics s(g, state.statistics);
  double* to = sums.mutable_data<double>();
  by_type(
      dy.dtype(),
      [&](auto t, auto p) {
        using T = decltype(t);
        reference::batch_norm_backward_reduce(g, dy.data<T>(), arrays_of<T, decltype(p)>(in, state, s), to);
      },
      [&](auto t) { backward_reduce(g, GateAt<decltype(t)>(g, dy, in, state), in, s, to); });
}

void batch_norm_backward_parameters(const BatchNormGeometry& g, const Tensor& sums,
                                    const BatchNormState& state, const BatchNormGradients& d) {
  const Statistics s(g, state.statistics);
  const double* sum = sums.data<double>();
  const auto write = [&](auto* dgamma, auto* dbeta, auto* dslope) {
    using T = std::remove_reference_t<decltype(*dgamma)>;
    for (int64_t c = 0; c < g.channels; ++c) {
      dgamma[c] = static_cast<T>(sum[g.channels + c] * s.inverse(c));
      dbeta[c] = static_cast<T>(sum[c]);
      if (dslope) dslope[c] = static_cast<T>(sum[2 * g.channels + c]);
    }
  };
  if (d.dgamma.dtype() == DType::F64)
    return write(d.dgamma.mutable_data<double>(), d.dbeta.mutable_data<double>(),
                 optional_mutable<double>(d.dslope));
  write(d.dgamma.mutable_data<float>(), d.dbeta.mutable_data<float>(), optional_mutable<float>(d.dslope));
}

void batch_norm_backward_apply(const BatchNormGeometry& g, const Tensor& dy, const BatchNormInputs& in,
                               const BatchNormState& state, const Tensor& sums, const Tensor& dx,
                               const Tensor& dresidual) {
  const Statistics s(g, state.statistics);
  const double* sum = optional_data<double>(sums);
  by_type(
      dy.dtype(),
      [&](auto t, auto p) {
        using T = decltype(t);
        reference::batch_norm_backward_apply(g, dy.data<T>(), arrays_of<T, decltype(p)>(in, state, s), sum,
                                             optional_mutable<T>(dx), optional_mutable<T>(dresidual));
      },
      [&](auto t) {
        using T = decltype(t);
        const GateAt<T> gate(g, dy, in, state);
        // The kernel always writes dx; a caller that wants dresidual alone pays for a scratch dx.
        const Tensor to = dx.defined() ? dx : Tensor::empty(dy.shape(), {.dtype = dy.dtype()});
        backward_apply(g, gate, in, s, sum, to.mutable_data<T>(), optional_mutable<T>(dresidual));
      });
}

}  // namespace tern::cpu
