#include "tern/cpu/channel_moments.h"

#include <algorithm>

#include "tern/core/dtype.h"
#include "tern/core/parallel.h"
#include "tern/cpu/panel_sizes.h"

namespace tern::cpu {

void ChannelMoments::cut(int64_t ranges) {
  ranges_ = ranges;
  parts_.emplace(ranges * 2 * channels_);
  counts_.emplace(ranges);
}

template <class T>
void ChannelMoments::take(int64_t range, int64_t rows, const T* y, int64_t first, int64_t n) {
  if (first == 0) (*counts_)[range] = rows;
  double* const means = parts_->data() + range * 2 * channels_ + first;
  for (int64_t c = 0; c < n; c += kPanelBlock)
    batch_norm_kernels<T>().statistics({rows, std::min(kPanelBlock, n - c), channels_}, y + c, means + c,
                                       means + channels_ + c);
}
template void ChannelMoments::take(int64_t, int64_t, const float*, int64_t, int64_t);
template void ChannelMoments::take(int64_t, int64_t, const bfloat16*, int64_t, int64_t);

void ChannelMoments::finish(double* mean, double* variance) const {
  constexpr int64_t kChannels = 64;  // of a task
  parallel_for(channels_, kChannels, [&](int64_t begin, int64_t end) {
    std::fill(mean + begin, mean + end, 0.0);
    std::fill(variance + begin, variance + end, 0.0);
    double count = 0;
    for (int64_t r = 0; r < ranges_; ++r) {
      const double n = static_cast<double>((*counts_)[r]);
      const double *means = parts_->data() + r * 2 * channels_, *squares = means + channels_;
      const MomentsMerge merge(count, n);
      for (int64_t c = begin; c < end; ++c) merge(mean[c], variance[c], means[c], squares[c]);
      count += n;
    }
    for (int64_t c = begin; c < end; ++c) variance[c] /= static_cast<double>(rows_);
  });
}

}  // namespace tern::cpu
