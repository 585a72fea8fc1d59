#include "tern/ops/augment.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "tern/core/parallel.h"
#include "tern/cpu/augment_kernels.h"
#include "tern/cpu/bf16.h"
#include "tern/cpu/isa.h"
#include "tern/cpu/reference/augment.h"

namespace tern::cpu {

namespace {

const AugmentKernels& augment_kernels() {
  return isa_pick(
      []() -> auto& { return baseline::augment_table; }, []() -> auto& { return avx2::augment_table; },
      []() -> auto& { return avx512::augment_table; });
}

AugmentJob make_job(const AugmentGeometry& g, const uint8_t* photo, const int32_t* row) {
  const auto size = static_cast<int32_t>(g.size);
  AugmentJob job{};
  job.photo = photo;
  job.height = static_cast<int32_t>(g.height);
  job.width = static_cast<int32_t>(g.width);
  job.channels = static_cast<int32_t>(g.channels);
  job.size = size;
  job.m00 = row[kAugmentM00], job.m01 = row[kAugmentM01], job.tx = row[kAugmentTx];
  job.m10 = row[kAugmentM10], job.m11 = row[kAugmentM11], job.ty = row[kAugmentTy];
  job.gain = row[kAugmentGain], job.bias = row[kAugmentBias], job.saturation = row[kAugmentSaturation];
  job.erase_x0 = std::clamp(row[kAugmentEraseX0], 0, size);
  job.erase_x1 = std::clamp(row[kAugmentEraseX1], job.erase_x0, size);
  job.erase_y0 = std::clamp(row[kAugmentEraseY0], 0, size);
  job.erase_y1 = std::clamp(row[kAugmentEraseY1], job.erase_y0, size);
  job.colour = row[kAugmentColour];
  for (int c = 0; c < 3; ++c) job.mean[c] = g.mean[c], job.std[c] = g.std[c];
  return job;
}

}  // namespace

void augment(const AugmentGeometry& g, const Tensor& photos, const Tensor& table, const Tensor& y) {
  if (y.dtype() == DType::BF16)
    return narrowing(y, [&](const Tensor& out) { augment(g, photos, table, out); });
  const uint8_t* photo = photos.data<uint8_t>();
  const int32_t* rows = table.data<int32_t>();
  float* out = Tensor(y).mutable_data<float>();
  const int64_t photo_bytes = g.height * g.width * g.channels, row_elements = g.size * g.channels;
  if (use_reference()) {
    parallel_for(g.photos, 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n)
        reference::augment(g, photo + n * photo_bytes, rows + n * kAugmentColumns,
                           out + n * g.size * row_elements);
    });
    return;
  }
  // The kernel reads a few bytes beyond a photo: the last one is read from a copy that has them.
  const int64_t last = g.photos - 1;
  std::vector<uint8_t> padded(static_cast<size_t>(photo_bytes + 4));
  if (last >= 0) std::memcpy(padded.data(), photo + last * photo_bytes, static_cast<size_t>(photo_bytes));
  const AugmentKernels& table_of_kernels = augment_kernels();
  constexpr int64_t kRowsPerTask = 32;
  parallel_for(g.photos * g.size, kRowsPerTask, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> scratch(static_cast<size_t>(g.size * kAugmentScratch));
    AugmentJob job{};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / g.size, oy = i % g.size;
      if (i == begin || oy == 0) {
        job = make_job(g, n == last ? padded.data() : photo + n * photo_bytes, rows + n * kAugmentColumns);
        job.scratch = scratch.data();
      }
      table_of_kernels.row(job, static_cast<int32_t>(oy), out + i * row_elements);
    }
  });
}

}  // namespace tern::cpu
