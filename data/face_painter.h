#pragma once
// Paints a Person in a Scene, from back to front. Points are given in face lengths (face_person.h) with a
// depth z towards the viewer, turned by the pose and projected: nose and brows move against the ears when the
// head turns.

#include "tern/data/face_person.h"
#include "tern/data/image.h"
#include "tern/data/paint.h"

namespace tern::faces {

using paint::Mask;
using paint::Path;

class FacePainter {
 public:
  FacePainter(const Person& person, const Scene& scene, int size);
  Image photo();

 private:
  // face_head.cpp
  void paint_neck_and_clothes();
  void paint_ears();
  void paint_head();
  void paint_relief();
  void paint_skin_marks();
  Path head_path(float grow) const;
  // face_features.cpp
  void paint_eye(float side);
  void paint_lids(float side, const Path& upper, const Path& lower);
  void paint_brow(float side);
  void paint_nose();
  void paint_mouth();
  void paint_lip_shapes(const Path& corners_up, const Path& upper_inner, const Path& lower_inner,
                        const Path& under);
  // face_hair.cpp
  struct HairShape {
    std::vector<Point> outer, inner;  // projected, left side over the crown to the right side, same count
  };
  HairShape hair_shape() const;
  float hairline_at(float x) const;
  void paint_back_hair();
  void paint_front_hair();
  void paint_strands(const HairShape& shape, const Mask& hair);
  void paint_beard();
  Mask beard_mask() const;
  // face_scene.cpp
  void paint_background();
  void paint_cover();
  void paint_mask();
  void paint_scarf();
  void paint_hand();
  void paint_bar();
  void paint_hat();
  void paint_glasses(bool dark);
  // face_camera.cpp
  void make_light();
  Image develop();

  // Turned and projected to pixels.
  Point project(float x, float y, float z) const;
  // A point on the skin, lifted above it by `lift`; lengths below the eyes stretch with the face.
  Point on_face(float x, float y, float lift = 0) const;
  float depth(float x, float y) const;
  float stretch(float y) const { return y > 0 ? y * person_.outline.length : y; }
  float px(float length) const { return length * unit_; }
  // A repeatable number in [0, 1) for details such as the place of a strand.
  float hashed(uint32_t index) const;

  void lay(const Mask& mask, float alpha, Color color);  // in the light of the scene
  void lay(const Path& path, float alpha, Color color) { lay(canvas_.fill(path), alpha, color); }
  void lay_soft(const Path& path, float radius, float alpha, Color color) {
    lay(canvas_.fill_soft(path, px(radius)), alpha, color);
  }
  void lay_on_head(const Path& path, float radius, float alpha, Color color);  // not outside the head

  const Person& person_;
  const Scene& scene_;
  paint::Canvas canvas_, light_;
  Mask head_;
  float unit_;    // pixels per face length
  Point center_;  // of the head, in pixels
  float cos_yaw_, sin_yaw_, cos_pitch_, sin_pitch_, cos_roll_, sin_roll_;
};

}  // namespace tern::faces
