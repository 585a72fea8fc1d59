// Distances between rows. pairwise_distance gives each row to a warp and sums in f64. cdist takes the
// products of all pairs from one matrix product, in the place of the result, and turns them into distances.

#include "tern/ops/distance.h"

#include "tern/cuda/gemm.h"
#include "tern/cuda/row_norm.cuh"
#include "tern/cuda/weighted_differences.cuh"

namespace tern::cu {
namespace {

// ---- pairwise_distance ----

__global__ void __launch_bounds__(kBlock)
    pairwise_forward_kernel(const float* a, const float* b, int64_t n, int64_t d,
                            PairwiseDistanceOptions options, float* out) {
  const int64_t i = row_of_warp();
  if (i >= n) return;
  const double distance = row_distance({a + i * d, b + i * d, options.eps}, d, options.p);
  if (lane_of_thread() == 0) out[i] = static_cast<float>(distance);
}

__global__ void __launch_bounds__(kBlock)
    pairwise_backward_kernel(const float* dy, const float* a, const float* b, int64_t n, int64_t d,
                             PairwiseDistanceOptions options, float* da, float* db) {
  const int64_t i = row_of_warp();
  if (i >= n) return;
  const RowDifference z{a + i * d, b + i * d, options.eps};
  const double distance = row_distance(z, d, options.p), g = static_cast<double>(dy[i]);
  const double deciding = deciding_coordinates(z, d, options.p, distance);
  // By whole warps: norm_slope calls a function, and calling it with some lanes only costs sm_86 a spill.
  for (int64_t first = 0; first < d; first += kWarp) {
    const int64_t k = first + lane_of_thread();
    const double slope = distance == 0 ? 0 : norm_slope(k < d ? z(k) : 0, distance, options.p, deciding);
    if (k >= d) break;
    const float gradient = static_cast<float>(distance == 0 ? 0 : g * slope);
    da[i * d + k] = gradient;
    db[i * d + k] = -gradient;
  }
}

// ---- cdist ----

__global__ void __launch_bounds__(kBlock) norms_kernel(const float* x, int64_t n, int64_t d, double* norms) {
  const int64_t i = row_of_warp();
  if (i >= n) return;
  double sum = 0;
  for (int64_t k = lane_of_thread(); k < d; k += kWarp) {
    const double v = static_cast<double>(x[i * d + k]);
    sum += v * v;
  }
  sum = warp_sum(sum);
  if (lane_of_thread() == 0) norms[i] = sum;
}

// d holds the products. A row of zeros adds 1/2 to its cosine distances, which makes them 1.
__global__ void __launch_bounds__(kBlock)
    cdist_kernel(const float* a, const float* b, const double* norms_a, const double* norms_b, int64_t n,
                 int64_t m, int64_t dim, Distance distance, float* d) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t t = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; t < n * m; t += step) {
    const int64_t i = t / m, j = t % m;
    float value = gram_distance(d[t], static_cast<float>(norms_a[i]), static_cast<float>(norms_b[j]),
                                a + i * dim, b + j * dim, dim, distance);
    if (distance == Distance::Cosine)
      value += 0.5f * static_cast<float>((norms_a[i] == 0) + (norms_b[j] == 0));
    d[t] = value;
  }
}

// The weight of (x_i - others_j), from dy and d in whichever order they lie.
struct CdistWeights {
  using Value = float;
  const float *dy, *d;
  int64_t row, column;  // distances of elements
  Distance distance;
  __device__ float operator()(int64_t i, int64_t j) const {
    const int64_t at = i * row + j * column;
    return dy[at] * distance_slope(d[at], distance);
  }
};

}  // namespace

void squared_norms_of_rows(cudaStream_t stream, const float* x, int64_t n, int64_t d, double* norms) {
  launch("squared_norms_of_rows", norms_kernel, blocks_for_rows(n), dim3(kBlock), 0, stream, x, n, d, norms);
}

void pairwise_distance_forward(const Tensor& a, const Tensor& b, PairwiseDistanceOptions options,
                               const Tensor& d) {
  check_f32("pairwise_distance", a);
  launch("pairwise_distance", pairwise_forward_kernel, blocks_for_rows(a.size(0)), dim3(kBlock), 0,
         stream_of(a), input<float>(a), input<float>(b), a.size(0), a.size(1), options, output<float>(d));
}

void pairwise_distance_backward(const Tensor& dy, const Tensor& a, const Tensor& b,
                                PairwiseDistanceOptions options, const Tensor& da, const Tensor& db) {
  launch("pairwise_distance backward", pairwise_backward_kernel, blocks_for_rows(a.size(0)), dim3(kBlock), 0,
         stream_of(a), input<float>(dy), input<float>(a), input<float>(b), a.size(0), a.size(1), options,
         output<float>(da), output<float>(db));
}

void cdist_forward(const Tensor& a, const Tensor& b, Distance distance, const Tensor& d) {
  check_f32("cdist", a);
  const int64_t n = a.size(0), m = b.size(0), dim = a.size(1);
  if (n == 0 || m == 0) return;
  const Tensor norms = Tensor::empty({n + m}, {DType::F64, a.device()});
  double* squares = output<double>(norms);
  squared_norms_of_rows(stream_of(a), input<float>(a), n, dim, squares);
  squared_norms_of_rows(stream_of(a), input<float>(b), m, dim, squares + n);
  gemm(a.device(), {.m = n, .n = m, .k = dim, .transpose_b = true}, a.raw_data(), b.raw_data(), nullptr,
       output<float>(d));
  launch("cdist", cdist_kernel, blocks_for(n * m), dim3(kBlock), 0, stream_of(a), input<float>(a),
         input<float>(b), squares, squares + n, n, m, dim, distance, output<float>(d));
}

void cdist_backward(const Tensor& dy, const Tensor& a, const Tensor& b, const Tensor& d, Distance distance,
                    bool transposed, const Tensor& da) {
  const int64_t n = a.size(0), m = b.size(0);
  const CdistWeights weights{input<float>(dy), input<float>(d), transposed ? 1 : m, transposed ? n : 1,
                             distance};
  weighted_differences("cdist backward", stream_of(a), weights, input<float>(a), input<float>(b), n, m,
                       a.size(1), output<float>(da));
}

}  // namespace tern::cu
