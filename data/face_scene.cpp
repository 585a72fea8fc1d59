// What is behind the head and what gets in front of it.
#include "tern/data/face_painter.h"

namespace tern::faces {

using paint::clamp01;
using paint::closed_curve;
using paint::ellipse;
using paint::mix;
using paint::open_curve;
using paint::stroke;

void FacePainter::paint_background() {
  const int size = canvas_.size();
  const float c = paint::cos_of(scene_.background_angle), s = paint::sin_of(scene_.background_angle);
  const Color a = scene_.background_a, b = scene_.background_b;
  const float inverse = 1 / static_cast<float>(size), stripes = 2 + 5 * hashed(1);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const float u = (static_cast<float>(x) + 0.5f) * inverse - 0.5f,
                  v = (static_cast<float>(y) + 0.5f) * inverse - 0.5f;
      const float along = u * c + v * s;
      float t = clamp01(along + 0.5f);
      if (scene_.background == 2) t = clamp01(0.5f + 0.9f * paint::sin_of(along * 6.28f * stripes));
      if (scene_.background == 3) t = paint::smooth(4 * along * static_cast<float>(size) / 24 + 0.5f);
      canvas_.at(x, y) = mix(a, b, t);
    }
  }
  const auto full = static_cast<float>(size);
  if (scene_.background == 1 || scene_.background == 4) {
    for (uint32_t i = 0; i < 9; ++i) {  // lights out of focus, or furniture
      const Point p{full * hashed(400 + i), full * hashed(420 + i)};
      const float r = full * (0.04f + 0.13f * hashed(440 + i));
      const Color color{hashed(460 + i), hashed(480 + i), hashed(500 + i)};
      const Path shape = scene_.background == 1 ? ellipse(p, r, r)
                                                : Path{{p.x - r, p.y - 2 * r},
                                                       {p.x + r, p.y - 2 * r},
                                                       {p.x + r, p.y + 2 * r},
                                                       {p.x - r, p.y + 2 * r}};
      canvas_.paint(canvas_.fill_soft(shape, full * 0.012f), 0.45f, [&](int, int) { return color; });
    }
  }
}

void FacePainter::paint_cover() {
  switch (scene_.cover) {
    case Cover::None: return;
    case Cover::Mask: return paint_mask();
    case Cover::Scarf: return paint_scarf();
    case Cover::Hand: return paint_hand();
    case Cover::Bar: return paint_bar();
    case Cover::Hat: return paint_hat();
    default: return paint_glasses(true);
  }
}

void FacePainter::paint_mask() {
  const float w = person_.outline.width, top = 0.20f + 0.12f * scene_.cover_size;
  const Color color = mix(scene_.cover_color, Color{0.85f, 0.93f, 0.97f}, 0.6f);
  const auto at = [&](float x, float y, float z) { return project(x, stretch(y), z); };
  for (float side : {-1.0f, 1.0f})
    for (float y : {0.40f, 0.72f})
      lay(stroke(open_curve({at(side * w * 0.8f, y, 0.3f), at(side * w, 0.1f + 0.2f * y, 0.0f)}),
                 {px(0.02f), px(0.02f)}),
          0.9f, color * 0.85f);
  const Path shape =
      closed_curve({at(0, top - 0.03f, 0.85f), at(w * 0.45f, top + 0.06f, 0.6f), at(w * 0.88f, 0.44f, 0.25f),
                    at(w * 0.80f, 0.78f, 0.3f), at(w * 0.42f, 1.02f, 0.5f), at(0, 1.10f, 0.6f),
                    at(-w * 0.42f, 1.02f, 0.5f), at(-w * 0.80f, 0.78f, 0.3f), at(-w * 0.88f, 0.44f, 0.25f),
                    at(-w * 0.45f, top + 0.06f, 0.6f)});
  const Mask mask = canvas_.fill(shape);
  lay(mask, 1, color);
  for (float y : {0.52f, 0.68f, 0.84f}) {
    Mask fold = canvas_.fill_soft(
        stroke(open_curve({at(-w * 0.8f, y, 0.3f), at(0, y + 0.05f, 0.8f), at(w * 0.8f, y, 0.3f)}),
               {px(0.02f), px(0.03f), px(0.02f)}),
        px(0.006f));
    lay(fold.clip(mask), 0.6f, color * 0.78f);
  }
  Mask shade = canvas_.fill_soft(
      stroke(open_curve({at(-w * 0.4f, 1.0f, 0.5f), at(0, 1.06f, 0.6f), at(w * 0.4f, 1.0f, 0.5f)}),
             {px(0.1f), px(0.2f), px(0.1f)}),
      px(0.07f));
  lay(shade.clip(mask), 0.5f, color * 0.65f);
}

void FacePainter::paint_scarf() {
  const float top = 0.52f + 0.35f * scene_.cover_size;
  const auto at = [&](float x, float y) { return project(x, y, 0.55f); };
  const Mask scarf = canvas_.fill(closed_curve(
      {at(-0.98f, top + 0.15f), at(-0.5f, top + 0.03f), at(0, top + 0.06f), at(0.5f, top),
       at(0.98f, top + 0.12f), at(1.15f, 1.5f), at(0.7f, 1.85f), at(-0.7f, 1.85f), at(-1.15f, 1.5f)}));
  lay(scarf, 1, scene_.cover_color);
  for (uint32_t i = 0; i < 6; ++i) {
    const float y = top + 0.16f + 0.17f * static_cast<float>(i), bend = 0.12f * (hashed(600 + i) - 0.3f);
    Mask fold = canvas_.fill_soft(stroke(open_curve({at(-1.1f, y), at(0, y + bend), at(1.1f, y - 0.05f)}),
                                         {px(0.02f), px(0.05f), px(0.02f)}),
                                  px(0.012f));
    lay(fold.clip(scarf), 0.6f,
        i % 2 ? scene_.cover_color * 0.6f : mix(scene_.cover_color, scene_.collar, 0.6f));
  }
}

void FacePainter::paint_hand() {
  const float side = scene_.cover_place < 0 ? -1.0f : 1.0f, y = -0.15f + 0.9f * scene_.cover_size;
  const Color skin = mix(person_.coloring.skin, Color{0.75f, 0.45f, 0.38f}, 0.12f), edge = skin * 0.55f;
  const float lean = scene_.cover_angle;
  const auto at = [&](float u, float v) {  // u along the fingers towards the face, v across them
    const float c = paint::cos_of(lean), s = paint::sin_of(lean);
    return project(side * (1.15f - (u * c - v * s)), y + u * s * 0.6f + v * c, 0.75f);
  };
  const Mask palm =
      canvas_.fill(closed_curve({at(-0.6f, -0.10f), at(-0.1f, -0.26f), at(0.22f, -0.24f), at(0.30f, 0.05f),
                                 at(0.20f, 0.30f), at(-0.1f, 0.33f), at(-0.6f, 0.24f)}));
  lay(palm, 1, skin * 0.95f);
  const float reach[5] = {0.74f, 0.88f, 0.93f, 0.82f, 0.42f};
  for (int finger = 4; finger >= 0; --finger) {
    const float v = finger == 4 ? 0.36f : -0.21f + 0.145f * static_cast<float>(finger), tip = reach[finger];
    const Point from = at(0.0f, finger == 4 ? 0.2f : v), to = at(tip, v * 1.12f);
    const Path line = open_curve({from, mix(from, to, 0.5f) + Point{0, -px(0.03f)}, to}, 4);
    lay(stroke(line, {px(0.165f), px(0.155f), px(0.13f)}), 1, edge);
    lay(ellipse(to, px(0.066f), px(0.066f), 0, 12), 1, edge);
    lay(stroke(line, {px(0.145f), px(0.132f), px(0.11f)}), 1, skin);
    lay(ellipse(to, px(0.055f), px(0.055f), 0, 12), 1, skin);
    lay_soft(ellipse(mix(from, to, 0.97f), px(0.03f), px(0.026f), 0, 10), 0.006f, 0.6f,
             mix(skin, Color{1, 0.86f, 0.84f}, 0.6f));
  }
}

void FacePainter::paint_bar() {
  const float full = static_cast<float>(canvas_.size()), half = full * (0.05f + 0.09f * scene_.cover_size),
              length = full * 0.9f;
  const float c = paint::cos_of(scene_.cover_angle * 2), s = paint::sin_of(scene_.cover_angle * 2);
  const Point middle = project(0.35f * scene_.cover_place, 0.05f + 0.6f * scene_.cover_place, 0.7f);
  const auto at = [&](float u, float v) {
    return middle + Point{u * length * c - v * half * s, u * length * s + v * half * c};
  };
  const Mask bar = canvas_.fill({at(-1, -1), at(1, -1), at(1, 1), at(-1, 1)});
  lay(bar, 1, scene_.cover_color);
  for (float v : {-0.75f, 0.1f, 0.8f})
    lay(Path{at(-1, v), at(1, v), at(1, v + 0.12f), at(-1, v + 0.12f)}, 0.35f, scene_.cover_color * 0.5f);
}

void FacePainter::paint_hat() {
  const float w = person_.outline.width + 0.10f, brim = -0.46f - 0.16f * scene_.cover_size,
              high = 1.14f + 0.22f * scene_.cover_size;
  const auto at = [&](float x, float y, float z) { return project(x, y, z); };
  Path path{at(-w, brim + 0.16f, -0.05f)};
  for (int i = -6; i <= 6; ++i) {
    const float angle = 1.5707963f * static_cast<float>(i) / 6.5f;
    path.push_back(
        at(w * 1.02f * paint::sin_of(angle), brim - 0.05f - (high + brim) * paint::cos_of(angle), -0.1f));
  }
  path.push_back(at(w, brim + 0.16f, -0.05f));
  path.push_back(at(w * 0.5f, brim + 0.02f, 0.55f));
  path.push_back(at(0, brim, 0.72f));
  path.push_back(at(-w * 0.5f, brim + 0.02f, 0.55f));
  lay_soft(
      stroke(open_curve({at(-w, brim + 0.2f, 0.0f), at(0, brim + 0.08f, 0.72f), at(w, brim + 0.2f, 0.0f)}),
             {px(0.1f), px(0.16f), px(0.1f)}),
      0.05f, 0.5f, person_.coloring.skin * 0.4f);
  const Mask hat = canvas_.fill(closed_curve(path, 4));
  lay(hat, 1, scene_.cover_color);
  const Path edge = open_curve({at(-w, brim + 0.12f, -0.05f), at(-w * 0.5f, brim - 0.01f, 0.55f),
                                at(0, brim - 0.03f, 0.72f), at(w * 0.5f, brim - 0.01f, 0.55f),
                                at(w, brim + 0.12f, -0.05f)});
  if (scene_.cover_place > 0) {  // a cap with a peak
    lay(closed_curve({at(-0.48f, brim, 0.62f), at(0, brim - 0.06f, 0.75f), at(0.48f, brim, 0.62f),
                      at(0.42f, brim + 0.10f, 0.95f), at(0, brim + 0.13f, 1.1f),
                      at(-0.42f, brim + 0.10f, 0.95f)}),
        1, scene_.cover_color * 0.7f);
  } else {  // a knitted one with a turned-up edge
    lay(stroke(edge, {px(0.16f), px(0.2f), px(0.16f)}), 1, mix(scene_.cover_color, scene_.collar, 0.5f));
  }
}

void FacePainter::paint_glasses(bool dark) {
  const EyesAndBrows& e = person_.eyes;
  const float size = scene_.glasses_size, square = scene_.glasses_shape, r = 0.215f * size,
              thick = px(scene_.glasses_thickness);
  const float s = 0.30f * size, y = e.height + 0.01f;
  const Color frame = dark ? scene_.cover_color * 0.4f : scene_.glasses_color;
  for (float side : {-1.0f, 1.0f}) {
    Path lens;
    for (int i = 0; i < 20; ++i) {
      const float angle = 0.31415926f * static_cast<float>(i), c = paint::cos_of(angle),
                  v = paint::sin_of(angle);
      const float box = 1 / std::max(std::fabs(c), std::fabs(v)), out = 1 + square * 0.55f * (box - 1);
      const float x = side * (s + r * c * out), yy = y + 0.82f * r * v * out;
      lens.push_back(project(x, yy, 0.70f - 0.25f * std::fabs(x)));
    }
    if (dark) lay(lens, 0.93f, frame * 0.5f);
    const float glare = dark ? 0.25f : scene_.glasses_glare;
    if (glare > 0) {
      Mask shine = canvas_.fill_soft(Path{lens[10], lens[12], lens[16], lens[18]}, px(0.02f));
      canvas_.paint(shine, glare, [](int, int) { return Color{0.95f, 0.97f, 1.0f}; });
    }
    Path ring = lens;
    ring.push_back(lens[0]);
    ring.push_back(lens[1]);
    lay(stroke(ring, {thick, thick}), 1, frame);
    const auto w = person_.outline.width;
    lay(stroke({lens[side > 0 ? 19 : 11], project(side * w, y - 0.06f, 0.1f),
                project(side * (w + 0.02f), y - 0.03f, -0.2f)},
               {thick, thick}),
        1, frame * 0.9f);
  }
  lay(stroke(open_curve({project(-(s - r), y - 0.03f, 0.68f), project(0, y - 0.07f, 0.80f),
                         project(s - r, y - 0.03f, 0.68f)},
                        4),
             {thick, thick}),
      1, frame);
}

}  // namespace tern::faces
