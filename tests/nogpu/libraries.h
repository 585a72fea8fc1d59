#pragma once
// Stand-ins for cuDNN and cuBLASLt, put in their place through cuda/vendor.h. They compute with naive loops
// of their own, in f64, over the emulator's device memory and in the order of the streams, from nothing but
// the descriptors they were given.
//
//   cuDNN     the installed library checks every descriptor, proposes configurations and finalizes plans, for
//             the described sm_90; only execution is the stand-in's. Without the library plans cannot be
//             made: cudnn_missing() says so, and tests skip.
//   cuBLASLt  stand-in only. An algorithm carries the problem it was chosen for, and a call with another one
//             is refused. With TF32 the factors are rounded to 10 bits of fraction.
//
// Both refuse what the libraries would, or would crash on: missing or unaligned pointers, memory that is not
// the device's, too little workspace. The workspace is filled with NaN bits.

#include <cstdint>
#include <string>

namespace nogpu {

void use_library_stand_ins();
std::string cudnn_missing();  // why cuDNN cannot plan here, "" if it can

struct LibraryCounts {
  int64_t cudnn_executions = 0, matmuls = 0, tf32_matmuls = 0;
};
LibraryCounts library_counts();

}  // namespace nogpu
