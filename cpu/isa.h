#pragma once
// Instruction sets. Every cpu/*_kernels.cpp is compiled once per set, in the namespace of the set; the best
// one the processor and the operating system offer is chosen at run time.
// TERN_ISA=reference|baseline|avx2|avx512|amx forces one. amx is avx512 with matrix tiles for products of
// bf16 activations (cpu/tile.h): it shares every other kernel, so f32 results have the same bits on both.

#include <cstdint>
#include <string_view>

namespace tern::cpu {

enum class Isa : uint8_t { Reference, Baseline, Avx2, Avx512, Amx };

#if defined(__x86_64__)
inline constexpr bool kX86 = true;
#else
inline constexpr bool kX86 = false;
#endif

Isa best_isa();         // what this processor offers
Isa active_isa();       // best_isa(), or what TERN_ISA or set_isa() asks for
void set_isa(Isa isa);  // throws UsageError if the processor lacks it
bool isa_available(Isa isa);
std::string_view to_string(Isa isa);

// True when the naive loops of cpu/reference/ are asked for.
inline bool use_reference() { return active_isa() == Isa::Reference; }

// The kernel table of the active instruction set. A kernel header declares one table per namespace and calls
//   const PointwiseKernels& pointwise_kernels() {
//     return isa_pick([]() -> auto& { return baseline::pointwise_table; }, [] ... avx2, [] ... avx512);
//   }
// On processors other than x86 the vector forms are discarded and need not exist.
template <class B, class A2, class A5>
auto& isa_pick(B&& baseline, A2&& avx2, A5&& avx512) {
  if constexpr (kX86) {
    switch (active_isa()) {
      case Isa::Amx:
      case Isa::Avx512: return avx512();
      case Isa::Avx2: return avx2();
      default: break;
    }
  }
  return baseline();
}

}  // namespace tern::cpu
