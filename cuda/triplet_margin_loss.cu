// The triplet loss on given triplets: each triplet belongs to a warp, sums are f64.

#include "tern/ops/triplet_margin_loss.h"

#include "tern/cuda/row_norm.cuh"

namespace tern::cu {
namespace {

struct TripletRows {
  const float *a, *p, *n;
  int64_t count, d;
  TripletMarginOptions options;
  double added;
};

struct WarpTriplet {
  __device__ __forceinline__ WarpTriplet(const TripletRows& rows, int64_t i)
      : ap{rows.a + i * rows.d, rows.p + i * rows.d, rows.added},
        an{rows.a + i * rows.d, rows.n + i * rows.d, rows.added},
        pn{rows.p + i * rows.d, rows.n + i * rows.d, rows.added},
        term(row_distance(ap, rows.d, rows.options.p), row_distance(an, rows.d, rows.options.p),
             rows.options.swap ? row_distance(pn, rows.d, rows.options.p) : 0, rows.options) {}
  RowDifference ap, an, pn;
  TripletMarginTerm term;
};

__global__ void __launch_bounds__(kBlock) triplet_margin_forward_kernel(TripletRows rows, double* losses) {
  const int64_t i = row_of_warp();
  if (i >= rows.count) return;
  const WarpTriplet t(rows, i);
  if (lane_of_thread() == 0) losses[i] = t.term.loss;
}

// weight dD/dz of one pair, D = d or d^2.
struct PairGradient {
  __device__ __forceinline__ PairGradient(const RowDifference& z, const TripletRows& rows, double distance,
                                          double weight)
      : distance(distance),
        weight(rows.options.squared ? weight * 2 * distance : weight),
        deciding(deciding_coordinates(z, rows.d, rows.options.p, distance)) {}
  __device__ __forceinline__ float at(double z, double p) const {
    return weight == 0 || distance == 0 ? 0.0f
                                        : static_cast<float>(weight * norm_slope(z, distance, p, deciding));
  }
  double distance, weight, deciding;
};

__global__ void __launch_bounds__(kBlock)
    triplet_margin_backward_kernel(TripletRows rows, const double* scale, float* da, float* dp, float* dn) {
  const int64_t i = row_of_warp();
  if (i >= rows.count) return;
  const WarpTriplet t(rows, i);
  const double weight = scale[i] * t.term.slope;
  const PairGradient ap(t.ap, rows, t.term.d_ap, weight),
      an(t.an, rows, t.term.d_an, -weight * (1 - t.term.share)),
      pn(t.pn, rows, t.term.d_pn, -weight * t.term.share);
  for (int64_t k = lane_of_thread(); k < rows.d; k += kWarp) {
    const float g_ap = ap.at(t.ap(k), rows.options.p), g_an = an.at(t.an(k), rows.options.p),
                g_pn = pn.at(t.pn(k), rows.options.p);
    da[i * rows.d + k] = g_ap + g_an;
    dp[i * rows.d + k] = -g_ap + g_pn;
    dn[i * rows.d + k] = -g_an - g_pn;
  }
}

TripletRows rows_of(const Tensor& a, const Tensor& p, const Tensor& n, const TripletMarginOptions& options) {
  check<DTypeError>(a.dtype() == DType::F32, "triplet_margin_loss: dtype ", a.dtype(),
                    " is not supported on cuda, allowed is f32; hint: compute f64 on the CPU");
  return {input<float>(a), input<float>(p), input<float>(n), a.size(0), a.size(1), options, options.added()};
}

}  // namespace

void triplet_margin_forward(const Tensor& a, const Tensor& p, const Tensor& n,
                            const TripletMarginOptions& options, const Tensor& losses) {
  launch("triplet_margin_loss", triplet_margin_forward_kernel, blocks_for_rows(a.size(0)), dim3(kBlock), 0,
         stream_of(a), rows_of(a, p, n, options), output<double>(losses));
}

void triplet_margin_backward(const Tensor& scale, const Tensor& a, const Tensor& p, const Tensor& n,
                             const TripletMarginOptions& options, const Tensor& da, const Tensor& dp,
                             const Tensor& dn) {
  launch("triplet_margin_loss backward", triplet_margin_backward_kernel, blocks_for_rows(a.size(0)),
         dim3(kBlock), 0, stream_of(a), rows_of(a, p, n, options), input<double>(scale), output<float>(da),
         output<float>(dp), output<float>(dn));
}

}  // namespace tern::cu
