#include "tern/cpu/isa.h"

#include <atomic>
#include <cstdlib>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "tern/core/error.h"

namespace tern::cpu {
namespace {

Isa parse(std::string_view text) {
  for (const Isa isa : {Isa::Reference, Isa::Baseline, Isa::Avx2, Isa::Avx512, Isa::Amx})
    if (text == to_string(isa)) return isa;
  throw UsageError(concat_text("TERN_ISA: '", escaped(text),
                               "' is not known; hint: reference, baseline, avx2, avx512 or amx"));
}

void check_available(Isa isa) {
  check(isa_available(isa), "TERN_ISA: this processor does not offer ", to_string(isa),
        "; the best it has is ", to_string(best_isa()));
}

Isa initial() {
  const char* text = std::getenv("TERN_ISA");
  if (!text || !*text) return best_isa();
  const Isa isa = parse(text);
  check_available(isa);
  return isa;
}

#if defined(__x86_64__)
// Whether the processor has tiles with bf16 products and the operating system lets this process use them. The
// tile registers are large, so Linux grants them on request only.
bool tiles_granted() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr unsigned kTiles = 1u << 24, kTilesBf16 = 1u << 22;  // CPUID leaf 7, EDX
  constexpr long kRequestPermission = 0x1023, kTileData = 18;   // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
  if ((edx & kTiles) == 0 || (edx & kTilesBf16) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

std::atomic<Isa>& active() {
  static std::atomic<Isa> isa{initial()};
  return isa;
}

}  // namespace

std::string_view to_string(Isa isa) {
  switch (isa) {
    case Isa::Reference: return "reference";
    case Isa::Baseline: return "baseline";
    case Isa::Avx2: return "avx2";
    case Isa::Avx512: return "avx512";
    case Isa::Amx: return "amx";
  }
  return "?";
}

// The compiler's test includes the operating system's consent to the registers.
Isa best_isa() {
#if defined(__x86_64__)
  static const Isa best = [] {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx512) return tiles_granted() ? Isa::Amx : Isa::Avx512;
    return avx2 ? Isa::Avx2 : Isa::Baseline;
  }();
  return best;
#else
  return Isa::Baseline;
#endif
}

bool isa_available(Isa isa) { return isa <= best_isa(); }
Isa active_isa() { return active().load(std::memory_order_relaxed); }

void set_isa(Isa isa) {
  check_available(isa);
  active().store(isa, std::memory_order_relaxed);
}

}  // namespace tern::cpu
