#pragma once
// Packed or transformed filters, kept with the weight they were made from while gradients are off.
//
// A trained model packs each weight once and not per photo. In training weights change every step, so nothing
// is kept: the packed form is working memory of one call.

#include <memory>
#include <utility>

#include "tern/core/autograd.h"
#include "tern/core/derived.h"
#include "tern/core/tensor.h"
#include "tern/cpu/isa.h"

namespace tern::cpu {

enum class FilterForm : int64_t { Panels, Winograd, Matrix, Taps };

// make() returns a std::unique_ptr<T>. T, form, group, the instruction set, the weight's place in its storage
// and its shape identify the result.
template <class T, class Make>
std::shared_ptr<const T> cached_filters(const Tensor& w, FilterForm form, int64_t group, Make&& make) {
  struct Entry {
    Shape shape;
    std::shared_ptr<const T> filters;
  };
  constexpr int64_t kForms = 4, kIsas = 5, kGroups = 4096;
  if (grad_enabled() || group >= kGroups) return std::shared_ptr<const T>(make());
  const int64_t place = w.element_offset() * kGroups + group;
  const int64_t key =
      (place * kIsas + static_cast<int64_t>(active_isa())) * kForms + static_cast<int64_t>(form);
  const auto entry = Derived<Entry>::of(w.storage(), key, [&] {
    return Entry{w.shape(), std::shared_ptr<const T>(make())};
  });
  // Another view of the same bytes with another shape was here first.
  if (!(entry->shape == w.shape())) return std::shared_ptr<const T>(make());
  return entry->filters;
}

}  // namespace tern::cpu
