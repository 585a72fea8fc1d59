#include "tern/core/philox.h"

#include <cmath>
#include <numbers>

namespace tern {

std::array<double, 2> normal_pair(uint32_t bits0, uint32_t bits1) {
  // u in (0, 1]: the logarithm is finite.
  const double u = (static_cast<double>(bits0) + 1.0) * 0x1p-32;
  const double angle = 2.0 * std::numbers::pi * (static_cast<double>(bits1) * 0x1p-32);
  const double radius = std::sqrt(-2.0 * std::log(u));
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

double PhiloxSequence::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const uint32_t bits0 = next();
  const auto pair = normal_pair(bits0, next());
  spare_ = pair[1];
  has_spare_ = true;
  return pair[0];
}

}  // namespace tern
