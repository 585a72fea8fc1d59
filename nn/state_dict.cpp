#include "tern/nn/state_dict.h"

#include <algorithm>
#include <cstring>

#include "tern/ops/shape_ops.h"

namespace tern::nn {
namespace {

bool is_convolution(const Member& member) {
  return member.layout == Layout::Convolution && member.tensor->rank() == 4;
}

Tensor to_file_layout(const Member& member) {
  // A copy on the CPU in any case.
  const Tensor& here = *member.tensor;
  const Tensor values = here.device().is_cpu() ? here.detach() : here.detach().to(kCpu);
  if (is_convolution(member)) return permute(values, {0, 3, 1, 2});
  return here.device().is_cpu() ? values.clone() : values;
}

Shape file_shape(const Member& member) {
  const Shape& s = member.tensor->shape();
  return is_convolution(member) ? Shape{s[0], s[3], s[1], s[2]} : s;
}

Tensor from_file_layout(const Member& member, const Tensor& stored) {
  const Tensor values = stored.dtype() == member.tensor->dtype() ? stored : stored.to(member.tensor->dtype());
  return is_convolution(member) ? permute(values, {0, 2, 3, 1}) : values;
}

bool fits(const Member& member, const Tensor& stored) {
  const bool widened = stored.dtype() == DType::BF16 && member.tensor->dtype() == DType::F32;
  return stored.shape() == file_shape(member) && (stored.dtype() == member.tensor->dtype() || widened);
}

bool equal_values(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw_data(), b.raw_data(), static_cast<size_t>(a.bytes())) == 0;
}

// "3 missing (conv1.weight, ...)": enough names to see what is wrong, not a page of them.
void append_list(std::string& text, const char* what, const std::vector<std::string>& names) {
  constexpr size_t kShown = 8;
  if (names.empty()) return;
  text += concat_text(text.empty() ? "" : "; ", names.size(), " ", what, " (");
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) text += concat_text(i ? ", " : "", names[i]);
  text += names.size() > kShown ? ", ...)" : ")";
}

// For every member the first member with the same data: itself unless it is an alias.
std::vector<size_t> first_of(const std::vector<Member>& all) {
  std::vector<size_t> first(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    first[i] = i;
    for (size_t j = 0; j < i && first[i] == i; ++j) {
      if (same_data(*all[i].tensor, *all[j].tensor)) first[i] = j;
    }
  }
  return first;
}

}  // namespace

TensorMap state_dict(Module& module) {
  const NoGradGuard no_grad;
  TensorMap tensors;
  const auto all = members(module);
  const auto first = first_of(all);
  for (size_t i = 0; i < all.size(); ++i) {
    if (first[i] != i) continue;
    const bool added = tensors.emplace(all[i].name, to_file_layout(all[i])).second;
    check(added, "state_dict: two tensors are named '", all[i].name,
          "'; hint: give each its own name in visit()");
  }
  return tensors;
}

void load_state_dict(Module& module, const TensorMap& tensors) {
  const NoGradGuard no_grad;
  const auto all = members(module);
  const auto first = first_of(all);
  std::vector<std::string> missing, unexpected, mismatched;
  std::vector<std::pair<const Member*, Tensor>> assignments;
  size_t used = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto found = tensors.find(all[i].name);
    const bool alias = first[i] != i;
    if (found == tensors.end()) {
      if (!alias) missing.push_back(all[i].name);
      continue;
    }
    ++used;
    const auto original = alias ? tensors.find(all[first[i]].name) : found;
    if (!fits(all[i], found->second)) {
      mismatched.push_back(concat_text(all[i].name, ": ", describe(found->second), ", expected ",
                                       all[i].tensor->dtype(), " ", file_shape(all[i])));
    } else if (alias && original != tensors.end() && !equal_values(found->second, original->second)) {
      mismatched.push_back(concat_text(all[i].name, ": differs from ", original->first, ", which it shares"));
    } else if (!alias) {
      assignments.emplace_back(&all[i], found->second);
    }
  }
  if (used < tensors.size()) {
    for (const auto& entry : tensors) {
      const auto known = [&](const Member& member) { return member.name == entry.first; };
      if (std::none_of(all.begin(), all.end(), known)) unexpected.push_back(escaped(entry.first));
    }
  }
  std::string problems;
  append_list(problems, "missing", missing);
  append_list(problems, "unexpected", unexpected);
  append_list(problems, "of another shape or type", mismatched);
  check<IncompatibleError>(problems.empty(), "load_state_dict: the weights do not fit the model: ", problems,
                           "; hint: build the model with the options it was saved with");
  // Conversions first: they may run out of memory, and then nothing has been changed.
  for (auto& [member, values] : assignments) values = from_file_layout(*member, values);
  for (auto& [member, values] : assignments) {
    Tensor target = member->tensor->share();
    target.copy_from(values);
  }
}

}  // namespace tern::nn
