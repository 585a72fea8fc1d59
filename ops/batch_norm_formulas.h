#pragma once
// The constants of one channel of batch normalisation (ops/batch_norm.h), in f64; what is done with each
// element is in f32. The mean is split in two floats: x - shift is nearly exact, and what is then missing is
// in the bias.
//
//   z  = (x - shift) scale + bias
//   dx = scale g + tilt (x - shift) + offset      training; evaluation: scale g

#include "tern/ops/math.h"

namespace tern {

struct BatchNormChannel {
  double mean, inverse;  // inverse: 1 / sqrt(variance + eps)
  double gamma = 1, beta = 0;

  HD static double inverse_deviation(double variance, double eps) { return 1 / math::sqrt(variance + eps); }
  HD float shift() const { return static_cast<float>(mean); }
  HD double low() const { return mean - static_cast<double>(shift()); }
  HD double scale() const { return gamma * inverse; }
  HD double bias() const { return beta - low() * scale(); }
  // sum_g = sum g, sum_gx = sum g (x - mean), over so many rows.
  HD double tilt(double sum_gx, double rows) const { return -scale() * inverse * inverse * sum_gx / rows; }
  HD double offset(double sum_g, double sum_gx, double rows) const {
    return -scale() * sum_g / rows - tilt(sum_gx, rows) * low();
  }
};

}  // namespace tern
