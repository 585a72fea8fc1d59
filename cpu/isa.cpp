#include "tern/cpu/isa.h"

#include <atomic>
#include <cstdlib>

#include "tern/core/error.h"

namespace tern::cpu {
namespace {

Isa parse(std::string_view text) {
  for (const Isa isa : {Isa::Reference, Isa::Baseline, Isa::Avx2, Isa::Avx512})
    if (text == to_string(isa)) return isa;
  throw UsageError(
      concat_text("TERN_ISA: '", escaped(text), "' is not known; hint: reference, baseline, avx2 or avx512"));
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
    return avx512 ? Isa::Avx512 : avx2 ? Isa::Avx2 : Isa::Baseline;
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
