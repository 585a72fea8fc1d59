// Instance normalisation is batch normalisation of one image at a time, so the vector code is that of
// cpu/batch_norm.cpp. Images are independent: they run side by side, and a large one is cut further.

#include "tern/ops/instance_norm.h"

#include "tern/core/parallel.h"
#include "tern/cpu/channel_panels.h"
#include "tern/cpu/reference/instance_norm.h"
#include "tern/ops/batch_norm.h"

namespace tern::cpu {
namespace {

template <class P>
const P* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<P>() : nullptr;
}

// The part of image n in a tensor whose first axis are the images.
Tensor image_of(const Tensor& t, int64_t n, const Shape& shape) {
  return Tensor::view_of(Ref<Storage>(&t.storage()), t.element_offset() + n * shape.numel(), shape,
                         t.dtype());
}

BatchNormGeometry geometry_of_image(const InstanceNormGeometry& g) {
  return {.rows = g.positions, .channels = g.channels, .eps = g.eps, .training = true};
}

template <class Body>
void for_each_image(const InstanceNormGeometry& g, const Body& body) {
  parallel_for(g.images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) body(n);
  });
}

}  // namespace

void instance_norm_forward(const InstanceNormGeometry& g, const Tensor& x, const Tensor& gamma,
                           const Tensor& beta, const Tensor& statistics, const Tensor& y) {
  by_type(
      x.dtype(),
      [&]<class T, class P>(T, P) {
        reference::instance_norm_forward(g, x.data<T>(), data_or_null<P>(gamma), data_or_null<P>(beta),
                                         statistics.mutable_data<double>(), y.mutable_data<T>());
      },
      [&](auto) {
        const BatchNormGeometry image = geometry_of_image(g);
        const Shape pixels{g.positions, g.channels};
        for_each_image(g, [&](int64_t n) {
          const BatchNormInputs in{image_of(x, n, pixels), gamma, beta};
          const BatchNormState state{.statistics = image_of(statistics, n, {2, g.channels})};
          batch_norm_statistics(image, in.x, state.statistics);
          batch_norm_apply(image, in, state, image_of(y, n, pixels));
        });
      });
}

void instance_norm_backward(const InstanceNormGeometry& g, const Tensor& dy, const Tensor& x,
                            const Tensor& gamma, const Tensor& statistics, const Tensor& sums,
                            const Tensor& dx) {
  by_type(
      x.dtype(),
      [&]<class T, class P>(T, P) {
        reference::instance_norm_backward(g, dy.data<T>(), x.data<T>(), data_or_null<P>(gamma),
                                          statistics.data<double>(), sums.mutable_data<double>(),
                                          dx.defined() ? dx.mutable_data<T>() : nullptr);
      },
      [&](auto) {
        const BatchNormGeometry image = geometry_of_image(g);
        const Shape pixels{g.positions, g.channels};
        double* all = sums.mutable_data<double>();
        for_each_image(g, [&](int64_t n) {
          const BatchNormInputs in{image_of(x, n, pixels), gamma};
          const BatchNormState state{.statistics = image_of(statistics, n, {2, g.channels})};
          const Tensor own = Tensor::empty({3, g.channels}, {.dtype = DType::F64});  // the third: of PReLU
          const Tensor dy_image = image_of(dy, n, pixels);
          batch_norm_backward_reduce(image, dy_image, in, state, own);
          std::copy_n(own.data<double>(), 2 * g.channels, all + 2 * n * g.channels);
          if (dx.defined())
            batch_norm_backward_apply(image, dy_image, in, state, own, image_of(dx, n, pixels), {});
        });
      });
}

void instance_norm_backward_parameters(const InstanceNormGeometry& g, const Tensor& statistics,
                                       const Tensor& sums, const Tensor& dgamma, const Tensor& dbeta) {
  const auto run = [&]<class P>(P) {
    reference::instance_norm_backward_parameters(g, statistics.data<double>(), sums.data<double>(),
                                                 dgamma.mutable_data<P>(), dbeta.mutable_data<P>());
  };
  dgamma.dtype() == DType::F64 ? run(double{}) : run(float{});
}

}  // namespace tern::cpu
