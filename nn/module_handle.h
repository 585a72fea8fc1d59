#pragma once
// A module inside another one, of any class. Given by value it is owned, and copied when the handle is
// copied; given as a pointer it is shared with whoever else holds it, copies included.

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "tern/nn/module.h"

namespace tern::nn {

class ModuleHandle {
 public:
  template <class M>
  requires std::derived_from<std::remove_cvref_t<M>, Module> ModuleHandle(
      M&& module)  // implicit: a Sequential lists modules
      : module_(std::make_shared<std::remove_cvref_t<M>>(std::forward<M>(module))),
        copy_(&copy_as<std::remove_cvref_t<M>>) {}
  ModuleHandle(std::shared_ptr<Module> shared) : module_(std::move(shared)) {
    check(module_ != nullptr, "a null pointer was given as a module");
  }
  template <class M>
  requires std::derived_from<M, Module> ModuleHandle(std::shared_ptr<M> shared)
      : ModuleHandle(std::shared_ptr<Module>(std::move(shared))) {}
  template <class M>
  requires std::derived_from<M, Module> ModuleHandle(std::unique_ptr<M> module)
      : ModuleHandle(std::shared_ptr<Module>(std::move(module))) {}

  ModuleHandle(const ModuleHandle& other)
      : module_(other.copy_ ? other.copy_(*other.module_) : other.module_), copy_(other.copy_) {}
  ModuleHandle(ModuleHandle&& other) noexcept = default;
  ModuleHandle& operator=(ModuleHandle other) noexcept {
    module_.swap(other.module_);
    std::swap(copy_, other.copy_);
    return *this;
  }

  Module& operator*() const { return *module_; }
  Module* operator->() const { return module_.get(); }

 private:
  template <class M>
  static std::shared_ptr<Module> copy_as(const Module& original) {
    return std::make_shared<M>(static_cast<const M&>(original));
  }
  std::shared_ptr<Module> module_;
  std::shared_ptr<Module> (*copy_)(const Module&) = nullptr;  // null: shared
};

}  // namespace tern::nn
