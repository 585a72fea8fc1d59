// Hair on the head and on the chin.
#include "tern/data/face_painter.h"

namespace tern::faces {

using paint::clamp01;
using paint::closed_curve;
using paint::ellipse;
using paint::mix;
using paint::open_curve;
using paint::stroke;

namespace {

// Hair that runs from the forehead backwards; other styles fall along the contour of the head.
bool combed_back(HairStyle style) {
  return style == HairStyle::Cropped || style == HairStyle::Short || style == HairStyle::Fringe ||
         style == HairStyle::Bun || style == HairStyle::Receding;
}

bool covers_ears(HairStyle style) { return style == HairStyle::Bob || style == HairStyle::Long; }

// How much the style adds to the drawn volume, on top and at the sides.
float top_volume(const Hair& h) {
  switch (h.style) {
    case HairStyle::Bald: return -0.01f;
    case HairStyle::Cropped: return 0.035f;
    case HairStyle::Receding: return 0.05f + 0.3f * h.volume;
    case HairStyle::Curly: return 0.12f + 1.1f * h.volume;
    case HairStyle::Bun: return 0.05f + 0.2f * h.volume;
    default: return 0.05f + h.volume;
  }
}

float side_volume(const Hair& h) {
  switch (h.style) {
    case HairStyle::Bald: return -0.01f;
    case HairStyle::Cropped: return 0.015f;
    case HairStyle::Curly: return 0.06f + 1.3f * h.side_volume;
    case HairStyle::Bob:
    case HairStyle::Long: return 0.06f + h.side_volume;
    case HairStyle::Bun: return 0.02f;
    default: return 0.02f + 0.5f * h.side_volume;
  }
}

float side_end(const Hair& h) {  // y where the hair beside the face ends
  switch (h.style) {
    case HairStyle::Bob: return 0.42f + 0.45f * h.side_length;
    case HairStyle::Long: return 1.15f + 0.7f * h.side_length;
    case HairStyle::Curly: return 0.0f + 0.6f * h.side_length;
    case HairStyle::Bun: return -0.12f;
    default: return -0.15f + 0.25f * h.side_length;
  }
}

}  // namespace

// Height of the lower edge of the hair above the forehead, x from -1 (left temple) to 1.
float FacePainter::hairline_at(float x) const {
  const Hair& h = person_.hair;
  const float base = h.hairline, temple = 0.16f * x * x * (0.6f + 0.8f * h.temple);
  const float mess = 0.03f * scene_.hair_mess * paint::sin_of(9 * x + 6.28f * hashed(3));
  switch (h.style) {
    case HairStyle::SideSwept: {  // falls from the parting, farther on its long side
      const float d = h.part > 0 ? h.part - x : x - h.part;
      return base - 0.16f +
             (d > 0 ? 0.30f * paint::smooth(d / 1.2f) * (0.7f + 0.6f * h.fringe)
                    : 0.10f * paint::smooth(-d / 0.5f)) +
             mess;
    }
    case HairStyle::Fringe:
      return -0.42f + 0.20f * h.fringe + 0.015f * paint::sin_of(20 * x) + 0.05f * x * x + mess;
    case HairStyle::Bob:
    case HairStyle::Long:
      if (h.fringe > 0.65f) return -0.36f + 0.12f * h.temple + 0.04f * x * x + mess;
      return base - 0.16f + 0.30f * paint::smooth(std::fabs(x - 0.8f * h.part) / 0.9f) + mess;
    case HairStyle::Receding:
      return base - 0.10f - 0.30f * std::fabs(x) * (0.4f + h.temple) * (1.25f - std::fabs(x)) * 1.6f;
    case HairStyle::Bald: return -0.80f;
    case HairStyle::Curly: return base + 0.02f + temple + 0.035f * paint::sin_of(14 * x + 1) + mess;
    default: return base + temple * 0.7f + 0.6f * mess;
  }
}

FacePainter::HairShape FacePainter::hair_shape() const {
  const Hair& h = person_.hair;
  const float w = person_.outline.width, wide = w + side_volume(h), high = 1 + top_volume(h),
              end = side_end(h);
  const float turn = std::sqrt(cos_yaw_ * cos_yaw_ + 0.85f * sin_yaw_ * sin_yaw_) / cos_yaw_;
  const float low = covers_ears(h.style) ? std::min(end, 0.95f) : end;
  const float inset = covers_ears(h.style) ? 0.80f : 0.965f;
  Path outer, inner;
  constexpr int kSide = 4, kTop = 16;
  for (int i = -kSide - kTop / 2; i <= kSide + kTop / 2; ++i) {
    const float side = i < 0 ? -1.0f : 1.0f;
    const int k = std::abs(i);
    float bump = 0.018f * h.curl * paint::sin_of(2.4f * static_cast<float>(i));
    if (h.style == HairStyle::Curly) bump += 0.05f * (hashed(20u + static_cast<uint32_t>(i + 20)) - 0.3f);
    if (h.style == HairStyle::Short)
      bump += (0.01f + 0.05f * h.fringe) * (hashed(20u + static_cast<uint32_t>(i + 20)) - 0.3f);
    if (k <= kTop / 2) {
      const float angle = 1.5707963f * static_cast<float>(k) / (kTop / 2);
      const float sn = paint::sin_of(angle), cs = paint::cos_of(angle);
      const float x = side * sn;
      // A rounded box rather than an ellipse: heads are square above the temples.
      const float full = 1 + 0.07f * sn * sn * cs * cs * 4;
      outer.push_back(
          project(x * (wide + bump) * full * turn, -0.22f - (high - 0.22f + bump) * cs * full, -0.05f));
      const float ix = x * 0.93f * w * person_.outline.forehead;
      const float rise = hairline_at(x), fall = paint::smooth((std::fabs(x) - 0.86f) / 0.14f);
      const float y = rise * (1 - fall) + fall * std::max(rise, -0.26f);
      inner.push_back(project(ix * (1 + 0.04f * fall) * inset / 0.965f, y,
                              depth(ix, y) * (1 - std::fabs(x * x * x)) + 0.05f));
    } else {
      const float t = static_cast<float>(k - kTop / 2) / kSide;
      const float flare = h.style == HairStyle::Bob ? 0.10f * h.side_length * t : 0.0f;
      outer.push_back(project(side * (wide + bump + flare) * turn, -0.22f + (low + 0.22f) * t, -0.03f));
      const float in = covers_ears(h.style) ? inset - 0.07f * paint::sin_of(3.1f * t) * h.temple +
                                                  (wide / w - inset) * t * t * t
                                            : inset + 0.01f;
      inner.push_back(project(side * w * in * turn, -0.26f + (low + 0.26f) * t, 0.12f - 0.15f * t));
    }
  }
  return {open_curve(outer, 3), open_curve(inner, 3)};
}

void FacePainter::paint_back_hair() {
  const Hair& h = person_.hair;
  const float w = person_.outline.width + side_volume(h), end = side_end(h);
  const Color dark = h.color * 0.72f;
  const auto at = [&](float x, float y) { return project(x, y, -0.45f); };
  if (h.style == HairStyle::Bun) {
    const float r = 0.20f + 0.5f * h.volume;
    lay(ellipse(at(0, -1.12f - 0.5f * r), px(r * 1.15f), px(r), scene_.roll), 1, h.color * 0.9f);
    lay_soft(ellipse(at(0, -0.95f - 0.3f * r), px(r * 0.8f), px(0.06f), scene_.roll), 0.03f, 0.6f, dark);
  } else if (h.style == HairStyle::Curly && h.side_length > 0.3f) {
    lay(closed_curve({at(-w, -0.4f), at(0, -1.0f), at(w, -0.4f), at(w * 1.03f, end),
                      at(w * 0.7f, end + 0.15f), at(-w * 0.7f, end + 0.15f), at(-w * 1.03f, end)}),
        1, dark);
  } else if (covers_ears(h.style)) {
    const float flare = h.style == HairStyle::Bob ? 0.0f : 0.08f + 0.1f * h.side_length;
    lay(closed_curve({at(-w, -0.4f), at(0, -1.0f), at(w, -0.4f), at(w + flare * 0.5f, 0.3f),
                      at(w + flare, end), at(w * 0.6f, end + 0.08f), at(-w * 0.6f, end + 0.08f),
                      at(-w - flare, end), at(-w - flare * 0.5f, 0.3f)}),
        1, dark);
  }
}

void FacePainter::paint_front_hair() {
  const Hair& h = person_.hair;
  if (h.style == HairStyle::Bald) {
    // Shaved: only a shade where hair would grow.
    const HairShape shape = hair_shape();
    lay_on_head(ellipse(project(0, -0.75f, 0.2f), px(0.6f), px(0.3f), scene_.roll), 0.14f, 0.16f, h.color);
    lay_on_head(ellipse(project(0.25f * scene_.light.x, -0.72f, 0.4f), px(0.24f), px(0.12f), scene_.roll),
                0.07f, 0.35f * scene_.shine, {1, 0.97f, 0.94f});
    return;
  }
  const HairShape shape = hair_shape();
  Path outline = shape.outer;
  outline.insert(outline.end(), shape.inner.rbegin(), shape.inner.rend());
  // The shadow that the hair throws on the forehead, then the hair.
  Path shadow = shape.inner;
  for (Point& p : shadow) p.y += px(0.05f);
  Mask soft = canvas_.fill_soft(stroke(shadow, {px(0.02f), px(0.09f), px(0.02f)}), px(0.03f));
  lay(soft.clip(head_), 0.4f, person_.coloring.skin * 0.5f);
  const Mask hair = canvas_.fill(outline);
  lay(hair, h.style == HairStyle::Cropped ? 0.82f : 1.0f, h.color);
  paint_strands(shape, hair);
  if (h.style == HairStyle::Cropped || h.style == HairStyle::Receding) {  // a soft hairline
    Mask edge = canvas_.fill_soft(stroke(shape.inner, {px(0.03f), px(0.05f), px(0.03f)}), px(0.03f));
    lay(edge.clip(head_), 0.35f, mix(h.color, person_.coloring.skin, 0.4f));
  }
}

void FacePainter::paint_strands(const HairShape& shape, const Mask& hair) {
  const Hair& h = person_.hair;
  const size_t n = shape.outer.size();
  if (h.style == HairStyle::Curly) {
    for (uint32_t i = 0; i < 26; ++i) {
      const size_t at = static_cast<size_t>(hashed(200 + i) * static_cast<float>(n - 1));
      const Point p = mix(shape.inner[at], shape.outer[at], hashed(230 + i));
      Mask curl = canvas_.fill_soft(ellipse(p, px(0.07f), px(0.055f), 0, 10), px(0.02f));
      lay(curl.clip(hair), 0.45f, i % 2 ? h.streak * 1.1f : h.color * 0.6f);
    }
    return;
  }
  if (combed_back(h.style)) {
    for (uint32_t i = 0; i < 42; ++i) {
      const float lean = 0.05f * (hashed(120 + i) - 0.5f) + 0.10f * h.part;
      const float at = (static_cast<float>(i) + hashed(140 + i)) / 42, from = 0.5f * hashed(160 + i) - 0.06f;
      const auto along = [&](float t) {
        const float place = clamp01(at + lean * t) * static_cast<float>(n - 1);
        const auto k = static_cast<size_t>(place);
        const size_t next = std::min(k + 1, n - 1);
        const float part = place - static_cast<float>(k);
        return mix(mix(shape.inner[k], shape.inner[next], part), mix(shape.outer[k], shape.outer[next], part),
                   t);
      };
      const float wide = px(0.018f + 0.022f * hashed(180 + i));
      Mask strand = canvas_.fill(
          stroke({along(from), along(from + 0.3f), along(std::min(1.0f, from + 0.6f))}, {0.0f, wide, 0.0f}));
      lay(strand.clip(hair), 0.5f, i % 3 == 0 ? h.streak * 1.12f : h.color * 0.74f);
    }
  }
  for (uint32_t i = 0; i < 20 && !combed_back(h.style); ++i) {
    const float t = (static_cast<float>(i) + hashed(100 + i)) / 20;
    const auto first = static_cast<size_t>(hashed(120 + i) * 0.5f * static_cast<float>(n));
    const size_t count = n / 4 + static_cast<size_t>(hashed(140 + i) * 0.25f * static_cast<float>(n));
    Path line;
    for (size_t k = first; k < std::min(n, first + count); k += 2) {
      const float wave = 0.05f * h.curl * paint::sin_of(0.9f * static_cast<float>(k) + 6 * hashed(160 + i));
      line.push_back(mix(shape.inner[k], shape.outer[k], clamp01(t + wave)));
    }
    if (line.size() < 3) continue;
    Mask strand = canvas_.fill(stroke(line, {0.0f, px(0.028f), px(0.020f), 0.0f}));
    lay(strand.clip(hair), 0.5f, i % 3 == 0 ? h.streak * 1.15f : h.color * 0.68f);
  }
  Path band;  // the sheen, on the side of the light
  for (size_t k = n / 5; k < n - n / 5; k += 2) band.push_back(mix(shape.inner[k], shape.outer[k], 0.58f));
  const float left = clamp01(0.5f - scene_.light.x), right = clamp01(0.5f + scene_.light.x);
  Mask sheen = canvas_.fill_soft(stroke(band, {0.0f, px(0.14f) * left, px(0.10f), px(0.14f) * right, 0.0f}),
                                 px(0.035f));
  lay(sheen.clip(hair), 0.18f + 0.35f * scene_.shine, mix(h.streak, Color{1, 0.95f, 0.88f}, 0.3f) * 1.2f);
}

Mask FacePainter::beard_mask() const {
  const Hair& h = person_.hair;
  const NoseAndMouth& n = person_.nose_mouth;
  const float w = person_.outline.width, mw = n.mouth_width,
              mid = 0.5f * (n.nose_length + n.mouth_height) + 0.03f;
  const float chin = 1.0f + (h.beard == Beard::Full ? h.beard_length : 0.5f * h.beard_length);
  const auto low = [&](float x, float y) { return project(x, stretch(y), 0.42f); };
  if (h.beard == Beard::Moustache)
    return canvas_.fill_soft(
        closed_curve(
            {on_face(-mw * 1.05f, n.mouth_height + 0.02f, 0.05f), on_face(-mw * 0.5f, mid - 0.02f, 0.05f),
             on_face(0, mid - 0.015f, 0.05f), on_face(mw * 0.5f, mid - 0.02f, 0.05f),
             on_face(mw * 1.05f, n.mouth_height + 0.02f, 0.05f),
             on_face(mw * 0.5f, n.mouth_height - 0.02f, 0.05f), on_face(0, n.mouth_height - 0.035f, 0.05f),
             on_face(-mw * 0.5f, n.mouth_height - 0.02f, 0.05f)}),
        px(0.008f));
  if (h.beard == Beard::Goatee)
    return canvas_.fill_soft(
        closed_curve({on_face(0, mid - 0.03f, 0.05f), on_face(mw * 1.1f, mid + 0.03f),
                      on_face(mw * 1.15f, n.mouth_height + 0.05f), low(mw * 0.9f, 0.9f), low(0, chin),
                      low(-mw * 0.9f, 0.9f), on_face(-mw * 1.15f, n.mouth_height + 0.05f),
                      on_face(-mw * 1.1f, mid + 0.03f)}),
        px(0.015f));
  const float grow = h.beard == Beard::Full ? 0.02f + 0.25f * h.beard_length : -0.01f,
              jaw = w * std::max(person_.outline.jaw, person_.outline.chin + 0.12f);
  const float side = w * person_.outline.cheek + 0.4f * grow;
  const auto edge = [&](float x, float y) { return project(x, stretch(y), 0.14f); };
  Path path{edge(-side, 0.10f),
            edge(-side, 0.42f),
            project(-jaw * 0.97f - grow, stretch(0.70f), 0.22f),
            low(-jaw * 0.5f - grow, 0.93f + 0.6f * grow),
            low(0, chin),
            low(jaw * 0.5f + grow, 0.93f + 0.6f * grow),
            project(jaw * 0.97f + grow, stretch(0.70f), 0.22f),
            edge(side, 0.42f),
            edge(side, 0.10f),
            edge(side * 0.90f, 0.12f),
            on_face(w * 0.70f, 0.42f),
            on_face(mw * 1.5f, mid),
            on_face(mw * 0.6f, mid - 0.04f, 0.05f),
            on_face(0, mid - 0.02f, 0.05f),
            on_face(-mw * 0.6f, mid - 0.04f, 0.05f),
            on_face(-mw * 1.5f, mid),
            on_face(-w * 0.70f, 0.42f),
            edge(-side * 0.90f, 0.12f)};
  return canvas_.fill_soft(closed_curve(path, 4), px(h.beard == Beard::Full ? 0.014f : 0.03f));
}

void FacePainter::paint_beard() {
  const Hair& h = person_.hair;
  if (h.beard == Beard::None) return;
  Mask beard = beard_mask();
  if (h.beard == Beard::Stubble) {
    lay(beard.clip(head_), 0.16f + 0.22f * h.beard_density, mix(h.color, person_.coloring.skin, 0.25f));
    return;
  }
  lay(beard, h.beard_density, h.color * 0.92f);
  for (uint32_t i = 0; i < 22; ++i) {
    const float x = -0.7f + 1.4f * hashed(300 + i), y = 0.45f + 0.6f * hashed(330 + i);
    Mask strand =
        canvas_.fill(stroke({project(x, stretch(y), 0.35f), project(x * 0.95f, stretch(y + 0.07f), 0.36f),
                             project(x * 0.88f, stretch(y + 0.15f), 0.36f)},
                            {0.0f, px(0.026f), 0.0f}));
    lay(strand.clip(beard), 0.4f, i % 2 ? mix(h.color, h.streak, 0.5f) : h.color * 0.65f);
  }
}

}  // namespace tern::faces
