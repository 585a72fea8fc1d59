#pragma once
// What follows a normalisation or a convolution in one pass: nothing, ReLU, or PReLU with one slope a
// channel.

#include <cstdint>

namespace tern {

enum class Activation : uint8_t { None, Relu, Prelu };

}  // namespace tern
