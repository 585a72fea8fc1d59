#include "tern/data/paint.h"

#include <bit>

namespace tern::paint {

// ---- elementary functions
// -------------------------------------------------------------------------------------

float exp2_of(float x) {
  x = std::clamp(x, -120.0f, 120.0f);
  const float whole = std::floor(x + 0.5f);
  const float f = x - whole;  // [-0.5, 0.5]
  const float p =
      1.0f + f * (0.69314718f + f * (0.24022651f + f * (0.05550411f + f * (0.00961813f + f * 0.00133336f))));
  return p * std::bit_cast<float>(static_cast<int32_t>(whole + 127.0f) << 23);
}

float log2_of(float x) {
  const int32_t bits = std::bit_cast<int32_t>(x);
  int32_t exponent = (bits >> 23) - 127;
  float m = std::bit_cast<float>((bits & 0x007fffff) | 0x3f800000);  // [1, 2)
  if (m > 1.41421356f) m *= 0.5f, ++exponent;
  const float t = (m - 1) / (m + 1);  // log2(m) = 2/ln2 * atanh(t)
  const float t2 = t * t;
  return static_cast<float>(exponent) +
         t * (2.88539008f + t2 * (0.96179669f + t2 * (0.57707802f + t2 * 0.41219859f)));
}

float pow_of(float x, float power) { return x <= 0 ? 0.0f : exp2_of(power * log2_of(x)); }

float sin_of(float radians) {
  const float turns = radians * 0.318309886f;
  const float whole = std::floor(turns + 0.5f);
  const float r = (turns - whole) * 3.14159265f;  // [-pi/2, pi/2]
  const float r2 = r * r;
  const float s =
      r * (1 + r2 * (-0.16666667f + r2 * (0.0083333310f + r2 * (-0.00019840874f + r2 * 2.7525562e-6f))));
  return (static_cast<int32_t>(whole) & 1) ? -s : s;
}

// ---- curves
// ---------------------------------------------------------------------------------------------------

namespace {

Point catmull_rom(Point a, Point b, Point c, Point d, float t) {
  const float t2 = t * t, t3 = t2 * t;
  return a * (-0.5f * t3 + t2 - 0.5f * t) + b * (1.5f * t3 - 2.5f * t2 + 1) +
         c * (-1.5f * t3 + 2 * t2 + 0.5f * t) + d * (0.5f * t3 - 0.5f * t2);
}

}  // namespace

Path closed_curve(const Path& points, int steps) {
  const size_t n = points.size();
  Path curve;
  curve.reserve(n * static_cast<size_t>(steps));
  for (size_t i = 0; i < n; ++i) {
    const Point &a = points[(i + n - 1) % n], &b = points[i], &c = points[(i + 1) % n],
                &d = points[(i + 2) % n];
    for (int s = 0; s < steps; ++s)
      curve.push_back(catmull_rom(a, b, c, d, static_cast<float>(s) / static_cast<float>(steps)));
  }
  return curve;
}

Path open_curve(const Path& points, int steps) {
  const size_t n = points.size();
  Path curve;
  curve.reserve(n * static_cast<size_t>(steps) + 1);
  for (size_t i = 0; i + 1 < n; ++i) {
    const Point &b = points[i], &c = points[i + 1];
    const Point a = i > 0 ? points[i - 1] : b + (b - c), d = i + 2 < n ? points[i + 2] : c + (c - b);
    for (int s = 0; s < steps; ++s)
      curve.push_back(catmull_rom(a, b, c, d, static_cast<float>(s) / static_cast<float>(steps)));
  }
  curve.push_back(points.back());
  return curve;
}

Path stroke(const Path& line, const std::vector<float>& widths) {
  const size_t n = line.size();
  Path left, right;
  left.reserve(2 * n);
  right.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const Point along = line[std::min(i + 1, n - 1)] - line[i > 0 ? i - 1 : 0];
    const float length = std::sqrt(along.x * along.x + along.y * along.y) + 1e-6f;
    const float at =
        static_cast<float>(i) / static_cast<float>(n - 1) * static_cast<float>(widths.size() - 1);
    const size_t w = std::min(static_cast<size_t>(at), widths.size() - 1);
    const size_t w2 = std::min(w + 1, widths.size() - 1);
    const float half = 0.5f * (widths[w] + (widths[w2] - widths[w]) * (at - static_cast<float>(w)));
    const Point side{-along.y / length * half, along.x / length * half};
    left.push_back(line[i] + side);
    right.push_back(line[i] - side);
  }
  left.insert(left.end(), right.rbegin(), right.rend());
  return left;
}

Path ellipse(Point center, float rx, float ry, float radians, int points) {
  const float c = cos_of(radians), s = sin_of(radians);
  Path path;
  path.reserve(static_cast<size_t>(points));
  for (int i = 0; i < points; ++i) {
    const float angle = 6.2831853f * static_cast<float>(i) / static_cast<float>(points);
    const float x = rx * cos_of(angle), y = ry * sin_of(angle);
    path.push_back({center.x + x * c - y * s, center.y + x * s + y * c});
  }
  return path;
}

// ---- masks
// ----------------------------------------------------------------------------------------------------

Mask::Mask(int x0, int y0, int x1, int y1)
    : x0_(x0),
      y0_(y0),
      x1_(std::max(x0, x1)),
      y1_(std::max(y0, y1)),
      cover_(static_cast<size_t>(x1_ - x0_) * static_cast<size_t>(y1_ - y0_)) {}

Mask& Mask::clip(const Mask& inside) {
  for (int y = y0_; y < y1_; ++y)
    for (int x = x0_; x < x1_; ++x) row(y)[x - x0_] *= inside.at(x, y);
  return *this;
}

Mask& Mask::cut(const Mask& hole) {
  for (int y = y0_; y < y1_; ++y)
    for (int x = x0_; x < x1_; ++x) row(y)[x - x0_] *= 1 - hole.at(x, y);
  return *this;
}

Mask& Mask::scale(float factor) {
  for (float& c : cover_) c *= factor;
  return *this;
}

namespace {

// Adds to `row` (which has two cells more than the box is wide) what the edge piece from xa to xb covers to
// its right when it crosses `dy` of the row's height: prefix sums of the row then are the coverage.
void add_edge_piece(float* row, float xa, float xb, float dy) {
  const float x0 = std::min(xa, xb), x1 = std::max(xa, xb);
  const int i0 = static_cast<int>(x0), i1 = static_cast<int>(std::ceil(x1));
  if (i1 <= i0 + 1) {
    const float middle = 0.5f * (xa + xb) - static_cast<float>(i0);
    row[i0] += dy - dy * middle;
    row[i0 + 1] += dy * middle;
    return;
  }
  const float s = 1 / (x1 - x0);
  const float from = x0 - static_cast<float>(i0), to = x1 - static_cast<float>(i1) + 1;
  const float first = 0.5f * s * (1 - from) * (1 - from), last = 0.5f * s * to * to;
  row[i0] += dy * first;
  if (i1 == i0 + 2) {
    row[i0 + 1] += dy * (1 - first - last);
  } else {
    const float second = s * (1.5f - from);
    row[i0 + 1] += dy * (second - first);
    for (int i = i0 + 2; i < i1 - 1; ++i) row[i] += dy * s;
    row[i1 - 1] += dy * (1 - second - static_cast<float>(i1 - i0 - 3) * s - last);
  }
  row[i1] += dy * last;
}

// One pass of a box blur of width 2 r + 1 with fractional r along n values `stride` apart; `repeat` keeps the
// edge value outside, else outside is 0.
template <class Value>
void box_pass(Value* data, int n, int stride, float radius, bool repeat, std::vector<Value>& line) {
  const int whole = static_cast<int>(radius);
  const float part = radius - static_cast<float>(whole), scale = 1 / (2 * radius + 1);
  const int pad = whole + 2;
  line.assign(static_cast<size_t>(n + 2 * pad), Value{});
  for (int i = 0; i < n; ++i) line[static_cast<size_t>(i + pad)] = data[i * stride];
  if (repeat) {
    for (int i = 0; i < pad; ++i) {
      line[static_cast<size_t>(i)] = data[0];
      line[static_cast<size_t>(n + pad + i)] = data[(n - 1) * stride];
    }
  }
  Value sum{};
  for (int i = -whole; i < whole; ++i) sum = sum + line[static_cast<size_t>(i + pad)];
  for (int i = 0; i < n; ++i) {
    sum = sum + line[static_cast<size_t>(i + whole + pad)];
    const Value ends =
        line[static_cast<size_t>(i - whole - 1 + pad)] + line[static_cast<size_t>(i + whole + 1 + pad)];
    data[i * stride] = (sum + ends * part) * scale;
    sum = sum + line[static_cast<size_t>(i - whole + pad)] * -1.0f;
  }
}

}  // namespace

Mask Canvas::fill(const Path& polygon) const {
  float low_x = 1e9f, high_x = -1e9f, low_y = 1e9f, high_y = -1e9f;
  for (const Point& p : polygon) {
    low_x = std::min(low_x, p.x), high_x = std::max(high_x, p.x);
    low_y = std::min(low_y, p.y), high_y = std::max(high_y, p.y);
  }
  const auto limit = static_cast<float>(size_);
  const auto inside = [&](float v) { return static_cast<int>(std::clamp(v, 0.0f, limit)); };
  Mask mask(inside(std::floor(low_x)), inside(std::floor(low_y)), inside(std::ceil(high_x)),
            inside(std::ceil(high_y)));
  const int width = mask.x1() - mask.x0(), height = mask.y1() - mask.y0();
  if (width <= 0 || height <= 0) return Mask();
  std::vector<float> sums(static_cast<size_t>(width + 3) * static_cast<size_t>(height));
  const auto left = static_cast<float>(mask.x0()), right = static_cast<float>(width);
  for (size_t i = 0; i < polygon.size(); ++i) {
    Point a = polygon[i], b = polygon[(i + 1) % polygon.size()];
    if (a.y == b.y) continue;
    const float sign = a.y < b.y ? 1.0f : -1.0f;
    if (sign < 0) std::swap(a, b);
    const float slope = (b.x - a.x) / (b.y - a.y);
    const int first = std::max(mask.y0(), static_cast<int>(std::floor(std::max(a.y, -1.0f))));
    for (int y = first; y < mask.y1() && static_cast<float>(y) < b.y; ++y) {
      const float ya = std::max(a.y, static_cast<float>(y)), yb = std::min(b.y, static_cast<float>(y + 1));
      if (yb <= ya) continue;
      const float xa = std::clamp(a.x + slope * (ya - a.y) - left, 0.0f, right);
      const float xb = std::clamp(a.x + slope * (yb - a.y) - left, 0.0f, right);
      add_edge_piece(sums.data() + static_cast<size_t>(y - mask.y0()) * static_cast<size_t>(width + 3), xa,
                     xb, sign * (yb - ya));
    }
  }
  for (int y = 0; y < height; ++y) {
    const float* row = sums.data() + static_cast<size_t>(y) * static_cast<size_t>(width + 3);
    float* out = mask.row(y + mask.y0());
    float sum = 0;
    for (int x = 0; x < width; ++x) out[x] = std::min(1.0f, std::fabs(sum += row[x]));
  }
  return mask;
}

Mask Canvas::blurred(const Mask& mask, float radius) const {
  if (radius < 0.05f || mask.x1() <= mask.x0()) return mask;
  const int grow = static_cast<int>(2 * radius) + 2;
  Mask wide(std::max(0, mask.x0() - grow), std::max(0, mask.y0() - grow), std::min(size_, mask.x1() + grow),
            std::min(size_, mask.y1() + grow));
  for (int y = mask.y0(); y < mask.y1(); ++y)
    for (int x = mask.x0(); x < mask.x1(); ++x) wide.row(y)[x - wide.x0()] = mask.row(y)[x - mask.x0()];
  const int width = wide.x1() - wide.x0(), height = wide.y1() - wide.y0();
  std::vector<float> line;
  for (int pass = 0; pass < 2; ++pass) {
    for (int y = wide.y0(); y < wide.y1(); ++y) box_pass(wide.row(y), width, 1, radius, false, line);
    for (int x = 0; x < width; ++x) box_pass(wide.row(wide.y0()) + x, height, width, radius, false, line);
  }
  return wide;
}

Mask Canvas::fill_soft(const Path& polygon, float radius) const { return blurred(fill(polygon), radius); }

void Canvas::blur(float radius) {
  if (radius < 0.03f) return;
  std::vector<Color> line;
  for (int pass = 0; pass < 2; ++pass) {
    for (int y = 0; y < size_; ++y) box_pass(&at(0, y), size_, 1, radius, true, line);
    for (int x = 0; x < size_; ++x) box_pass(&at(x, 0), size_, size_, radius, true, line);
  }
}

}  // namespace tern::paint
