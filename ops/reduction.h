#pragma once
// How a loss of many terms becomes one number. Shared by every loss.

#include <cstdint>
#include <string_view>

namespace tern {

enum class Reduction : uint8_t {
  Mean,         // the sum divided by the number of terms; 0 without terms
  MeanNonZero,  // the sum divided by the number of terms above 0; 0 if there is none
  Sum,          // the sum
  None          // no reduction: the loss is a vector
};

constexpr std::string_view to_string(Reduction reduction) {
  switch (reduction) {
    case Reduction::Mean: return "mean";
    case Reduction::MeanNonZero: return "mean_nonzero";
    case Reduction::Sum: return "sum";
    case Reduction::None: return "none";
  }
  return "?";
}

}  // namespace tern
