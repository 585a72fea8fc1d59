#pragma once
// How the CUDA backend computes, for the whole process. Read at every operation; set between steps.

namespace tern {

struct CudaOptions {
  bool tf32 = false;  // f32 convolutions and linear layers on tensor cores, inputs rounded to 10 bits
  bool deterministic = false;  // the same bits in every run: no tuning, no algorithm whose sums change order
  bool autotune = true;        // measure the algorithms of a new shape on first use, and remember the fastest
  friend bool operator==(const CudaOptions&, const CudaOptions&) = default;
};

CudaOptions cuda_options();
void set_cuda_options(const CudaOptions& options);

}  // namespace tern
