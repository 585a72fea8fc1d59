// Convolutions in a row, depth first: one image after another runs through all of them, a few rows of the
// last output at a time. What lies between two steps never leaves the second-level cache.
//
//   for each image                                        (tasks, in parallel)
//     for each group of rows of the last output, of about kPixelGroup pixels
//       the last step asks the step before for the rows that its taps reach and that are not there yet, that
//       one the step before it, and so on back to the image; then each computes its rows from theirs
//
// A step keeps the last rows it has made in a window: those that later rows of the next step reach too are
// not computed twice. The sums are those of conv2d.cpp and depthwise.cpp in the same order, so the results
// have the same bits as one convolution after the other.

#include <algorithm>
#include <optional>
#include <vector>

#include "tern/core/parallel.h"
#include "tern/cpu/conv2d_pointwise.h"
#include "tern/cpu/conv2d_rows.h"
#include "tern/cpu/depthwise.h"
#include "tern/cpu/isa.h"

namespace tern::cpu {
namespace {

// A step, as all threads see it.
struct Step {
  Step(const Conv2dGeometry& g, const Conv2dStep& step, const Conv2dGeometry* next, const Tensor& y)
      : g(g), bias(bias_data(step.bias)), epilogue(step.epilogue, y), pixel(g.o) {
    if (is_pointwise(g)) {
      panels = pointwise_filters(g, step.weight);
      return;
    }
    depthwise.emplace(g, step.weight, bias, epilogue);
    if (next && is_pointwise(*next)) pixel = spread(g.o);  // the rows of its tiles
  }
  // The rows of its input that output row i reaches: [reach(i), end(i)).
  int64_t reach(int64_t i) const { return std::clamp<int64_t>(i * g.stride.h - g.padding.h, 0, g.h); }
  int64_t end(int64_t i) const { return std::clamp<int64_t>(i * g.stride.h - g.padding.h + span(), 0, g.h); }
  int64_t span() const { return (g.kh - 1) * g.dilation.h + 1; }

  const Conv2dGeometry& g;
  const float* bias;
  Epilogue<float> epilogue;
  int64_t pixel;  // floats from one pixel of its output to the next
  std::shared_ptr<const PackedB> panels;
  std::optional<DepthwiseRows<float>> depthwise;
};

// Rows [first, end) of what a step has made of an image.
struct Window {
  Window(int64_t capacity, int64_t floats) : capacity(capacity), floats(floats), data(capacity * floats) {}
  float* row(int64_t i) const { return data.data() + (i - first) * floats; }
  // Room for rows up to `last`, of which those from `needed` on stay.
  void make_room(int64_t needed, int64_t last) {
    if (last - first <= capacity) return;
    if (needed < end) std::copy(row(needed), row(end), data.data());
    first = needed;
    end = std::max(end, needed);
  }
  int64_t capacity, floats, first = 0, end = 0;
  Scratch<float> data;
};

// The images of one thread.
class ImageChain {
 public:
  ImageChain(const std::vector<std::unique_ptr<Step>>& steps, const float* x, float* y)
      : steps_(steps), x_(x), y_(y) {
    constexpr int64_t kCachedFloats = 64 * 1024;
    const Conv2dGeometry& last = steps.back()->g;
    group_ = std::clamp<int64_t>((kPixelGroup + last.out_w - 1) / last.out_w, 1, last.out_h);
    windows_.resize(steps.size() - 1);
    int64_t rows = group_;
    for (size_t k = steps.size() - 1; k > 0; --k) {
      const Step &step = *steps[k], &before = *steps[k - 1];
      rows = std::min(before.g.out_h, (rows - 1) * step.g.stride.h + step.span());
      const int64_t floats = before.g.out_w * before.pixel;
      const int64_t capacity = std::clamp(kCachedFloats / floats, rows, before.g.out_h);
      windows_[k - 1] = std::make_unique<Window>(capacity, floats);
    }
  }

  void run(int64_t image) {
    const Conv2dGeometry &first = steps_.front()->g, &last = steps_.back()->g;
    image_ = x_ + image * first.h * first.w * first.c;
    float* y = y_ + image * last.out_h * last.out_w * last.o;
    for (auto& window : windows_) window->first = window->end = 0;
    for (int64_t i = 0; i < last.out_h; i += group_)
      make(steps_.size() - 1, i, std::min(last.out_h, i + group_), y + i * last.out_w * last.o);
  }

 private:
  // Rows [begin, end) of step k.
  void make(size_t k, int64_t begin, int64_t end, float* to) {
    const Step& step = *steps_[k];
    const Conv2dGeometry& g = step.g;
    const float* from = image_;
    int64_t first = 0, count = g.h, pixel = g.c;
    if (k > 0) {
      const Window& window = fetch(k - 1, step.reach(begin), step.end(end - 1));
      from = window.data.data();
      first = window.first;
      count = window.end - window.first;
      pixel = steps_[k - 1]->pixel;
    }
    if (step.panels) {
      const int64_t pixels = (end - begin) * g.out_w;
      multiply_pixels({.a = from + (begin - first) * g.w * pixel,
                       .a_pixel = pixel,
                       .pixels = pixels,
                       .b = *step.panels,
                       .first_panel = 0,
                       .last_panel = step.panels->panels,
                       .bias = step.bias,
                       .c = to,
                       .c_pixel = step.pixel,
                       .epilogue = step.epilogue});
      return;
    }
    for (int64_t i = begin; i < end; ++i, to += g.out_w * step.pixel)
      step.depthwise->run(from, first, count, i, to, step.pixel);
  }

  // A window with the rows [needed, last) of step k; earlier ones will not be asked for again.
  const Window& fetch(size_t k, int64_t needed, int64_t last) {
    Window& window = *windows_[k];
    window.make_room(needed, last);
    if (window.end < last) {
      make(k, window.end, last, window.row(window.end));
      window.end = last;
    }
    return window;
  }

  const std::vector<std::unique_ptr<Step>>& steps_;
  const float* x_;
  float* y_;
  const float* image_ = nullptr;
  int64_t group_;
  std::vector<std::unique_ptr<Window>> windows_;
};

}  // namespace

bool conv2d_chain_fits(std::span<const Conv2dGeometry> geometries, const Tensor& x,
                       std::span<const Conv2dStep> steps) {
  constexpr int64_t kLeastImages = 8;  // fewer would leave threads without work
  if (x.dtype() != DType::F32 || use_reference() || steps.size() < 2 || x.size(0) < kLeastImages)
    return false;
  for (size_t k = 0; k < steps.size(); ++k) {
    const bool last = k + 1 == steps.size();
    if (!is_pointwise(geometries[k]) && !is_depthwise(geometries[k])) return false;
    if (steps[k].epilogue.residual.defined() && !last) return false;
  }
  return true;
}

void conv2d_chain(std::span<const Conv2dGeometry> geometries, const Tensor& x,
                  std::span<const Conv2dStep> steps, const Tensor& y) {
  std::vector<std::unique_ptr<Step>> made;
  for (size_t k = 0; k < steps.size(); ++k)
    made.push_back(std::make_unique<Step>(geometries[k], steps[k],
                                          k + 1 < steps.size() ? &geometries[k + 1] : nullptr, y));
  Tensor out = y;
  const float* from = x.data<float>();
  float* to = out.mutable_data<float>();
  parallel_for(x.size(0), 1, [&](int64_t begin, int64_t end) {
    ImageChain chain(made, from, to);
    for (int64_t image = begin; image < end; ++image) chain.run(image);
  });
}

}  // namespace tern::cpu
