#include "tern/ops/softmax.h"

#include "tern/cpu/reference/softmax.h"
#include "tern/cpu/softmax_rows.h"

namespace tern::cpu {
namespace {

template <class T, class Row>
void map_rows(const Tensor& x, const Tensor& y, const Row& row) {
  const int64_t C = x.size(-1);
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  for_each_row(x.numel() / C, C, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) row(in + r * C, out + r * C, C);
  });
}

template <class T, class Row>
void map_rows_backward(const Tensor& y, const Tensor& dy, const Tensor& dx, const Row& row) {
  const int64_t C = y.size(-1);
  const T *py = y.data<T>(), *pdy = dy.data<T>();
  T* out = dx.mutable_data<T>();
  for_each_row(y.numel() / C, C, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) row(py + r * C, pdy + r * C, out + r * C, C);
  });
}

}  // namespace

void softmax(const Tensor& x, const Tensor& y) {
  dispatch(
      "softmax", x.dtype(), [&] { map_rows<float>(x, y, softmax_kernels().softmax); },
      [&]<class T>(T) { map_rows<T>(x, y, reference::softmax_row<T>); });
}

void softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  dispatch(
      "softmax_backward", y.dtype(),
      [&] { map_rows_backward<float>(y, dy, dx, softmax_kernels().softmax_backward); },
      [&]<class T>(T) { map_rows_backward<T>(y, dy, dx, reference::softmax_backward_row<T>); });
}

void log_softmax(const Tensor& x, const Tensor& y) {
  dispatch(
      "log_softmax", x.dtype(), [&] { map_rows<float>(x, y, softmax_kernels().log_softmax); },
      [&]<class T>(T) { map_rows<T>(x, y, reference::log_softmax_row<T>); });
}

void log_softmax_backward(const Tensor& y, const Tensor& dy, const Tensor& dx) {
  dispatch(
      "log_softmax_backward", y.dtype(),
      [&] { map_rows_backward<float>(y, dy, dx, softmax_kernels().log_softmax_backward); },
      [&]<class T>(T) { map_rows_backward<T>(y, dy, dx, reference::log_softmax_backward_row<T>); });
}

}  // namespace tern::cpu
