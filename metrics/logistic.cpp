#include "tern/metrics/logistic.h"

#include <algorithm>
#include <cmath>

#include "tern/core/error.h"

namespace tern::metrics {
namespace {

// At most kMost of the sorted distances, evenly spaced in rank: of millions the curve needs no more.
template <class T>
std::vector<T> thinned(const std::vector<T>& sorted) {
  constexpr size_t kMost = 50000;
  if (sorted.size() <= kMost) return sorted;
  std::vector<T> chosen(kMost);
  for (size_t i = 0; i < kMost; ++i) chosen[i] = sorted[(2 * i + 1) * sorted.size() / (2 * kMost)];
  return chosen;
}

// log(1 + exp(x)) without overflow.
double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

// One kind of pairs: its distances, target and weight.
template <class T>
struct Side {
  const std::vector<T>& distances;
  double target, weight;
};

struct Derivatives {
  double g0 = 0, g1 = 0, h00 = 1e-12, h01 = 0, h11 = 1e-12;  // a trace of damping keeps the system regular
};

// In z = (d - centre) / scale: value of the negative log likelihood at (a, b), p = sigmoid(a + b z).
template <class T>
double loss(const Side<T>& side, double centre, double scale, double a, double b) {
  double sum = 0;
  for (const T d : side.distances) {
    const double u = a + b * (static_cast<double>(d) - centre) / scale;
    sum += softplus(u) - side.target * u;
  }
  return sum * side.weight;
}

template <class T>
void add_derivatives(const Side<T>& side, double centre, double scale, double a, double b, Derivatives& out) {
  for (const T d : side.distances) {
    const double z = (static_cast<double>(d) - centre) / scale;
    const double p = sigmoid(a + b * z);
    const double g = side.weight * (p - side.target), h = side.weight * p * (1 - p);
    out.g0 += g;
    out.g1 += g * z;
    out.h00 += h;
    out.h01 += h * z;
    out.h11 += h * z * z;
  }
}

}  // namespace

double LogisticFit::probability_same(double distance) const { return sigmoid(intercept + slope * distance); }

template <class T>
LogisticFit fit_logistic(const SortedScores<T>& scores) {
  const std::vector<T> same_distances = thinned(scores.same), different_distances = thinned(scores.different);
  const auto same = static_cast<double>(same_distances.size());
  const auto different = static_cast<double>(different_distances.size());
  check<DataError>(same > 0 && different > 0, "fit_logistic: ", scores.same.size(), " same and ",
                   scores.different.size(), " different pairs; both kinds are needed");
  const Side<T> sides[] = {{same_distances, (same + 1) / (same + 2), 0.5 / same},
                           {different_distances, 1 / (different + 2), 0.5 / different}};
  double centre = 0, scale = 0;
  for (const Side<T>& side : sides) {
    for (const T d : side.distances) centre += side.weight * static_cast<double>(d);
  }
  for (const Side<T>& side : sides) {
    for (const T d : side.distances) scale += side.weight * std::pow(static_cast<double>(d) - centre, 2);
  }
  scale = std::sqrt(scale);
  if (!(scale > 1e-12)) return {0, 0};  // all distances alike: they say nothing
  const auto total = [&](double a, double b) {
    return loss(sides[0], centre, scale, a, b) + loss(sides[1], centre, scale, a, b);
  };
  double a = 0, b = 0, value = total(a, b);
  for (int iteration = 0; iteration < 100; ++iteration) {
    Derivatives d;
    for (const Side<T>& side : sides) add_derivatives(side, centre, scale, a, b, d);
    if (std::max(std::fabs(d.g0), std::fabs(d.g1)) < 1e-10) break;
    const double determinant = d.h00 * d.h11 - d.h01 * d.h01;
    if (!(determinant > 0)) break;
    const double da = (d.h01 * d.g1 - d.h11 * d.g0) / determinant;
    const double db = (d.h01 * d.g0 - d.h00 * d.g1) / determinant;
    double step = 1, next = total(a + da, b + db);
    while (!(next <= value) && step > 1e-10) {
      step /= 2;
      next = total(a + step * da, b + step * db);
    }
    if (!(next <= value)) break;
    a += step * da;
    b += step * db;
    const bool converged = value - next <= 1e-14 * std::fabs(value);
    value = next;
    if (converged) break;
  }
  if (b > 0) return {0, 0};
  return {a - b * centre / scale, b / scale};
}

template LogisticFit fit_logistic(const SortedScores<float>&);
template LogisticFit fit_logistic(const SortedScores<double>&);

}  // namespace tern::metrics
