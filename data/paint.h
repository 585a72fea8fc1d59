#pragma once
// A small painter for the synthetic faces: closed curves filled with exact pixel coverage, soft edges by
// blurring the coverage, colours in [0, 1] mixed onto a float canvas. Everything is scalar arithmetic with +,
// -, *, / and sqrt in one fixed order (no libm), so a drawing has the same bits on every machine that runs
// the same build.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tern::paint {

struct Point {
  float x = 0, y = 0;
};
inline Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
inline Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
inline Point operator*(Point a, float s) { return {a.x * s, a.y * s}; }
inline Point mix(Point a, Point b, float t) { return a + (b - a) * t; }

struct Color {
  float r = 0, g = 0, b = 0;
};
inline Color operator+(Color a, Color b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
inline Color operator*(Color a, Color b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
inline Color operator*(Color a, float s) { return {a.r * s, a.g * s, a.b * s}; }
inline Color mix(Color a, Color b, float t) { return a * (1 - t) + b * t; }
inline float luma(Color c) { return 0.299f * c.r + 0.587f * c.g + 0.114f * c.b; }

inline float clamp01(float x) { return x < 0 ? 0.0f : x > 1 ? 1.0f : x; }
inline float smooth(float x) {  // 0 below 0, 1 above 1, no kinks
  x = clamp01(x);
  return x * x * (3 - 2 * x);
}
float exp2_of(float x);              // relative error below 1e-5
float log2_of(float x);              // x > 0
float pow_of(float x, float power);  // x >= 0; 0 gives 0
float sin_of(float radians);         // absolute error below 1e-5 for |radians| < 1000
inline float cos_of(float radians) { return sin_of(radians + 1.57079633f); }

using Path = std::vector<Point>;

// Smooth closed curve through the points (Catmull-Rom), `steps` pieces between two points.
Path closed_curve(const Path& points, int steps = 6);
// Smooth open curve through the points, ends included.
Path open_curve(const Path& points, int steps = 6);
// The outline of a brush stroke along an open curve; width at position t in [0,1] is widths interpolated
// evenly.
Path stroke(const Path& line, const std::vector<float>& widths);
Path ellipse(Point center, float rx, float ry, float radians = 0, int points = 20);

// Coverage of the pixels in [x0, x1) x [y0, y1), 0 elsewhere.
class Mask {
 public:
  Mask() = default;
  Mask(int x0, int y0, int x1, int y1);
  int x0() const { return x0_; }
  int y0() const { return y0_; }
  int x1() const { return x1_; }
  int y1() const { return y1_; }
  float* row(int y) { return cover_.data() + static_cast<size_t>(y - y0_) * static_cast<size_t>(x1_ - x0_); }
  const float* row(int y) const { return const_cast<Mask*>(this)->row(y); }
  float at(int x, int y) const { return x < x0_ || x >= x1_ || y < y0_ || y >= y1_ ? 0.0f : row(y)[x - x0_]; }
  Mask& clip(const Mask& inside);  // keeps what lies inside
  Mask& cut(const Mask& hole);     // keeps what lies outside
  Mask& scale(float factor);

 private:
  int x0_ = 0, y0_ = 0, x1_ = 0, y1_ = 0;
  std::vector<float> cover_;
};

class Canvas {
 public:
  explicit Canvas(int size) : size_(size), pixels_(static_cast<size_t>(size) * static_cast<size_t>(size)) {}
  int size() const { return size_; }
  Color& at(int x, int y) {
    return pixels_[static_cast<size_t>(y) * static_cast<size_t>(size_) + static_cast<size_t>(x)];
  }
  const Color& at(int x, int y) const { return const_cast<Canvas*>(this)->at(x, y); }

  // Exact share of each pixel inside the closed polygon (non-zero winding for outlines that turn one way).
  Mask fill(const Path& polygon) const;
  // The same with its edge softened by a Gaussian-like blur of this radius in pixels.
  Mask fill_soft(const Path& polygon, float radius) const;
  Mask blurred(const Mask& mask, float radius) const;

  // pixel = mix(pixel, shader(x, y), coverage * alpha)
  template <class Shader>
  void paint(const Mask& mask, float alpha, Shader&& shader) {
    for (int y = mask.y0(); y < mask.y1(); ++y) {
      const float* cover = mask.row(y) - mask.x0();
      for (int x = mask.x0(); x < mask.x1(); ++x) {
        const float a = cover[x] * alpha;
        if (a > 0.002f) at(x, y) = mix(at(x, y), shader(x, y), a);
      }
    }
  }
  // Blurs the whole canvas in place, edges repeated.
  void blur(float radius);

 private:
  int size_;
  std::vector<Color> pixels_;
};

}  // namespace tern::paint
