#pragma once
// augment: 8-bit photos to the normalised batch a network trains on, each one moved, coloured and erased as
// its row of an integer table says.
//
//   For output pixel (oy, ox) of a photo with row r, in 16.16 fixed point:
//     sx = r.m00 ox + r.m01 oy + r.tx,   sy = r.m10 ox + r.m11 oy + r.ty      (the source position)
//     v[c] = bilinear(photo, sy, sx, c)             its edge repeats; 8-bit fractions of a pixel
//     v[c] = luma(v) + saturation (v[c] - luma(v))  RGB only, luma = (77 R + 150 G + 29 B) / 256
//     v[c] = clamp(gain v[c] + bias, 0, 255)
//     v[c] = colour[c]                              inside the erased rectangle
//     y[oy,ox,c] = (v[c] / 255 - mean[c]) / std[c]  in f32
//   Everything before the last line is integer arithmetic (ops/augment_formula.h), and the last line is a
//   division, a subtraction and a division, each correctly rounded: every instruction set and device gives
//   the same bits. An identity row gives exactly (float(x) / 255 - mean) / std.
//
//   shape    photos[N,Hp,Wp,C] u8, table[N,16] i32 -> y[N,size,size,C] f32 or bf16;  C is 1 or 3
//   gradient none: photos are not differentiable
//   cost     about 20 integer operations per element where the photo is turned or scaled, 6 where it is
//            only moved; reads the photos and writes y once
//   errors   ShapeError, DTypeError; UsageError for a table value outside the ranges below
//   source   fixed-point affine sampling as in Wolberg, "Digital Image Warping", IEEE Press 1990, chapter 7

#include <array>
#include <cstdint>

#include "tern/core/tensor.h"

namespace tern {

// The columns of a row.
enum AugmentColumn : int {
  kAugmentM00,  // 16.16; |m| <= 4
  kAugmentM01,
  kAugmentTx,  // 16.16 pixels; |t| <= 8192
  kAugmentM10,
  kAugmentM11,
  kAugmentTy,
  kAugmentGain,        // 1/4096; 0 .. 8
  kAugmentBias,        // 1/128 grey level; |bias| <= 1020 levels
  kAugmentSaturation,  // 1/4096; 0 .. 4
  kAugmentEraseX0,     // output pixels [x0, x1) x [y0, y1); empty: nothing is erased
  kAugmentEraseY0,
  kAugmentEraseX1,
  kAugmentEraseY1,
  kAugmentColour,  // 0xRRGGBB; grey photos take the lowest byte
  kAugmentColumns = 16
};

using AugmentRow = std::array<int32_t, kAugmentColumns>;

struct AugmentOutput {
  int64_t size = 64;  // side of the output, 1 .. 1024
  std::array<float, 3> mean = {.5f, .5f, .5f};
  std::array<float, 3> std = {.5f, .5f, .5f};
  DType dtype = DType::F32;  // or BF16: the f32 values, rounded
};

struct AugmentGeometry {
  int64_t photos, height, width, channels;  // Hp, Wp <= 2048
  int64_t size;
  std::array<float, 3> mean, std;
};

Tensor augment(const Tensor& photos, const Tensor& table, const AugmentOutput& output);

// The row that takes the middle size x size pixels of a photo unchanged. Throws UsageError unless height -
// size and width - size are even and not negative.
AugmentRow identity_augment_row(int64_t height, int64_t width, int64_t size);
// Rows as a table [N,16].
Tensor augment_table(const std::vector<AugmentRow>& rows);

namespace cpu {
void augment(const AugmentGeometry& geometry, const Tensor& photos, const Tensor& table, const Tensor& y);
}
namespace cu {
void augment(const AugmentGeometry& geometry, const Tensor& photos, const Tensor& table, const Tensor& y);
}

}  // namespace tern
