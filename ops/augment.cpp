#include "tern/ops/augment.h"

#include <cmath>
#include <cstring>

#include "tern/core/device.h"

namespace tern {

namespace {

constexpr int64_t kMaxPhotoSide = 2048;
constexpr int64_t kMaxSize = 1024;
constexpr int32_t kOne = 1 << 16;

struct Range {
  AugmentColumn column;
  int32_t low, high;
  const char* name;
};
constexpr Range kRanges[] = {
    {kAugmentM00, -4 * kOne, 4 * kOne, "m00"},
    {kAugmentM01, -4 * kOne, 4 * kOne, "m01"},
    {kAugmentM10, -4 * kOne, 4 * kOne, "m10"},
    {kAugmentM11, -4 * kOne, 4 * kOne, "m11"},
    {kAugmentTx, -(1 << 29), 1 << 29, "tx"},
    {kAugmentTy, -(1 << 29), 1 << 29, "ty"},
    {kAugmentGain, 0, 8 << 12, "gain"},
    {kAugmentBias, -1020 * 128, 1020 * 128, "bias"},
    {kAugmentSaturation, 0, 4 << 12, "saturation"},
    {kAugmentColour, 0, 0xFFFFFF, "colour"},
};

void check_table(const Tensor& table, int64_t rows) {
  const int32_t* row = table.data<int32_t>();
  for (int64_t n = 0; n < rows; ++n, row += kAugmentColumns)
    for (const Range& range : kRanges)
      check(row[range.column] >= range.low && row[range.column] <= range.high, "augment: table row ", n,
            " has ", range.name, " ", row[range.column], ", allowed is ", range.low, " .. ", range.high);
}

}  // namespace

Tensor augment(const Tensor& photos, const Tensor& table, const AugmentOutput& output) {
  check<DTypeError>(photos.dtype() == DType::U8 && table.dtype() == DType::I32, "augment: photos are ",
                    photos.dtype(), " and the table is ", table.dtype(), "; expected u8 and i32");
  check<ShapeError>(photos.rank() == 4 && (photos.size(3) == 1 || photos.size(3) == 3),
                    "augment: photos must be [N,H,W,1] or [N,H,W,3], got ", photos.shape());
  check<ShapeError>(table.rank() == 2 && table.size(0) == photos.size(0) && table.size(1) == kAugmentColumns,
                    "augment: the table must be [", photos.size(0), ",16], got ", table.shape());
  check<DeviceError>(photos.device() == table.device(), "augment: photos on ", photos.device(), ", table on ",
                     table.device());
  const AugmentGeometry g{photos.size(0), photos.size(1), photos.size(2), photos.size(3),
                          output.size,    output.mean,    output.std};
  check<ShapeError>(g.height >= 1 && g.height <= kMaxPhotoSide && g.width >= 1 && g.width <= kMaxPhotoSide,
                    "augment: photos of ", photos.shape(), "; a side is within 1 .. ", kMaxPhotoSide);
  check(g.size >= 1 && g.size <= kMaxSize, "augment: size ", g.size, " is not within 1 .. ", kMaxSize);
  for (int c = 0; c < g.channels; ++c)
    check(std::isfinite(g.mean[c]) && std::isfinite(g.std[c]) && g.std[c] > 0, "augment: channel ", c,
          " has mean ", g.mean[c], " and std ", g.std[c], "; both finite, std positive");
  check<DTypeError>(output.dtype == DType::F32 || output.dtype == DType::BF16,
                    "augment: the output is f32 or bf16, not ", output.dtype);
  if (table.device().is_cpu()) check_table(table, g.photos);
  Tensor y = Tensor::empty({g.photos, g.size, g.size, g.channels}, {output.dtype, photos.device()});
  on_device(
      photos.device(), [&] { cpu::augment(g, photos, table, y); }, [&] { cu::augment(g, photos, table, y); });
  return y;
}

AugmentRow identity_augment_row(int64_t height, int64_t width, int64_t size) {
  check(height >= size && width >= size && (height - size) % 2 == 0 && (width - size) % 2 == 0,
        "identity_augment_row: no middle of ", size, "x", size, " in ", height, "x", width);
  AugmentRow row{};
  row[kAugmentM00] = row[kAugmentM11] = kOne;
  row[kAugmentTx] = static_cast<int32_t>((width - size) / 2) * kOne;
  row[kAugmentTy] = static_cast<int32_t>((height - size) / 2) * kOne;
  row[kAugmentGain] = row[kAugmentSaturation] = 1 << 12;
  return row;
}

Tensor augment_table(const std::vector<AugmentRow>& rows) {
  Tensor table = Tensor::empty({static_cast<int64_t>(rows.size()), kAugmentColumns}, {DType::I32});
  if (!rows.empty())
    std::memcpy(table.mutable_data<int32_t>(), rows.data(), rows.size() * sizeof(AugmentRow));
  return table;
}

}  // namespace tern
