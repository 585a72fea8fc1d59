// Eyes, brows, nose and mouth.
#include "tern/data/face_painter.h"

namespace tern::faces {

using paint::clamp01;
using paint::closed_curve;
using paint::ellipse;
using paint::mix;
using paint::open_curve;
using paint::stroke;

void FacePainter::paint_eye(float side) {
  const EyesAndBrows& e = person_.eyes;
  const float w = e.width, lids = std::max(0.05f, scene_.lids) * (1 - 0.25f * std::max(0.0f, scene_.smile));
  const float up = std::max(0.02f, e.open) * lids,
              down = std::max(0.1f, e.lower) * std::max(0.02f, e.open) * std::min(1.0f, lids);
  const auto at = [&](float x, float y) {  // x from the inner (-1) to the outer (1) corner
    return on_face(side * (e.spacing + x * w), e.height + y - e.tilt * x, 0.015f);
  };
  Path upper, lower;
  for (int i = 0; i <= 8; ++i) {
    const float t = static_cast<float>(i) / 8, x = 2 * t - 1;
    const float arc = paint::pow_of(4 * t * (1 - t), 0.55f + 0.3f * (1.1f - e.roundness));
    upper.push_back(at(x, -up * arc));
    lower.push_back(at(x, down * paint::pow_of(4 * t * (1 - t), 0.8f)));
  }
  Path opening = upper;
  opening.insert(opening.end(), lower.rbegin() + 1, lower.rend() - 1);
  Mask white = canvas_.fill(opening);
  white.clip(head_);
  lay(white, 1, mix(Color{0.95f, 0.93f, 0.91f}, person_.coloring.skin, 0.18f));
  const float gx = side * 0.25f * w * scene_.gaze_x, gy = 0.3f * up * scene_.gaze_y - 0.15f * up;
  const Point middle = at(gx, gy);
  const float squeeze = std::max(0.6f, cos_yaw_), r = px(e.iris);
  Mask iris = canvas_.fill(ellipse(middle, r * squeeze, r, 0, 16));
  lay(iris.clip(white), 1, e.iris_color * 0.6f);
  Mask inner = canvas_.fill(ellipse(middle, r * 0.8f * squeeze, r * 0.8f, 0, 16));
  lay(inner.clip(white), 1, e.iris_color);
  Mask glow = canvas_.fill_soft(ellipse(middle + Point{0, r * 0.4f}, r * 0.5f * squeeze, r * 0.35f, 0, 12),
                                r * 0.15f);
  lay(glow.clip(inner), 0.6f, e.iris_color * 1.6f);
  Mask pupil = canvas_.fill(ellipse(middle, r * 0.42f * squeeze, r * 0.42f, 0, 12));
  lay(pupil.clip(white), 1, {0.03f, 0.03f, 0.04f});
  Mask shade = canvas_.fill_soft(stroke(upper, {px(0.02f), px(0.055f), px(0.02f)}), px(0.012f));
  lay(shade.clip(white), 0.5f, {0.25f, 0.18f, 0.18f});
  Mask spark =
      canvas_.fill(ellipse(middle + Point{0.35f * r * (scene_.light.x > 0 ? 1.0f : -1.0f), -0.35f * r},
                           r * 0.22f, r * 0.22f, 0, 8));
  canvas_.paint(spark.clip(white), 0.9f, [](int, int) { return Color{1, 1, 1}; });
  paint_lids(side, upper, lower);
}

void FacePainter::paint_lids(float side, const Path& upper, const Path& lower) {
  const EyesAndBrows& e = person_.eyes;
  const Color skin = person_.coloring.skin, line = skin * 0.28f, soft = skin * Color{0.62f, 0.50f, 0.48f};
  const float thick = px(0.018f + 0.022f * e.lash);
  lay_on_head(stroke(upper, {thick * 0.5f, thick, thick * 1.2f, thick * 0.6f}), 0, 0.95f, line * 0.7f);
  lay(stroke(lower, {px(0.004f), px(0.012f), px(0.014f)}), 0.55f, soft * 0.8f);
  // The crease runs above the lid; a heavy lid has none.
  Path crease;
  for (size_t i = 1; i < upper.size(); ++i)
    crease.push_back(upper[i] + (project(0, -0.045f - 0.03f * e.crease, 0.6f) - project(0, 0, 0.6f)));
  lay_on_head(stroke(crease, {0.0f, px(0.022f), px(0.022f), 0.0f}), 0.005f, 0.25f + 0.6f * e.crease, soft);
  if (e.lash > 0.35f) {
    const Point tip = upper.back(), before = upper[upper.size() - 3];
    const Point away{(tip.x - before.x) * 0.7f, -px(0.045f) * e.lash};
    lay(stroke({before, tip, tip + away}, {thick * 0.8f, thick, 0.0f}), 0.9f, line * 0.7f);
  }
  (void)side;
}

void FacePainter::paint_brow(float side) {
  const EyesAndBrows& e = person_.eyes;
  const float half = e.brow_length, lift = e.height - std::max(0.12f, e.brow_height) - scene_.brow_raise;
  const float frown = scene_.frown * 0.05f;
  const auto at = [&](float t, float y) {  // t from the inner (0) to the outer (1) end
    const float x = e.spacing - half + e.brow_gap + 2 * half * t;
    const float arch = e.brow_arch * (t < 0.62f ? t / 0.62f : 1 - 1.1f * (t - 0.62f) / 0.38f);
    return on_face(side * std::max(0.035f, x),
                   lift + y - arch + e.brow_tilt * (0.5f - t) + frown * (1 - 2 * t), 0.03f);
  };
  const Path line = open_curve({at(0, 0), at(0.3f, 0), at(0.62f, 0), at(1, 0)}, 5);
  const float thick = px(std::max(0.018f, e.brow_thickness));
  const Color hair = person_.hair.color * (0.45f + 0.35f * (1 - e.brow_shade));
  const Color color = mix(person_.coloring.skin * 0.5f, hair, 0.8f);
  Mask brow = canvas_.fill_soft(stroke(line, {thick * 0.75f, thick * 1.05f, thick * 0.9f, thick * 0.15f}),
                                px(0.007f));
  lay(brow.clip(head_), 0.55f + 0.4f * e.brow_shade, color);
  for (uint32_t i = 0; i < 9; ++i) {  // single hairs
    const float t = 0.04f + 0.1f * static_cast<float>(i);
    const float h = 0.45f * std::max(0.018f, e.brow_thickness) * (1 - 0.6f * t);
    lay_on_head(stroke({at(t, h), at(t + 0.10f, -h * 1.2f)}, {px(0.010f), 0.0f}), 0, 0.5f, color * 0.7f);
  }
}

void FacePainter::paint_nose() {
  const NoseAndMouth& n = person_.nose_mouth;
  const Color skin = person_.coloring.skin;
  const Color dark = skin * Color{0.60f, 0.48f, 0.44f}, light = mix(skin, Color{1, 0.97f, 0.93f}, 0.5f);
  const float base = n.nose_length, w = std::max(0.07f, n.nose_width), b = std::max(0.025f, n.bridge);
  const float top = person_.eyes.height - 0.04f, rise = 0.16f + 0.4f * n.hook;
  for (float side : {-1.0f, 1.0f}) {
    const float shaded = clamp01(0.5f + 0.9f * side * -scene_.light.x);
    lay_on_head(
        closed_curve({on_face(side * b, top, 0.02f), on_face(side * b * 1.1f, 0.5f * (top + base), 0.10f),
                      on_face(side * w * 0.8f, base - 0.05f, 0.10f),
                      on_face(side * (w + 0.05f), base - 0.03f, 0.0f),
                      on_face(side * (b + 0.09f), 0.5f * (top + base), 0.0f)}),
        0.022f, 0.12f + 0.50f * shaded, dark);
    // The wing and the nostril.
    lay(stroke(open_curve({on_face(side * w * 0.86f, base - 0.11f, 0.06f),
                           on_face(side * (w + 0.012f), base - 0.045f, 0.05f),
                           on_face(side * w * 0.8f, base + 0.012f, 0.06f)}),
               {0.0f, px(0.026f), px(0.012f)}),
        0.6f, dark);
    lay_soft(ellipse(on_face(side * w * 0.48f, base + 0.002f, 0.13f), px(0.030f + 0.022f * n.nostril),
                     px(0.012f + 0.012f * n.nostril), scene_.roll - side * 0.25f, 12),
             0.004f, 0.85f, skin * 0.25f);
  }
  lay_on_head(
      closed_curve({on_face(-w * 0.7f, base + 0.01f, 0.1f), on_face(0, base + 0.035f, 0.12f + rise * 0.2f),
                    on_face(w * 0.7f, base + 0.01f, 0.1f), on_face(0, base + 0.075f, 0.06f)}),
      0.015f, 0.45f, dark);
  lay_on_head(stroke(open_curve({on_face(0, top + 0.05f, 0.04f), on_face(0, 0.5f * (top + base), 0.5f * rise),
                                 on_face(0, base - 0.09f, rise)}),
                     {px(b * 0.6f), px(b * 0.8f), px(b)}),
              0.014f, 0.20f + 0.35f * scene_.shine, light);
  const float ball = 0.045f + 0.045f * n.tip;
  lay_on_head(ellipse(on_face(0.02f * scene_.light.x, base - 0.075f, rise), px(ball), px(ball * 0.8f), 0, 14),
              0.016f, 0.30f + 0.3f * scene_.shine, light);
  lay_on_head(stroke(open_curve({on_face(-w * 0.45f, base - 0.005f, rise),
                                 on_face(0, base + 0.018f + 0.03f * n.hook, rise),
                                 on_face(w * 0.45f, base - 0.005f, rise)}),
                     {0.0f, px(0.018f), 0.0f}),
              0.004f, 0.45f, dark);
}

void FacePainter::paint_mouth() {
  const NoseAndMouth& n = person_.nose_mouth;
  const float smile = scene_.smile,
              w = std::max(0.11f, n.mouth_width) * (1 + 0.18f * std::max(0.0f, smile) - 0.1f * scene_.open);
  const float my = n.mouth_height, up = std::max(0.012f, n.upper) * (1 - 0.3f * std::max(0.0f, smile));
  const float low = std::max(0.022f, n.lower) * (1 - 0.2f * std::max(0.0f, smile));
  const float gap = 0.12f * scene_.open, corner = -n.corner - 0.055f * smile;
  const auto at = [&](float x, float y) {
    return on_face(x * w, my + y + corner * x * x, 0.03f * (1 - x * x));
  };
  Path top, inner_up, inner_low, under;
  for (int i = 0; i <= 12; ++i) {
    const float x = -1 + static_cast<float>(i) / 6, round = 1 - x * x;
    const float bow = n.bow * 0.022f * std::max(0.0f, 1 - 5.5f * std::fabs(x));
    top.push_back(at(x, -up * (0.35f * round + 0.65f * std::sqrt(round)) + bow - 0.15f * gap * round));
    inner_up.push_back(at(x, 0.008f * round - 0.25f * gap * round));
    inner_low.push_back(at(x, 0.008f * round + gap * round));
    under.push_back(at(x, low * (0.5f * round + 0.5f * std::sqrt(round)) + gap * round));
  }
  paint_lip_shapes(top, inner_up, inner_low, under);
}

void FacePainter::paint_lip_shapes(const Path& top, const Path& inner_up, const Path& inner_low,
                                   const Path& under) {
  const auto between = [](const Path& a, const Path& b) {
    Path shape = a;
    shape.insert(shape.end(), b.rbegin(), b.rend());
    return shape;
  };
  const Color skin = person_.coloring.skin;
  Color lips = mix(skin, skin * person_.nose_mouth.lips * 1.15f, 0.85f);
  if (scene_.makeup > 0) lips = mix(lips, scene_.makeup_color, scene_.makeup);
  if (scene_.open > 0) {
    Mask inside = canvas_.fill(between(inner_up, inner_low));
    lay(inside, 1, {0.22f, 0.05f, 0.06f});
    const Point drop{0, px(0.035f + 0.03f * scene_.open)};
    Path teeth = inner_up;
    for (size_t i = inner_up.size(); i-- > 0;) teeth.push_back(inner_up[i] + drop);
    Mask bright = canvas_.fill(teeth);
    lay(bright.clip(inside), 0.95f, {0.95f, 0.93f, 0.88f});
  }
  Mask upper = canvas_.fill(between(top, inner_up)), lower = canvas_.fill(between(inner_low, under));
  lay(upper, 0.92f, lips * 0.86f);
  lay(lower, 0.92f, lips);
  const Point middle = paint::mix(inner_low[6], under[6], 0.45f);
  Mask gloss = canvas_.fill_soft(ellipse(middle, px(0.075f), px(0.016f), scene_.roll, 12), px(0.012f));
  lay(gloss.clip(lower), 0.25f + 0.4f * scene_.shine, mix(lips, Color{1, 0.95f, 0.92f}, 0.55f));
  const Path line = scene_.open > 0 ? inner_low : inner_up;
  lay(stroke(line, {px(0.012f), px(0.022f), px(0.018f), px(0.022f), px(0.012f)}), 0.8f, lips * 0.38f);
  lay_soft(ellipse(inner_up.front(), px(0.022f), px(0.016f), 0, 8), 0.008f, 0.5f, skin * 0.5f);
  lay_soft(ellipse(inner_up.back(), px(0.022f), px(0.016f), 0, 8), 0.008f, 0.5f, skin * 0.5f);
}

}  // namespace tern::faces
