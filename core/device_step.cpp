#include "tern/core/device_step.h"

#include "tern/core/error.h"

namespace tern {
namespace {

[[noreturn]] void refuse_on_cpu(const char* what) {
  throw UsageError(concat_text(what, ": not for the device cpu, where a step is done when it returns"));
}

}  // namespace

std::unique_ptr<Inbox> make_inbox(Device device, const std::vector<Tensor>& like) {
  return on_device(
      device, []() -> std::unique_ptr<Inbox> { refuse_on_cpu("make_inbox"); },
      [&] { return cu::make_inbox(device, like); });
}

std::unique_ptr<Recording> record_work(Device device, const std::function<void()>& body) {
  return on_device(
      device, []() -> std::unique_ptr<Recording> { refuse_on_cpu("record_work"); },
      [&] { return cu::record_work(device, body); });
}

std::unique_ptr<Readback> make_readback(Device device) {
  return on_device(
      device, []() -> std::unique_ptr<Readback> { refuse_on_cpu("make_readback"); },
      [&] { return cu::make_readback(device); });
}

}  // namespace tern
