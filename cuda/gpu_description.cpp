#include "tern/cuda/gpu_description.h"

#include <array>

#include "tern/core/error.h"

namespace tern::cu::dnn {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

// name, architecture, multiprocessors, shared bytes of a block, blocks and threads of a multiprocessor, L2,
// clocks (core, memory), memory. Sources: NVIDIA's architecture white papers and the CUDA programming guide's
// table of compute capabilities. A real device's own answers replace these wherever there is one.
constexpr std::array kGpus{
    GpuDescription{"NVIDIA A100-SXM4-80GB", 80, 108, 166912, 32, 2048, 41943040, 1410000, 1593000, 79 * kGiB},
    GpuDescription{"NVIDIA GeForce RTX 3090", 86, 82, 101376, 16, 1536, 6291456, 1695000, 9751000, 24 * kGiB},
    GpuDescription{"NVIDIA GeForce RTX 4090", 89, 128, 101376, 24, 1536, 75497472, 2520000, 10501000,
                   24 * kGiB},
    GpuDescription{"NVIDIA H100 80GB HBM3", 90, 132, 232448, 32, 2048, 52428800, 1980000, 2619000, 79 * kGiB},
    GpuDescription{"NVIDIA B200", 100, 148, 232448, 32, 2048, 132644864, 1965000, 3996000, 178 * kGiB},
    GpuDescription{"NVIDIA GeForce RTX 5090", 120, 170, 101376, 24, 1536, 100663296, 2407000, 14001000,
                   31 * kGiB},
};

constexpr int kDriver = 13000;

}  // namespace

std::span<const GpuDescription> described_gpus() { return kGpus; }

const GpuDescription& described_gpu(int architecture) {
  for (const GpuDescription& gpu : kGpus)
    if (gpu.architecture == architecture) return gpu;
  throw UsageError(concat_text("cudnn: no GPU of sm_", architecture, " is described"));
}

// cuDNN wants every one of these fields.
std::string to_json(const GpuDescription& gpu) {
  return concat_text(
      "{\"deviceVer\":", gpu.architecture * 10, ",\"deviceName\":\"", gpu.name,
      "\",\"multiProcessorCount\":", gpu.multiprocessors, ",\"warpSize\":32,\"maxThreadsPerBlock\":1024",
      ",\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":", gpu.shared_bytes,
      ",\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"regsPerBlock\":65536",
      ",\"maxCtasPerSM\":", gpu.blocks, ",\"maxThreadsPerSM\":", gpu.threads,
      ",\"l2CacheSize\":", gpu.l2_bytes, ",\"totalGlobalMem\":", gpu.memory_bytes,
      ",\"smClockRateKHz\":", gpu.clock_khz, ",\"memClockRateKHz\":", gpu.memory_clock_khz,
      ",\"maxBlockSize\":[1024,1024,64]",
      ",\"maxGridSize\":[2147483647,65535,65535],\"supportCoopLaunch\":1,\"pciDeviceId\":0,\"isTccDriver\":0",
      ",\"cudaDeviceId\":0,\"driverVer\":", kDriver, "}");
}

Target::Target(cudnnHandle_t handle, std::string name)
    : name_(std::move(name)), properties_(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR) {
  properties_.set(CUDNN_ATTR_DEVICEPROP_HANDLE, handle).finalize();
}

Target::Target(const GpuDescription& gpu)
    : name_(gpu.name), properties_(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR) {
  const std::string text = to_json(gpu);
  properties_.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(text)).finalize();
}

}  // namespace tern::cu::dnn
