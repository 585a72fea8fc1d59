// Softmax and log-softmax (ops/softmax.h): three passes over a row that stays in the cache.

#include "tern/ops/softmax.h"

#include "tern/cuda/row_softmax.cuh"

namespace tern::cu {
namespace {

enum class Form { Plain, Log };

template <int kThreads, Form kForm>
__global__ void __launch_bounds__(kBlock) softmax_kernel(const float* x, float* y, int64_t rows, int64_t C) {
  const RowThread<kThreads> t;
  if (t.row >= rows) return;  // a whole group
  x += t.row * C;
  y += t.row * C;
  const float m = row_maximum<kThreads>(x, C, t.lane), s = row_exp_sum<kThreads>(x, m, C, t.lane);
  const float log_s = kForm == Form::Log ? math::log(s) : 0;
  for (int64_t c = t.lane; c < C; c += kThreads)
    y[c] = kForm == Form::Log ? x[c] - m - log_s : math::exp(x[c] - m) / s;
}

template <int kThreads, Form kForm>
__global__ void __launch_bounds__(kBlock)
    softmax_backward_kernel(const float* y, const float* dy, float* dx, int64_t rows, int64_t C) {
  const RowThread<kThreads> t;
  if (t.row >= rows) return;
  y += t.row * C;
  dy += t.row * C;
  dx += t.row * C;
  double sum = 0;
  for (int64_t c = t.lane; c < C; c += kThreads)
    sum += kForm == Form::Log ? static_cast<double>(dy[c])
                              : static_cast<double>(dy[c]) * static_cast<double>(y[c]);
  const auto total = static_cast<float>(row_sum<kThreads>(sum));
  for (int64_t c = t.lane; c < C; c += kThreads)
    dx[c] = kForm == Form::Log ? dy[c] - math::exp(y[c]) * total : y[c] * (dy[c] - total);
}

template <Form kForm>
void forward(const char* name, const Tensor& x, const Tensor& y) {
  check_row_type(name, x);
  const int64_t C = x.size(-1), rows = x.numel() / C;
  for_row_group(rows, C, [&](auto threads, dim3 grid) {
    launch(name, softmax_kernel<threads(), kForm>, grid, dim3(kBlock), 0, stream_of(x), input<float>(x),
           output<float>(y), rows, C);
  });
}

template <Form kForm>
void backward(const char* name, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  check_row_type(name, y);
  const int64_t C = y.size(-1), rows = y.numel() / C;
  for_row_group(rows, C, [&](auto threads, dim3 grid) {
    launch(name, softmax_backward_kernel<threads(), kForm>, grid, dim3(kBlock), 0, stream_of(y),
           input<float>(y), input<float>(dy), output<float>(dx), rows, C);
  });
}

}  // namespace

void softmax(const Tensor& x, const Tensor& y) { forward<Form::Plain>("softmax", x, y); }
void softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  backward<Form::Plain>("softmax_backward", y, dy, dx);
}
void log_softmax(const Tensor& x, const Tensor& y) { forward<Form::Log>("log_softmax", x, y); }
void log_softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  backward<Form::Log>("log_softmax_backward", y, dy, dx);
}

}  // namespace tern::cu
