// The painter's frame (pose, depth), and the head without hair: neck, clothes, ears, skin and its marks.
#include "tern/data/face_painter.h"

namespace tern::faces {

using paint::clamp01;
using paint::closed_curve;
using paint::ellipse;
using paint::mix;
using paint::open_curve;
using paint::stroke;

FacePainter::FacePainter(const Person& person, const Scene& scene, int size)
    : person_(person),
      scene_(scene),
      canvas_(size),
      light_(size),
      unit_(0.385f * static_cast<float>(size) * scene.scale),
      center_{(0.5f + scene.shift_x) * static_cast<float>(size),
              (0.535f + scene.shift_y) * static_cast<float>(size)},
      cos_yaw_(paint::cos_of(scene.yaw)),
      sin_yaw_(paint::sin_of(scene.yaw)),
      cos_pitch_(paint::cos_of(scene.pitch)),
      sin_pitch_(paint::sin_of(scene.pitch)),
      cos_roll_(paint::cos_of(scene.roll)),
      sin_roll_(paint::sin_of(scene.roll)) {}

Image FacePainter::photo() {
  make_light();
  paint_background();
  paint_back_hair();
  paint_neck_and_clothes();
  paint_ears();
  paint_head();
  paint_relief();
  paint_skin_marks();
  paint_beard();
  paint_mouth();
  for (float side : {-1.0f, 1.0f}) {
    paint_eye(side);
    paint_brow(side);
  }
  paint_nose();
  if (scene_.glasses && scene_.cover != Cover::Sunglasses) paint_glasses(false);
  paint_front_hair();
  paint_cover();
  return develop();
}

Point FacePainter::project(float x, float y, float z) const {
  const float x1 = x * cos_yaw_ + z * sin_yaw_, z1 = z * cos_yaw_ - x * sin_yaw_;
  const float y1 = y * cos_pitch_ - z1 * sin_pitch_, z2 = y * sin_pitch_ + z1 * cos_pitch_;
  const float near = unit_ / (1 - 0.10f * z2);
  return {center_.x + near * (x1 * cos_roll_ - y1 * sin_roll_),
          center_.y + near * (x1 * sin_roll_ + y1 * cos_roll_)};
}

float FacePainter::depth(float x, float y) const {
  const float w = person_.outline.width, u = x / (1.15f * w), v = y / 1.25f;
  return 0.84f * w * std::sqrt(std::max(0.04f, 1 - u * u - v * v));
}

Point FacePainter::on_face(float x, float y, float lift) const {
  y = stretch(y);
  x *= 0.5f + 0.68f * person_.outline.width;  // wide heads have wide faces
  return project(x, y, depth(x, y) + lift);
}

float FacePainter::hashed(uint32_t index) const {
  uint32_t h = scene_.texture_seed + index * 0x9E3779B9u;
  h = (h ^ (h >> 16)) * 0x85EBCA6Bu;
  h = (h ^ (h >> 13)) * 0xC2B2AE35u;
  return static_cast<float>((h ^ (h >> 16)) >> 8) * 0x1p-24f;
}

void FacePainter::lay(const Mask& mask, float alpha, Color color) {
  canvas_.paint(mask, alpha, [&](int x, int y) { return color * light_.at(x, y); });
}

void FacePainter::lay_on_head(const Path& path, float radius, float alpha, Color color) {
  Mask mask = canvas_.fill_soft(path, px(radius));
  lay(mask.clip(head_), alpha, color);
}

void FacePainter::paint_neck_and_clothes() {
  const float n = person_.outline.neck, bottom = 2.4f;
  const Color skin = person_.coloring.skin;
  const auto at = [&](float x, float y) { return project(x, y, -0.15f); };
  lay(closed_curve({at(-n, 0.3f), at(n, 0.3f), at(n * 1.02f, 1.15f), at(n * 1.5f, 1.42f),
                    at(n * 1.6f, bottom), at(-n * 1.6f, bottom), at(-n * 1.5f, 1.42f),
                    at(-n * 1.02f, 1.15f)}),
      1, skin * 0.93f);
  // The head's shadow on the neck.
  lay_soft(closed_curve({at(-n, 0.6f), at(n, 0.6f), at(n * 0.9f, 1.12f), at(0, 1.28f), at(-n * 0.9f, 1.12f)}),
           0.07f, 0.5f, skin * 0.5f);
  const float dip = scene_.shirt_kind == 1 ? 0.62f : scene_.shirt_kind == 3 ? -0.02f : 0.22f;
  const float reach = n + (scene_.shirt_kind == 3 ? 0.03f : 0.16f),
              top = scene_.shirt_kind == 3 ? 1.13f : 1.24f;
  const Path shirt =
      closed_curve({at(-reach, top), at(0, top + dip), at(reach, top), at(1.0f, 1.42f), at(1.55f, 1.75f),
                    at(1.8f, bottom + 0.6f), at(-1.8f, bottom + 0.6f), at(-1.55f, 1.75f), at(-1.0f, 1.42f)});
  const Mask mask = canvas_.fill(shirt);
  lay(mask, 1, scene_.shirt);
  const Path edge = open_curve({at(-reach, top), at(0, top + dip), at(reach, top)});
  const float wide = scene_.shirt_kind == 2 ? px(0.16f) : px(0.06f);
  Mask collar = canvas_.fill(stroke(edge, {wide, wide}));
  lay(collar, 1, scene_.shirt_kind == 2 ? scene_.collar : scene_.shirt * 0.75f);
  for (int fold = 0; fold < 3; ++fold) {
    const float x = -1.0f + static_cast<float>(fold) + 0.5f * hashed(70u + static_cast<uint32_t>(fold));
    Mask crease = canvas_.fill_soft(stroke(open_curve({at(x, 1.5f), at(x * 1.1f, 2.0f), at(x * 0.9f, 2.5f)}),
                                           {0.0f, px(0.14f), px(0.05f)}),
                                    px(0.05f));
    lay(crease.clip(mask), 0.35f, scene_.shirt * 0.6f);
  }
}

void FacePainter::paint_ears() {
  const Outline& o = person_.outline;
  const float r = std::max(0.08f, o.ear_size), out = std::max(0.0f, o.ear_out);
  const Color skin = person_.coloring.skin;
  for (float side : {-1.0f, 1.0f}) {
    const auto at = [&](float x, float y) {
      return project(side * (o.width * 0.97f + (x + 0.02f) * (0.5f + 5 * out)), o.ear_height + 0.02f + y,
                     -0.12f);
    };
    lay(closed_curve({at(-0.1f, -r * 0.9f), at(0.06f, -r * 1.1f), at(0.15f, -r * 0.6f), at(0.12f, r * 0.2f),
                      at(0.05f, r * 0.95f), at(-0.1f, r * 0.8f)}),
        1, mix(skin, Color{0.85f, 0.42f, 0.36f}, 0.12f));
    lay_soft(closed_curve({at(-0.06f, -r * 0.6f), at(0.07f, -r * 0.75f), at(0.09f, -r * 0.3f),
                           at(0.03f, r * 0.4f), at(-0.06f, r * 0.4f)}),
             0.014f, 0.55f, skin * 0.62f);
  }
}

Path FacePainter::head_path(float grow) const {
  const Outline& o = person_.outline;
  // A turned head is as deep as it is wide: its silhouette hardly narrows.
  const float turn = std::sqrt(cos_yaw_ * cos_yaw_ + 0.85f * sin_yaw_ * sin_yaw_) / cos_yaw_;
  const float w = o.width + grow, jaw = std::max(o.jaw, o.chin + 0.12f), sq = 0.85f + 0.35f * o.square;
  const float half[10][3] = {{w * 0.45f * o.forehead, -0.955f, -0.08f},
                             {w * 0.80f * o.forehead, -0.77f, -0.05f},
                             {w * 0.98f * o.forehead, -0.46f, 0.0f},
                             {w * 0.5f * (1 + o.cheek), -0.10f, 0.0f},
                             {w * o.cheek, 0.20f, 0.03f},
                             {w * (0.42f * o.cheek + 0.58f * jaw), 0.50f, 0.10f},
                             {w * jaw * 0.93f, 0.70f, 0.20f},
                             {w * (0.36f * jaw + 0.64f * o.chin) * sq, 0.89f, 0.36f},
                             {w * o.chin * 0.62f * sq, 0.985f, 0.46f},
                             {0, 1.02f, 0.5f}};
  Path points{project(0, -1.0f - grow, -0.1f)};
  for (int i = 0; i < 10; ++i)
    points.push_back(project(half[i][0] * turn, stretch(half[i][1]) * (1 + grow), half[i][2]));
  for (int i = 8; i >= 0; --i)
    points.push_back(project(-half[i][0] * turn, stretch(half[i][1]) * (1 + grow), half[i][2]));
  return closed_curve(points, 5);
}

void FacePainter::paint_head() {
  head_ = canvas_.fill(head_path(0));
  lay(head_, 1, person_.coloring.skin);
}

// Soft light and shade that make the flat head a face.
void FacePainter::paint_relief() {
  const Coloring& c = person_.coloring;
  const NoseAndMouth& n = person_.nose_mouth;
  const Color dark = c.skin * Color{0.66f, 0.56f, 0.52f}, light = mix(c.skin, Color{1, 0.97f, 0.92f}, 0.4f);
  const Color rosy = mix(c.skin, Color{0.9f, 0.32f, 0.30f}, 0.5f);
  const float s = person_.eyes.spacing, e = person_.eyes.height;
  for (float side : {-1.0f, 1.0f}) {
    lay_on_head(ellipse(on_face(side * s, e - 0.03f), px(0.21f), px(0.13f), scene_.roll), 0.06f,
                0.26f + 0.15f * c.shade, dark);
    lay_on_head(ellipse(on_face(side * 0.47f, 0.36f), px(0.20f), px(0.15f), scene_.roll), 0.10f,
                0.10f + 0.40f * c.blush, rosy);
    lay_on_head(ellipse(on_face(side * 0.44f, 0.24f), px(0.16f), px(0.07f), scene_.roll + side * 0.3f), 0.07f,
                0.30f * scene_.shine, light);
    lay_on_head(closed_curve({on_face(side * 0.62f, 0.30f), on_face(side * 0.66f, 0.55f),
                              on_face(side * 0.36f, 0.78f), on_face(side * 0.46f, 0.52f)}),
                0.08f, 0.20f + 0.25f * c.shade, dark);
    const float fold = 0.15f + 0.5f * c.age + 0.30f * std::max(0.0f, scene_.smile);
    lay_on_head(
        stroke(open_curve({on_face(side * (n.nose_width + 0.03f), n.nose_length - 0.02f, 0.05f),
                           on_face(side * (n.mouth_width + 0.05f), 0.5f * (n.nose_length + n.mouth_height)),
                           on_face(side * (n.mouth_width + 0.075f), n.mouth_height)}),
               {px(0.01f), px(0.035f), 0.0f}),
        0.014f, fold, dark);
    lay_on_head(stroke(open_curve({on_face(side * (s - 0.13f), e + 0.10f), on_face(side * s, e + 0.15f),
                                   on_face(side * (s + 0.13f), e + 0.11f)}),
                       {0.0f, px(0.03f), 0.0f}),
                0.012f, 0.12f + 0.5f * c.age, dark);
  }
  lay_on_head(ellipse(on_face(0, -0.45f), px(0.36f), px(0.16f), scene_.roll), 0.12f, 0.30f * scene_.shine,
              light);
  lay_on_head(ellipse(on_face(0, n.mouth_height + 0.15f), px(0.13f), px(0.03f), scene_.roll), 0.025f, 0.30f,
              dark);
  lay_on_head(ellipse(on_face(0, 0.88f), px(0.11f), px(0.06f), scene_.roll), 0.05f, 0.22f, light);
  if (c.age > 0.3f) {
    for (int line = 0; line < 3; ++line) {
      const float y = -0.32f - 0.10f * static_cast<float>(line);
      lay_on_head(stroke(open_curve({on_face(-0.32f, y), on_face(0, y - 0.03f), on_face(0.32f, y)}),
                         {0.0f, px(0.02f), 0.0f}),
                  0.006f, 0.9f * (c.age - 0.3f), dark);
    }
  }
}

void FacePainter::paint_skin_marks() {
  const Coloring& c = person_.coloring;
  const Color freckle = c.skin * Color{0.70f, 0.52f, 0.42f}, mole = c.skin * Color{0.36f, 0.26f, 0.24f};
  for (int i = 0; i < c.freckles; ++i) {
    const Spot& s = c.freckle[static_cast<size_t>(i)];
    lay_on_head(ellipse(on_face(s.x, s.y), px(s.radius), px(s.radius), 0, 8), 0, s.strength, freckle);
  }
  for (int i = 0; i < c.moles; ++i) {
    const Spot& s = c.mole[static_cast<size_t>(i)];
    lay_on_head(ellipse(on_face(s.x, s.y), px(s.radius), px(s.radius * 0.9f), 0, 10), 0, s.strength, mole);
  }
}

}  // namespace tern::faces
