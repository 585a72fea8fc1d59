// Depthwise convolution on small integers, where every order of adding gives the same bits: all forms of the
// vector code (blocks of neighbours, edges, wide kernels, dilation, strides) against the naive loops.

#include "tern/ops/conv2d.h"
#include "tests/support/tensors.h"

namespace tern {
namespace {

using namespace test;

struct Case {
  int64_t channels, height, width, kernel, stride, padding, dilation;
};

// f32, or bf16 where the sums stay below 2^8.
void check(const Case& c, DType dtype) {
  SCOPED_TRACE(concat_text(dtype, " ", c.channels, " channels ", c.height, "x", c.width, " kernel ", c.kernel,
                           " stride ", c.stride, " padding ", c.padding, " dilation ", c.dilation));
  const Conv2dOptions options{
      .stride = c.stride, .padding = c.padding, .dilation = c.dilation, .groups = c.channels};
  const Shape x_shape{2, c.height, c.width, c.channels}, w_shape{c.channels, c.kernel, c.kernel, 1};
  const Conv2dGeometry g = conv2d_geometry(x_shape, w_shape, options);
  const int most = dtype == DType::BF16 ? 1 : 3;
  const Tensor x = random_ints(x_shape, DType::F32, 1, -most, most).to(dtype),
               dy = random_ints(g.y_shape(), DType::F32, 2, -most, most).to(dtype),
               w = random_ints(w_shape, DType::F32, 3, -most, most),
               bias = random_ints({c.channels}, DType::F32, 4, -most, most);
  const cpu::Isa before = cpu::active_isa();
  cpu::set_isa(cpu::Isa::Reference);
  const Tensor y = conv2d(x, w, bias, options), dx = conv2d_backward_data(g, dy, w),
               dw = conv2d_backward_weight(g, dy, x);
  cpu::set_isa(before);
  for_each_isa([&](cpu::Isa isa) {
    SCOPED_TRACE(to_string(isa));
    expect_close(conv2d(x, w, bias, options), y, 0);
    expect_close(conv2d_backward_data(g, dy, w), dx, 0);
    expect_close(conv2d_backward_weight(g, dy, x), dw, 0);
  });
}

void check_kernel(int64_t kernel) {
  int64_t i = 0;
  for (const int64_t stride : {1, 2, 3})
    for (const int64_t dilation : {1, 2})
      for (const int64_t width : {1, 6, 11, 18}) {
        const int64_t channels[] = {1, 16, 35, 5}, reach = dilation * (kernel - 1) + 1;
        const int64_t padding = width < reach ? kernel * dilation / 2 : i % 3;
        ++i;
        if (width + 2 * padding < reach) continue;
        const Case c{channels[i % 4], width, width + i % 2, kernel, stride, padding, dilation};
        check(c, DType::F32);
        check(c, DType::BF16);
      }
}

TEST(Depthwise, ExactOnSmallIntegers1x1) { check_kernel(1); }
TEST(Depthwise, ExactOnSmallIntegers2x2) { check_kernel(2); }
TEST(Depthwise, ExactOnSmallIntegers3x3) { check_kernel(3); }
TEST(Depthwise, ExactOnSmallIntegers5x5) { check_kernel(5); }
TEST(Depthwise, ExactOnSmallIntegers7x7) { check_kernel(7); }

}  // namespace
}  // namespace tern
