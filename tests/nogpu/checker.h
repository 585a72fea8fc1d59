#pragma once
// Device memory of the emulator, and the checker of accesses to it.
//
// In the race build every read and write of kernel code to shared and global memory passes through here. For
// each byte it is known who wrote it last, who read it last, and in which phase (between two barriers of the
// block). An access is refused when
//   - the memory is neither shared, nor a live device allocation, nor an argument of the kernel (a host
//   pointer);
//   - it is not aligned to its size (up to 16 bytes);
//   - it reads what nobody has written;
//   - another thread of the block wrote it (or, for a write, read it) in the same phase, unless both belong
//   to one warp
//     and a warp operation lies between, or both are atomic;
//   - another block of the launch wrote it, or, for a write, read it.

#include <cstddef>
#include <cstdint>

namespace nogpu {

// How the kernels of this program were compiled.
enum class Build { Plain, Asan, Race };
Build build();

void checker_begin_grid();
uint64_t checked_accesses();

// Device allocations: filled with NaN bits, aligned to 256 bytes.
void* device_allocate(size_t bytes);
void device_free(void* data);  // throws Fault where data is no allocation
size_t device_allocations();   // alive now
// Whether [data, data + bytes) lies inside one live allocation.
bool is_device_memory(const void* data, size_t bytes);
// A copy or memset of the runtime has written these bytes.
void device_written(void* data, size_t bytes);
// A copy of the runtime reads these bytes: whether somebody has written all of them. Always true outside the
// race build.
bool device_was_written(const void* data, size_t bytes);

}  // namespace nogpu
