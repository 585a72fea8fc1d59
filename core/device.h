#pragma once
// Where a tensor lives. CPU code works in every build; CUDA is compiled in with -DTERN_CUDA=ON.

#include <cstdint>
#include <string>

namespace tern {

#ifdef TERN_WITH_CUDA
inline constexpr bool kWithCuda = true;
#else
inline constexpr bool kWithCuda = false;
#endif

enum class DeviceType : uint8_t { Cpu, Cuda };

struct Device {
  DeviceType type = DeviceType::Cpu;
  int16_t index = 0;

  constexpr bool is_cpu() const { return type == DeviceType::Cpu; }
  constexpr bool is_cuda() const { return type == DeviceType::Cuda; }
  friend constexpr bool operator==(const Device&, const Device&) = default;
};

inline constexpr Device kCpu{};

std::string to_string(const Device& device);  // "cpu", "cuda:0"

// The one dispatch helper. Both arguments are lambdas that call one backend's kernel; in a build without CUDA
// the second is discarded, so that its kernel need not exist.
//   on_device(x.device(), [&] { return cpu::relu(x, y); }, [&] { return cu::relu(x, y); });
template <class CpuCall, class CudaCall>
decltype(auto) on_device(const Device& device, CpuCall&& cpu_call, CudaCall&& cuda_call) {
  if constexpr (kWithCuda) {
    if (device.is_cuda()) return cuda_call();
  }
  return cpu_call();
}

}  // namespace tern
