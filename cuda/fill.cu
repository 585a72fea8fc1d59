// fill_elements() of a device (core/allocator.h): one value written n times, 16 bytes a store.

#include <cstring>

#include "tern/core/allocator.h"
#include "tern/cuda/kernel.h"

namespace tern::cu {
namespace {

// The bytes from the first 16-byte boundary on in whole vectors, what is left on both sides one by one.
// pattern: the element repeated over 8 bytes, which begins anew at every boundary, as the data is aligned to
// its elements.
__global__ void fill_kernel(unsigned char* data, int64_t head, int64_t vectors, int64_t bytes,
                            uint64_t pattern) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const auto low = static_cast<unsigned>(pattern), high = static_cast<unsigned>(pattern >> 32);
  auto* body = reinterpret_cast<uint4*>(data + head);
  for (int64_t i = first; i < vectors; i += step) body[i] = make_uint4(low, high, low, high);
  const int64_t tail = head + vectors * 16;
  const auto byte_at = [pattern](int64_t i) { return static_cast<unsigned char>(pattern >> (i % 8 * 8)); };
  if (first < head) data[first] = byte_at(16 - head + first);
  if (first < 16 && tail + first < bytes) data[tail + first] = byte_at(first);
}

}  // namespace

void fill_elements(void* data, Device device, const void* element, int64_t element_bytes, int64_t n) {
  uint64_t pattern = 0;
  for (int64_t at = 0; at < 8; at += element_bytes)
    std::memcpy(reinterpret_cast<char*>(&pattern) + at, element, static_cast<size_t>(element_bytes));
  const int64_t bytes = n * element_bytes;
  const auto address = reinterpret_cast<uintptr_t>(data);
  int64_t head = static_cast<int64_t>((16 - address % 16) % 16);
  if (head > bytes) head = bytes;
  const int64_t vectors = (bytes - head) / 16;
  launch("fill", fill_kernel, blocks_for(bytes > 0 ? vectors + 16 : 0), dim3(kBlock), 0,
         runtime(device).compute_stream(), static_cast<unsigned char*>(data), head, vectors, bytes, pattern);
}

}  // namespace tern::cu
