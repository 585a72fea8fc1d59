#pragma once
// Device memory as the stand-ins of the libraries see it: checked, and read and written as numbers.

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tern/core/dtype.h"
#include "tern/tests/nogpu/checker.h"
#include "tern/tests/nogpu/emulator.h"

namespace nogpu {

// Work of a library on a stream; runs when the kernels before it have.
void enqueue_library_call(cudaStream_t stream, std::function<void()> work);

// `count` numbers from data on; throws Fault where they are not device memory or nobody has written them.
template <class T>
std::vector<double> read_numbers(const void* data, int64_t count, const std::string& who) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(T);
  if (!is_device_memory(data, bytes))
    throw Fault(who + " is not device memory of " + std::to_string(bytes) + " bytes");
  if (!device_was_written(data, bytes)) throw Fault(who + " is read, but nobody wrote all of it");
  std::vector<double> numbers(static_cast<size_t>(count));
  const auto* from = static_cast<const T*>(data);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(from[i]);
  return numbers;
}

template <class T>
void write_numbers(void* data, const std::vector<double>& numbers, const std::string& who) {
  const size_t bytes = numbers.size() * sizeof(T);
  if (!is_device_memory(data, bytes))
    throw Fault(who + " is not device memory of " + std::to_string(bytes) + " bytes");
  auto* to = static_cast<T*>(data);
  for (size_t i = 0; i < numbers.size(); ++i) to[i] = static_cast<T>(static_cast<float>(numbers[i]));
  device_written(data, bytes);
}

inline void spoil_workspace(void* data, int64_t bytes, const std::string& who) {
  if (bytes == 0) return;
  if (!is_device_memory(data, static_cast<size_t>(bytes)))
    throw Fault(who + ": the workspace is not device memory of " + std::to_string(bytes) + " bytes");
  std::memset(data, 0xFF, static_cast<size_t>(bytes));
}

}  // namespace nogpu
