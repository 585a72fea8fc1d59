// Light on the way in, the camera on the way out.
#include "tern/core/philox.h"
#include "tern/data/face_painter.h"

namespace tern::faces {

using paint::clamp01;

// The light on an egg-shaped head at each pixel; beyond its edge the edge's light goes on.
void FacePainter::make_light() {
  const float lx = scene_.light.x, ly = scene_.light.y,
              lz = std::sqrt(std::max(0.05f, 1 - lx * lx - ly * ly));
  const float across = 1 / (0.80f * unit_), down = 1 / (1.15f * unit_);
  const float c = paint::cos_of(scene_.shadow_angle), s = paint::sin_of(scene_.shadow_angle);
  const Color sky{1.5f - 0.5f * scene_.tint.r, 1, 1.5f - 0.5f * scene_.tint.b};
  for (int y = 0; y < light_.size(); ++y) {
    for (int x = 0; x < light_.size(); ++x) {
      const float dx = static_cast<float>(x) + 0.5f - center_.x,
                  dy = static_cast<float>(y) + 0.5f - center_.y;
      float u = (dx * cos_roll_ + dy * sin_roll_) * across, v = (dy * cos_roll_ - dx * sin_roll_) * down;
      const float r2 = u * u + v * v;
      if (r2 > 1) {
        const float back = 1 / std::sqrt(r2);
        u *= back, v *= back;
      }
      const float nz = std::sqrt(std::max(0.0f, 1 - 0.92f * std::min(1.0f, r2)));
      const float facing = std::max(0.0f, 0.92f * (u * lx + v * ly) + nz * lz);
      const float side = (dx * c + dy * s) / unit_ - scene_.shadow_offset;
      const float dim = 1 - scene_.shadow * paint::smooth(side / scene_.shadow_soft + 0.5f);
      light_.at(x, y) = sky * scene_.ambient + scene_.tint * (scene_.strength * facing * dim);
      light_.at(x, y) = light_.at(x, y) * (0.5f + 0.5f * dim);
    }
  }
}

// Blur, exposure, white balance, contrast, saturation, vignette, noise, and eight bits.
Image FacePainter::develop() {
  const int size = canvas_.size();
  const auto full = static_cast<float>(size);
  canvas_.blur(scene_.blur * full / 64);
  Image image;
  image.width = image.height = size;
  image.channels = 3;
  image.pixels.resize(static_cast<size_t>(size) * static_cast<size_t>(size) * 3);
  const Philox grain{scene_.texture_seed, RandomStream::Synthetic};
  float curve[257];  // the tone curve, by table: two powers per pixel and channel would cost as much as the
                     // drawing
  for (int i = 0; i <= 256; ++i)
    curve[i] = 0.5f + (paint::pow_of(static_cast<float>(i) / 256, scene_.gamma) - 0.5f) * scene_.contrast;
  const auto develop_one = [&](float value, uint32_t bits) {
    const float at = clamp01(value) * 255.999f;
    const int i = static_cast<int>(at);
    const float toned = curve[i] + (curve[i + 1] - curve[i]) * (at - static_cast<float>(i));
    // Two 16-bit halves: a triangular bell around 0.
    const float bell = static_cast<float>((bits & 0xffff) + (bits >> 16)) * (1.0f / 65536) - 1;
    return static_cast<uint8_t>(clamp01(toned + 2.4f * scene_.noise * bell) * 255 + 0.5f);
  };
  const Color gain = scene_.balance * scene_.exposure;
  uint8_t* out = image.pixels.data();
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x, out += 3) {
      const float u = (static_cast<float>(x) + 0.5f) / full - 0.5f,
                  v = (static_cast<float>(y) + 0.5f) / full - 0.5f;
      const Color lit = canvas_.at(x, y) * gain * (1 - 1.6f * scene_.vignette * (u * u + v * v));
      const float grey = paint::luma(lit);
      const PhiloxBlock bits = grain.block(uint64_t{1} << 59, static_cast<uint32_t>(y * size + x));
      const Color c = Color{grey, grey, grey} * (1 - scene_.saturation) + lit * scene_.saturation;
      out[0] = develop_one(c.r, bits.value[0]);
      out[1] = develop_one(c.g, bits.value[1]);
      out[2] = develop_one(c.b, bits.value[2]);
    }
  }
  return image;
}

}  // namespace tern::faces
