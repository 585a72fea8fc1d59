#include "tern/ops/triplet_margin_loss.h"

#include <algorithm>

#include "tern/core/parallel.h"
#include "tern/cpu/reference/distance.h"
#include "tern/ops/norm_formulas.h"

namespace tern::cpu {
namespace {

template <class T>
TripletMarginTerm term_of(const T* a, const T* p, const T* n, int64_t d, const TripletMarginOptions& o) {
  const auto distance = [&](const T* x, const T* y) {
    return reference::norm_distance(x, y, d, o.p, o.added());
  };
  return {distance(a, p), distance(a, n), o.swap ? distance(p, n) : 0, o};
}

template <class T>
void forward(const Tensor& a, const Tensor& p, const Tensor& n, const TripletMarginOptions& options,
             const Tensor& losses) {
  const int64_t d = a.size(1);
  const T *x = a.data<T>(), *y = p.data<T>(), *z = n.data<T>();
  double* out = losses.mutable_data<double>();
  parallel_for(a.size(0), std::max<int64_t>(1, 4096 / std::max<int64_t>(d, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i)
                   out[i] = term_of(x + i * d, y + i * d, z + i * d, d, options).loss;
               });
}

template <class T>
void backward_row(const T* a, const T* p, const T* n, int64_t d, const TripletMarginOptions& o, double scale,
                  T* da, T* dp, T* dn) {
  const TripletMarginTerm t = term_of(a, p, n, d, o);
  std::fill_n(da, d, T(0));
  std::fill_n(dp, d, T(0));
  std::fill_n(dn, d, T(0));
  const double weight = scale * t.slope;
  if (weight == 0) return;
  // Adds w dD(x,y)/dx to dx and takes it from dy.
  const auto pair = [&](const T* x, const T* y, double distance, double w, T* dx, T* dy) {
    if (o.squared) w *= 2 * distance;
    reference::norm_gradient(x, y, d, o.p, o.added(), distance, [&](int64_t k, double slope) {
      dx[k] += static_cast<T>(w * slope);
      dy[k] -= static_cast<T>(w * slope);
    });
  };
  pair(a, p, t.d_ap, weight, da, dp);
  if (t.share < 1) pair(a, n, t.d_an, -weight * (1 - t.share), da, dn);
  if (t.share > 0) pair(p, n, t.d_pn, -weight * t.share, dp, dn);
}

template <class T>
void backward(const Tensor& scale, const Tensor& a, const Tensor& p, const Tensor& n,
              const TripletMarginOptions& options, const Tensor& da, const Tensor& dp, const Tensor& dn) {
  const int64_t d = a.size(1);
  const double* w = scale.data<double>();
  const T *x = a.data<T>(), *y = p.data<T>(), *z = n.data<T>();
  T *dx = da.mutable_data<T>(), *dy = dp.mutable_data<T>(), *dz = dn.mutable_data<T>();
  parallel_for(a.size(0), std::max<int64_t>(1, 4096 / std::max<int64_t>(d, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t at = i * d;
                   backward_row(x + at, y + at, z + at, d, options, w[i], dx + at, dy + at, dz + at);
                 }
               });
}

}  // namespace

void triplet_margin_forward(const Tensor& a, const Tensor& p, const Tensor& n,
                            const TripletMarginOptions& options, const Tensor& losses) {
  if (a.dtype() == DType::F64) return forward<double>(a, p, n, options, losses);
  forward<float>(a, p, n, options, losses);
}

void triplet_margin_backward(const Tensor& scale, const Tensor& a, const Tensor& p, const Tensor& n,
                             const TripletMarginOptions& options, const Tensor& da, const Tensor& dp,
                             const Tensor& dn) {
  if (a.dtype() == DType::F64) return backward<double>(scale, a, p, n, options, da, dp, dn);
  backward<float>(scale, a, p, n, options, da, dp, dn);
}

}  // namespace tern::cpu
