#include "tern/cpu/softmax_kernels.h"

#include "tern/cpu/vec.h"
#include "tern/ops/math.h"

namespace tern::cpu::TERN_ISA {
namespace {

using V = Vec<float>;

// body(i, n): one vector of n elements, n = kLanes except perhaps for the last.
template <class Body>
TERN_INLINE void for_each_vector(int64_t C, const Body& body) {
  int64_t i = 0;
  for (; i + V::kLanes <= C; i += V::kLanes) body(i, int64_t{V::kLanes});
  if (i < C) body(i, C - i);
}

TERN_INLINE V load(const float* p, int64_t n) { return n == V::kLanes ? V::load(p) : V::load_partial(p, n); }
TERN_INLINE void store(V v, float* p, int64_t n) {
  if (n == V::kLanes) v.store(p);
  else v.store_partial(p, n);
}
// Lanes from n on are fill: they must not change a maximum or a sum.
TERN_INLINE V load_or(const float* p, int64_t n, float fill) {
  if (n == V::kLanes) return V::load(p);
  float buffer[V::kLanes];
  for (int64_t i = 0; i < V::kLanes; ++i) buffer[i] = fill;
  for (int64_t i = 0; i < n; ++i) buffer[i] = p[i];
  return V::load(buffer);
}

TERN_INLINE float row_max(const float* x, int64_t C) {
  V m(x[0]);
  for_each_vector(C, [&](int64_t i, int64_t n) { m = max(load_or(x + i, n, x[0]), m); });
  float lanes[V::kLanes];
  m.store(lanes);
  float best = lanes[0];
  for (int i = 1; i < V::kLanes; ++i) best = lanes[i] > best ? lanes[i] : best;
  return best;
}

// Sum of e^(x - m), written to y as well where kStore.
template <bool kStore>
TERN_INLINE float row_exp_sum(const float* x, float m, float* y, int64_t C) {
  V s(0.0f);
  for_each_vector(C, [&](int64_t i, int64_t n) {
    const V e = math::exp(load_or(x + i, n, -__builtin_inff()) - V(m));
    if (kStore) store(e, y + i, n);
    s += e;
  });
  return sum_lanes(s);
}

void softmax(const float* x, float* y, int64_t C) {
  const float m = row_max(x, C);
  const V s(row_exp_sum<true>(x, m, y, C));
  for_each_vector(C, [&](int64_t i, int64_t n) { store(load(y + i, n) / s, y + i, n); });
}

void softmax_backward(const float* y, const float* dy, float* dx, int64_t C) {
  V dot(0.0f);
  for_each_vector(C, [&](int64_t i, int64_t n) { dot += load(y + i, n) * load(dy + i, n); });
  const V total(sum_lanes(dot));
  for_each_vector(
      C, [&](int64_t i, int64_t n) { store(load(y + i, n) * (load(dy + i, n) - total), dx + i, n); });
}

void log_softmax(const float* x, float* y, int64_t C) {
  const float m = row_max(x, C);
  const V log_s = math::log(V(row_exp_sum<false>(x, m, nullptr, C)));
  for_each_vector(C, [&](int64_t i, int64_t n) { store(load(x + i, n) - V(m) - log_s, y + i, n); });
}

void log_softmax_backward(const float* y, const float* dy, float* dx, int64_t C) {
  V sum(0.0f);
  for_each_vector(C, [&](int64_t i, int64_t n) { sum += load(dy + i, n); });
  const V total(sum_lanes(sum));
  for_each_vector(C, [&](int64_t i, int64_t n) {
    store(load(dy + i, n) - math::exp(load(y + i, n)) * total, dx + i, n);
  });
}

void row_stats(const float* x, int64_t C, float* stats) {
  const float m = row_max(x, C);
  V sum(0.0f);
  for_each_vector(C, [&](int64_t i, int64_t n) { sum += load_or(x + i, n, m) - V(m); });
  stats[0] = m;
  stats[1] = row_exp_sum<false>(x, m, nullptr, C);
  stats[2] = sum_lanes(sum);
}

void cross_entropy_backward(const float* x, int64_t C, float m, float s, float base, float dloss, float* dx) {
  for_each_vector(C, [&](int64_t i, int64_t n) {
    store(V(dloss) * (math::exp(load(x + i, n) - V(m)) / V(s) - V(base)), dx + i, n);
  });
}

}  // namespace

extern const SoftmaxKernels softmax_table;
const SoftmaxKernels softmax_table = {&softmax,   &softmax_backward,      &log_softmax, &log_softmax_backward,
                                      &row_stats, &cross_entropy_backward};

}  // namespace tern::cpu::TERN_ISA
