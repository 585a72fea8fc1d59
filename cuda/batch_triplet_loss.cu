#include "tern/ops/batch_triplet_loss.h"

#include "tern/cuda/batch_measures.cuh"
#include "tern/cuda/gemm.h"
#include "tern/cuda/triplet_batch.cuh"
#include "tern/cuda/weighted_differences.cuh"

namespace tern::cu {
namespace {

__global__ void __launch_bounds__(kBlock)
    summarize_norms_kernel(const double* norms, int64_t n, double* summary) {
  float largest = 0;
  bool finite = true;
  for (int64_t i = threadIdx.x; i < n; i += kBlock) {
    const float norm = static_cast<float>(norms[i]);
    finite = finite && norms[i] < __builtin_inf();  // false for NaN, too
    largest = norm > largest ? norm : largest;
  }
  largest = block_maximum<kBlock>(largest, 0.0f);
  const bool all = __syncthreads_and(finite) != 0;
  if (threadIdx.x != 0) return;
  summary[0] = static_cast<double>(largest);
  summary[1] = all ? 1 : 0;
}

// The slots of one anchor in a block. In spare, a row of the Gram matrix, lie the negatives' slopes until
// those of a negative that several positives chose have been added up, positives ascending.
__global__ void __launch_bounds__(kAnchorThreads)
    triplet_terms_kernel(TripletBatch b, TripletSlots slots, TripletResults to, float* spare) {
  const int64_t a = blockIdx.x, count = slots.per_anchor;
  const int32_t* slot = slots.at + a * count * 2;
  float *row = to.coefficients ? to.coefficients + a * b.n : nullptr,
        *slopes = row ? spare + a * count : nullptr;
  AnchorCounts counts;
  for (int64_t j = threadIdx.x; j < b.n; j += kAnchorThreads) {
    counts.members += b.is_negative(a, j) ? 0 : 1;
    if (row) row[j] = b.finite() ? 0.0f : __builtin_nanf("");
  }
  __syncthreads();
  for (int64_t t = threadIdx.x; t < count; t += kAnchorThreads) {
    const int64_t p = slot[2 * t], n = slot[2 * t + 1];
    if (n < 0) continue;
    const TermValue term(b.options, b.exact(a, p), b.exact(a, n));
    counts.loss += term.loss;
    counts.terms += 1;
    counts.active += term.loss > 0 ? 1 : 0;
    counts.hard += term.hard ? 1 : 0;
    counts.semi_hard += term.semi_hard ? 1 : 0;
    counts.sum_ap += term.d_ap;
    counts.sum_an += term.d_an;
    if (!row) continue;
    row[p] = static_cast<float>(term.slope * distance_slope(term.d_ap, b.options.distance));
    slopes[t] = static_cast<float>(term.slope * distance_slope(term.d_an, b.options.distance));
  }
  __syncthreads();
  for (int64_t t = threadIdx.x; t < count && row; t += kAnchorThreads) {
    const int32_t n = slot[2 * t + 1];
    bool first = n >= 0;
    for (int64_t q = 0; q < t && first; ++q) first = slot[2 * q + 1] != n;
    if (!first) continue;
    double sum = 0;
    for (int64_t q = t; q < count; ++q)
      if (slot[2 * q + 1] == n) sum += static_cast<double>(slopes[q]);
    row[n] = static_cast<float>(-sum);
  }
  counts.write<kAnchorThreads>(b, a, -1, -1, to);
}

// A prepared batch with the memory it lies in.
struct PreparedBatch {
  Tensor norms, summary, gram;
  TripletBatch batch;
};

PreparedBatch prepare_batch(const BatchTripletGeometry& g, const Tensor& u, const Tensor& labels) {
  check<DTypeError>(u.dtype() == DType::F32, "batch_triplet_loss: dtype ", u.dtype(),
                    " is not supported on cuda, allowed is f32; hint: compute f64 on the CPU");
  const TensorOptions wide{DType::F64, u.device()};
  PreparedBatch p;
  p.norms = Tensor::empty({g.n}, wide);
  p.summary = Tensor::empty({2}, wide);
  squared_norms_of_rows(stream_of(u), input<float>(u), g.n, g.d, output<double>(p.norms));
  launch("summarize_norms", summarize_norms_kernel, dim3(1), dim3(kBlock), 0, stream_of(u),
         input<double>(p.norms), g.n, output<double>(p.summary));
  if (g.options.mining != Mining::DistanceWeighted || g.need_gradient)
    p.gram = Tensor::empty({g.n, g.n}, {DType::F32, u.device()});
  if (g.options.mining != Mining::DistanceWeighted && g.n > 0)
    gemm(u.device(), {.m = g.n, .n = g.n, .k = g.d, .transpose_b = true}, u.raw_data(), u.raw_data(), nullptr,
         output<float>(p.gram));
  p.batch = {.u = input<float>(u),
             .labels = input<int64_t>(labels),
             .norms = input<double>(p.norms),
             .summary = input<double>(p.summary),
             .gram = p.gram.defined() ? output<float>(p.gram) : nullptr,
             .n = g.n,
             .d = g.d,
             .options = g.options,
             .step = draw_step(u.device(), g.options.step)};
  return p;
}

Tensor find_slots(const PreparedBatch& prepared, Device device) {
  const TripletBatch& b = prepared.batch;
  const int64_t each = slots_per_anchor(b.options.mining, b.n);
  const Tensor slots = Tensor::empty({b.n, each, 2}, {DType::I32, device});
  if (b.n > 0) mine_slots(device, b, {output<int32_t>(slots), each});
  return slots;
}

// S_ij = w_i C_ij + w_j C_ji
struct SymmetricWeights {
  using Value = float;
  const float* c;
  const double* w;
  int64_t n;
  __device__ float operator()(int64_t i, int64_t j) const {
    return static_cast<float>(w[i] * static_cast<double>(c[i * n + j]) +
                              w[j] * static_cast<double>(c[j * n + i]));
  }
};

}  // namespace

void triplet_terms(Device device, const TripletBatch& batch, const TripletSlots& slots,
                   const TripletResults& results) {
  launch("triplet_terms", triplet_terms_kernel, dim3(static_cast<unsigned>(batch.n)), dim3(kAnchorThreads), 0,
         runtime(device).compute_stream(), batch, slots, results, batch.gram);
}

BatchTripletTerms batch_triplet_forward(const BatchTripletGeometry& g, const Tensor& u,
                                        const Tensor& labels) {
  const Device device = u.device();
  const PreparedBatch prepared = prepare_batch(g, u, labels);
  BatchTripletTerms out;
  out.anchor_sums = Tensor::empty({g.n}, {DType::F64, device});
  if (g.need_gradient) out.coefficients = Tensor::empty({g.n, g.n}, {DType::F32, device});
  const Tensor records = Tensor::empty({g.n, kMeasures}, {DType::F64, device});
  const TripletResults results{g.need_gradient ? output<float>(out.coefficients) : nullptr,
                               output<double>(out.anchor_sums), output<double>(records)};
  const bool all = g.options.mining == Mining::BatchAll;
  Tensor slots;
  if (all) {
    all_triplets(device, prepared.batch, results);
  } else {
    slots = find_slots(prepared, device);
    triplet_terms(device, prepared.batch, {output<int32_t>(slots), slots.size(1)}, results);
  }
  out.measures = gather_measures(device, {.u = input<float>(u),
                                          .labels = input<int64_t>(labels),
                                          .n = g.n,
                                          .d = g.d,
                                          .distance = g.options.distance,
                                          .pairs = all ? PairsOf::Anchor : PairsOf::Slots,
                                          .slots = all ? nullptr : input<int32_t>(slots),
                                          .per_row = all ? 0 : slots.size(1),
                                          .records = output<double>(records)});
  return out;
}

Tensor batch_triplet_mine(const BatchTripletGeometry& g, const Tensor& u, const Tensor& labels) {
  const Tensor slots = find_slots(prepare_batch(g, u, labels), u.device()).to(kCpu);
  const int32_t* slot = slots.data<int32_t>();
  std::vector<int64_t> terms;
  for (int64_t t = 0; t < slots.numel() / 2; ++t)
    if (slot[2 * t + 1] >= 0) terms.insert(terms.end(), {t / slots.size(1), slot[2 * t], slot[2 * t + 1]});
  return Tensor::from_data(std::span<const int64_t>(terms), {static_cast<int64_t>(terms.size()) / 3, 3});
}

void batch_triplet_backward(const BatchTripletGeometry& g, const Tensor& u, const BatchTripletTerms& terms,
                            const Tensor& scale, const Tensor& du) {
  const SymmetricWeights weights{input<float>(terms.coefficients), input<double>(scale), g.n};
  weighted_differences("batch_triplet_loss backward", stream_of(u), weights, input<float>(u), input<float>(u),
                       g.n, g.n, g.d, output<float>(du));
}

}  // namespace tern::cu
