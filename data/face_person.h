#pragma once
// Who is drawn (Person: five cues, each from its own random address) and how the photo was taken (Scene:
// everything that changes from photo to photo, from an address that knows the person only as a number).
//
// Lengths are in half head heights: the crown is at y = -1, the chin near y = +1, x grows to the right of the
// picture.

#include <array>
#include <cstdint>

#include "tern/data/paint.h"
#include "tern/data/synthetic.h"

namespace tern::faces {

using paint::Color;
using paint::Point;

struct Outline {
  float width, forehead, cheek, jaw, chin, length, square;  // head shape, as factors of the average head
  float ear_size, ear_out, ear_height, neck;
};

struct EyesAndBrows {
  float spacing, height, width, open, tilt, roundness, lower, crease, lash, iris;
  Color iris_color;
  float brow_height, brow_thickness, brow_length, brow_arch, brow_tilt, brow_gap, brow_shade;
};

struct NoseAndMouth {
  float nose_length, nose_width, bridge, tip, nostril, hook;
  float mouth_height, mouth_width, upper, lower, bow, corner;
  Color lips;
};

enum class HairStyle : int {
  Bald,
  Cropped,
  Short,
  SideSwept,
  Fringe,
  Bob,
  Long,
  Curly,
  Bun,
  Receding,
  kCount
};
enum class Beard : int { None, Stubble, Moustache, Goatee, Full, kCount };

struct Hair {
  HairStyle style;
  Beard beard;
  float hairline, volume, side_volume, side_length, part, curl, temple, fringe;
  float beard_length, beard_density;
  Color color, streak;
};

struct Spot {
  float x, y, radius, strength;
};

struct Coloring {
  Color skin;
  float blush, age, shade;
  int freckles, moles;
  std::array<Spot, 60> freckle;
  std::array<Spot, 3> mole;
};

struct Person {
  Outline outline;
  EyesAndBrows eyes;
  NoseAndMouth nose_mouth;
  Hair hair;
  Coloring coloring;
};

// A cue that is made the same is the one of a fixed average person, whoever is asked for.
Person person_of(uint64_t seed, int64_t identity, const SameCues& same);

enum class Cover : int { None, Mask, Scarf, Hand, Bar, Hat, Sunglasses, kCount };

struct Scene {
  // pose
  float yaw, pitch, roll, scale, shift_x, shift_y;
  // expression
  float smile, open, brow_raise, frown, lids, gaze_x, gaze_y;
  // light
  Point light;  // where the main light stands, x to the right and y down, length at most 1
  float ambient, strength, shine;
  Color tint;
  float shadow, shadow_angle, shadow_offset, shadow_soft;
  // what covers the face
  Cover cover;
  float cover_size, cover_angle, cover_place;
  Color cover_color;
  bool glasses;
  float glasses_shape, glasses_size, glasses_thickness, glasses_glare;
  Color glasses_color;
  float makeup;
  Color makeup_color;
  float hair_mess;
  // surroundings
  int background;
  Color background_a, background_b, shirt, collar;
  float background_angle;
  int shirt_kind;
  uint32_t texture_seed;
  // camera
  float exposure, contrast, saturation, gamma, blur, noise, vignette;
  Color balance;
};

Scene scene_of(uint64_t seed, int64_t identity, int64_t photo);

}  // namespace tern::faces
