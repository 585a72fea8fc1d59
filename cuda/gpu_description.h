#pragma once
// A GPU as cuDNN sees it when it plans: either the one behind a handle, or one that is only described, so
// that plans for any GPU can be made on a machine that has none.

#include <span>
#include <string>

#include "tern/cuda/dnn_descriptor.h"

namespace tern::cu::dnn {

// What cuDNN's heuristics and code generators ask of a device. From the vendor's data sheets.
struct GpuDescription {
  const char* name;
  int architecture;  // 90 for sm_90
  int multiprocessors;
  int64_t shared_bytes;  // of a block, at most
  int blocks, threads;   // of a multiprocessor, at most
  int64_t l2_bytes;
  int64_t clock_khz, memory_clock_khz;
  int64_t memory_bytes;
};

// One GPU of each architecture that tern is compiled for: A100, RTX 3090, RTX 4090, H100, B200, RTX 5090.
std::span<const GpuDescription> described_gpus();
const GpuDescription& described_gpu(int architecture);  // throws UsageError for one not described

// The form cuDNN takes.
std::string to_json(const GpuDescription& gpu);

// A device to plan for. Made once and used for many plans.
class Target {
 public:
  // name: what plans tuned for this device are kept under.
  Target(cudnnHandle_t handle, std::string name);
  explicit Target(const GpuDescription& gpu);

  const Descriptor& properties() const { return properties_; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  Descriptor properties_;
};

}  // namespace tern::cu::dnn
