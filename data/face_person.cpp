#include "tern/data/face_person.h"

#include "tern/core/philox.h"

namespace tern::faces {

using paint::clamp01;
using paint::mix;

namespace {

// Draws at one random address. The bell is a sum of four uniform numbers: no libm, never farther than 2 from
// 0.
class Draws {
 public:
  Draws(uint64_t seed, uint64_t address) : sequence_(seed, RandomStream::Synthetic, address) {}
  float uniform(float low, float high) { return sequence_.uniform(low, high); }
  float bell() {  // mean 0, deviation 0.577
    const float a = sequence_.uniform(), b = sequence_.uniform(), c = sequence_.uniform(),
                d = sequence_.uniform();
    return a + b + c + d - 2;
  }
  float around(float middle, float spread) { return middle + spread * bell(); }
  bool chance(float p) { return sequence_.uniform() < p; }
  int below(int n) { return static_cast<int>(sequence_.below(static_cast<uint32_t>(n))); }
  uint32_t bits() { return sequence_.next(); }
  Color color(float low, float high) {
    const float r = uniform(low, high), g = uniform(low, high), b = uniform(low, high);
    return mix(Color{r, g, b}, Color{g, g, g}, uniform(0.1f, 0.7f));  // most things are not of pure colour
  }
  // Index of the weight that a uniform draw falls on.
  int pick(std::initializer_list<float> weights) {
    float total = 0;
    for (float w : weights) total += w;
    float left = uniform(0, total);
    int i = 0;
    for (float w : weights) {
      if (left < w) return i;
      left -= w;
      ++i;
    }
    return static_cast<int>(weights.size()) - 1;
  }

 private:
  PhiloxSequence sequence_;
};

enum class Address : uint64_t { Outline, Eyes, NoseMouth, Hair, Coloring, Scene };

Draws draws_at(uint64_t seed, Address what, int64_t identity, int64_t photo) {
  return Draws(seed, static_cast<uint64_t>(what) << 52 | static_cast<uint64_t>(identity) << 24 |
                         static_cast<uint64_t>(photo));
}

Outline draw_outline(Draws d) {
  Outline o;
  o.width = d.around(0.735f, 0.095f);
  o.forehead = d.around(0.95f, 0.06f);
  o.cheek = d.around(0.97f, 0.06f);
  o.jaw = d.around(0.74f, 0.15f);
  o.chin = d.around(0.34f, 0.14f);
  o.length = d.around(1.0f, 0.09f);
  o.square = d.uniform(0, 1);
  o.ear_size = d.around(0.21f, 0.08f);
  o.ear_out = d.around(0.06f, 0.06f);
  o.ear_height = d.around(0.06f, 0.07f);
  o.neck = d.around(0.5f, 0.09f);
  return o;
}

EyesAndBrows draw_eyes(Draws d) {
  static constexpr Color kIris[] = {{0.22f, 0.12f, 0.06f}, {0.36f, 0.20f, 0.08f}, {0.48f, 0.34f, 0.14f},
                                    {0.34f, 0.42f, 0.20f}, {0.30f, 0.48f, 0.62f}, {0.20f, 0.36f, 0.66f},
                                    {0.48f, 0.54f, 0.58f}};
  EyesAndBrows e;
  e.spacing = d.around(0.335f, 0.060f);
  e.height = d.around(0.05f, 0.065f);
  e.width = d.around(0.172f, 0.034f);
  e.open = d.around(0.090f, 0.038f);
  e.tilt = d.around(0.012f, 0.050f);
  e.roundness = d.uniform(0.45f, 1.1f);
  e.lower = d.around(0.60f, 0.25f);
  e.crease = d.uniform(0.0f, 1.0f);
  e.lash = d.uniform(0.0f, 1.0f);
  e.iris = d.around(0.086f, 0.014f);
  const Color iris = kIris[d.below(7)];
  e.iris_color = iris * d.uniform(0.75f, 1.25f);
  e.brow_height = d.around(0.205f, 0.055f);
  e.brow_thickness = d.around(0.074f, 0.055f);
  e.brow_length = d.around(0.205f, 0.050f);
  e.brow_arch = d.around(0.055f, 0.055f);
  e.brow_tilt = d.around(0.0f, 0.070f);
  e.brow_gap = d.around(0.0f, 0.05f);
  e.brow_shade = d.uniform(0.55f, 1.0f);
  return e;
}

NoseAndMouth draw_nose_mouth(Draws d) {
  NoseAndMouth n;
  n.nose_length = d.around(0.40f, 0.080f);
  n.nose_width = d.around(0.155f, 0.058f);
  n.bridge = d.around(0.060f, 0.026f);
  n.tip = d.uniform(0.2f, 1.0f);
  n.nostril = d.uniform(0.3f, 1.0f);
  n.hook = d.around(0.0f, 0.05f);
  n.mouth_height = d.around(0.640f, 0.065f);
  n.mouth_width = d.around(0.265f, 0.075f);
  n.upper = d.around(0.058f, 0.040f);
  n.lower = d.around(0.080f, 0.044f);
  n.bow = d.uniform(0.0f, 1.0f);
  n.corner = d.around(0.0f, 0.030f);
  const float rosy = d.uniform(0, 1), pale = d.uniform(0.85f, 1.1f);
  n.lips = mix(Color{0.72f, 0.36f, 0.34f}, Color{0.88f, 0.52f, 0.50f}, rosy) * pale;
  return n;
}

Hair draw_hair(Draws d) {
  static constexpr Color kHair[] = {{0.07f, 0.06f, 0.06f}, {0.14f, 0.09f, 0.06f}, {0.26f, 0.16f, 0.09f},
                                    {0.40f, 0.25f, 0.13f}, {0.46f, 0.20f, 0.10f}, {0.66f, 0.34f, 0.14f},
                                    {0.70f, 0.54f, 0.30f}, {0.86f, 0.74f, 0.48f}, {0.56f, 0.55f, 0.54f},
                                    {0.84f, 0.83f, 0.81f}};
  Hair h;
  h.style = static_cast<HairStyle>(d.pick({0.5f, 0.9f, 1.4f, 1.5f, 1.3f, 1.2f, 1.6f, 1.1f, 0.7f, 0.6f}));
  const bool long_hair = h.style == HairStyle::Bob || h.style == HairStyle::Long || h.style == HairStyle::Bun;
  h.beard = static_cast<Beard>(long_hair ? d.pick({12, 0.3f, 0.3f, 0.2f, 0.3f})
                                         : d.pick({3.2f, 1, 0.8f, 0.9f, 1.3f}));
  h.hairline = d.around(-0.52f, 0.11f);
  h.volume = d.uniform(0.06f, 0.26f);
  h.side_volume = d.uniform(0.03f, 0.16f);
  h.side_length = d.uniform(0, 1);
  h.part = d.uniform(-0.6f, 0.6f);
  h.curl = d.uniform(0, 1) * d.uniform(0, 1);
  h.temple = d.uniform(0, 1);
  h.fringe = d.uniform(0, 1);
  h.beard_length = d.uniform(0.02f, 0.22f);
  h.beard_density = d.uniform(0.6f, 1.0f);
  const int tone = d.pick({1.4f, 1.4f, 1.3f, 1.1f, 0.6f, 0.7f, 0.9f, 0.9f, 0.6f, 0.5f});
  h.color = kHair[tone] * d.uniform(0.85f, 1.15f);
  h.streak = mix(h.color, Color{0.95f, 0.85f, 0.65f}, d.uniform(0.08f, 0.25f));
  return h;
}

Coloring draw_coloring(Draws d) {
  static constexpr Color kSkin[] = {{0.97f, 0.85f, 0.76f}, {0.94f, 0.77f, 0.65f}, {0.88f, 0.68f, 0.53f},
                                    {0.77f, 0.56f, 0.40f}, {0.60f, 0.41f, 0.28f}, {0.44f, 0.29f, 0.20f},
                                    {0.31f, 0.20f, 0.15f}};
  Coloring c;
  const float tone = d.uniform(0, 5.999f);
  const int t = static_cast<int>(tone);
  c.skin = mix(kSkin[t], kSkin[t + 1], tone - static_cast<float>(t));
  c.skin = c.skin * Color{d.around(1, 0.04f), 1.0f, d.around(1, 0.05f)};
  c.blush = d.uniform(0, 1);
  c.age = d.uniform(0, 1) * d.uniform(0, 1);
  c.shade = d.uniform(0, 1);
  c.freckles = d.chance(0.35f) ? 12 + d.below(49) : 0;
  for (Spot& s : c.freckle)
    s = {d.around(0, 0.45f), d.around(0.25f, 0.2f), d.uniform(0.008f, 0.02f), d.uniform(0.3f, 0.8f)};
  c.moles = d.pick({2, 1, 0.7f, 0.4f});
  for (Spot& s : c.mole)
    s = {d.uniform(-0.55f, 0.55f), d.uniform(-0.45f, 0.85f), d.uniform(0.016f, 0.034f), 0.85f};
  return c;
}

// The cues of everybody when they are made the same: those of one middling person, free of any seed.
constexpr uint64_t kSameSeed = 7;
constexpr int64_t kSameIdentity = 3;

}  // namespace

Person person_of(uint64_t seed, int64_t identity, const SameCues& same) {
  const auto at = [&](Address what, bool is_same) {
    return is_same ? draws_at(kSameSeed, what, kSameIdentity, 0) : draws_at(seed, what, identity, 0);
  };
  return {draw_outline(at(Address::Outline, same.outline)), draw_eyes(at(Address::Eyes, same.eyes)),
          draw_nose_mouth(at(Address::NoseMouth, same.nose_mouth)), draw_hair(at(Address::Hair, same.hair)),
          draw_coloring(at(Address::Coloring, same.coloring))};
}

namespace {

void draw_pose_and_expression(Draws& d, Scene& s) {
  s.yaw = d.around(0, 0.29f);
  s.pitch = d.around(0, 0.14f);
  s.roll = d.around(0, 0.11f);
  s.scale = d.around(1, 0.075f);
  s.shift_x = d.around(0, 0.050f);
  s.shift_y = d.around(0, 0.045f);
  s.smile = d.chance(0.55f) ? d.uniform(0.2f, 1.0f) : d.uniform(-0.35f, 0.2f);
  s.open = d.chance(0.35f) ? d.uniform(0.2f, 1.0f) : 0.0f;
  s.brow_raise = d.around(0, 0.05f);
  s.frown = d.chance(0.2f) ? d.uniform(0.3f, 1.0f) : 0.0f;
  s.lids = d.chance(0.05f) ? 0.08f : d.around(1.0f, 0.24f);
  s.gaze_x = d.around(0, 0.6f);
  s.gaze_y = d.around(0, 0.3f);
}

void draw_light(Draws& d, Scene& s, bool hard) {
  s.light = {d.around(0, 0.95f), d.around(-0.3f, 0.5f)};
  s.ambient = d.uniform(0.55f, 0.85f) * (hard ? 0.7f : 1.0f);
  s.strength = d.uniform(0.25f, 0.75f);
  s.shine = d.uniform(0, 1);
  const float warm = d.around(0, 0.16f), green = d.around(0, 0.05f);
  s.tint = {1 + warm, 1 + green, 1 - warm};
  s.shadow = d.chance(hard ? 0.6f : 0.18f) ? d.uniform(0.2f, 0.6f) : 0.0f;
  s.shadow_angle = d.uniform(0, 6.2831853f);
  s.shadow_offset = d.around(0, 0.5f);
  s.shadow_soft = d.uniform(0.05f, 0.6f);
}

void draw_covers(Draws& d, Scene& s, bool hard) {
  s.cover =
      d.chance(hard ? 0.65f : 0.07f) ? static_cast<Cover>(1 + d.pick({1, 1, 1, 1, 0.9f, 0.7f})) : Cover::None;
  s.cover_size = d.uniform(0, 1);
  s.cover_angle = d.around(0, 0.5f);
  s.cover_place = d.uniform(-1, 1);
  s.cover_color = d.color(0.1f, 0.95f);
  s.glasses = d.chance(0.16f);
  s.glasses_shape = d.uniform(0, 1);
  s.glasses_size = d.uniform(0.85f, 1.2f);
  s.glasses_thickness = d.uniform(0.014f, 0.045f);
  s.glasses_glare = d.chance(0.4f) ? d.uniform(0.1f, 0.6f) : 0.0f;
  s.glasses_color = d.chance(0.6f) ? d.color(0.03f, 0.2f) : d.color(0.1f, 0.8f);
  s.makeup = d.chance(0.2f) ? d.uniform(0.3f, 0.8f) : 0.0f;
  s.makeup_color = {d.uniform(0.55f, 0.85f), d.uniform(0.08f, 0.3f), d.uniform(0.15f, 0.4f)};
  s.hair_mess = d.uniform(0, 1);
}

void draw_surroundings(Draws& d, Scene& s) {
  s.background = d.below(5);
  s.background_a = d.color(0.08f, 0.95f);
  const Color other = d.color(0.08f, 0.95f);
  s.background_b = mix(s.background_a, other, d.uniform(0.2f, 1.0f));
  s.background_angle = d.uniform(0, 6.2831853f);
  s.shirt = d.color(0.05f, 0.95f);
  s.collar = mix(s.shirt, d.color(0.05f, 0.95f), 0.7f);
  s.shirt_kind = d.below(4);
  s.texture_seed = d.bits();
}

void draw_camera(Draws& d, Scene& s, bool hard) {
  s.exposure = paint::exp2_of(d.around(0, 0.50f));
  s.contrast = d.around(0.97f, 0.22f);
  s.saturation = d.chance(0.05f) ? d.uniform(0.0f, 0.4f) : d.around(1.0f, 0.22f);
  s.gamma = paint::exp2_of(d.around(-0.1f, 0.36f));
  s.blur = d.chance(0.3f) ? d.uniform(0.0f, 0.3f) : 0.0f;
  if (hard) s.blur += d.uniform(0.1f, 0.6f);
  s.noise = d.uniform(0.004f, 0.018f) * (hard ? 2.0f : 1.0f);
  s.vignette = d.uniform(0.0f, 0.35f);
  s.balance = {d.around(1, 0.14f), d.around(1, 0.05f), d.around(1, 0.14f)};
}

}  // namespace

Scene scene_of(uint64_t seed, int64_t identity, int64_t photo) {
  Draws d = draws_at(seed, Address::Scene, identity, photo);
  Scene s;
  const bool hard = d.chance(0.05f);
  draw_pose_and_expression(d, s);
  draw_light(d, s, hard);
  draw_covers(d, s, hard);
  draw_surroundings(d, s);
  draw_camera(d, s, hard);
  if (hard) s.yaw *= 1.4f;
  return s;
}

}  // namespace tern::faces
