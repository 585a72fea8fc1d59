#include "tern/cuda/gemm.h"

#include <utility>

#include "tern/core/error.h"
#include "tern/core/storage.h"
#include "tern/cuda/alignment.h"
#include "tern/cuda/conv2d_kernels.h"
#include "tern/cuda/runtime.h"

namespace tern::cu {
namespace {

constexpr uint64_t kWorkspaceCap = uint64_t{32} << 20;

cudaDataType_t type_of(DType dtype) { return dtype == DType::BF16 ? CUDA_R_16BF : CUDA_R_32F; }

// The operation: op() of both factors, arithmetic, epilogue.
class Operation {
 public:
  explicit Operation(cublasComputeType_t compute) {
    TERN_CUBLAS_CALL(vendor::cublaslt().MatmulDescCreate(&descriptor_, compute, CUDA_R_32F));
  }
  ~Operation() {
    if (descriptor_) vendor::cublaslt().MatmulDescDestroy(descriptor_);
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  cublasLtMatmulDesc_t get() const { return descriptor_; }
  template <class T>
  void set(cublasLtMatmulDescAttributes_t name, const T& value) {
    TERN_CUBLAS_CALL(vendor::cublaslt().MatmulDescSetAttribute(descriptor_, name, &value, sizeof value));
  }

 private:
  cublasLtMatmulDesc_t descriptor_ = nullptr;
};

// A matrix as cuBLASLt sees it: of our [rows, columns] the transpose.
class Layout {
 public:
  Layout(DType dtype, int64_t rows, int64_t columns) {
    TERN_CUBLAS_CALL(vendor::cublaslt().MatrixLayoutCreate(
        &layout_, type_of(dtype), static_cast<uint64_t>(columns), static_cast<uint64_t>(rows), columns));
  }
  ~Layout() {
    if (layout_) vendor::cublaslt().MatrixLayoutDestroy(layout_);
  }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  cublasLtMatrixLayout_t get() const { return layout_; }

 private:
  cublasLtMatrixLayout_t layout_ = nullptr;
};

class Preference {
 public:
  Preference() { TERN_CUBLAS_CALL(vendor::cublaslt().MatmulPreferenceCreate(&preference_)); }
  ~Preference() {
    if (preference_) vendor::cublaslt().MatmulPreferenceDestroy(preference_);
  }
  Preference(const Preference&) = delete;
  Preference& operator=(const Preference&) = delete;
  cublasLtMatmulPreference_t get() const { return preference_; }
  template <class T>
  void set(cublasLtMatmulPreferenceAttributes_t name, const T& value) {
    TERN_CUBLAS_CALL(
        vendor::cublaslt().MatmulPreferenceSetAttribute(preference_, name, &value, sizeof value));
  }

 private:
  cublasLtMatmulPreference_t preference_ = nullptr;
};

}  // namespace

struct GemmPlans::Plan {
  explicit Plan(const Gemm& g)
      : operation(g.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F),
        a(g.factors, g.transpose_a ? g.k : g.m, g.transpose_a ? g.m : g.k),
        b(g.factors, g.transpose_b ? g.n : g.k, g.transpose_b ? g.k : g.n),
        c(g.result, g.m, g.n) {}

  Operation operation;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm{};
  int64_t workspace = 0;
};

GemmPlans::GemmPlans() = default;
GemmPlans::~GemmPlans() = default;
size_t GemmPlans::size() const {
  std::lock_guard lock(mutex_);
  return plans_.size();
}

namespace {

void choose_algorithm(Runtime& gpu, const Gemm& g, uint32_t alignment, GemmPlans::Plan& plan) {
  Preference preference;
  preference.set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceCap);
  const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;  // besides none
  preference.set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes);
  for (const auto name :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    preference.set(name, alignment);
  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  TERN_CUBLAS_CALL(vendor::cublaslt().MatmulAlgoGetHeuristic(
      gpu.cublaslt(), plan.operation.get(), plan.b.get(), plan.a.get(), plan.c.get(), plan.c.get(),
      preference.get(), 1, &found, &count));
  check<DeviceError>(count == 1 && found.state == CUBLAS_STATUS_SUCCESS, "cublas: no algorithm for [", g.m,
                     ",", g.k, "] times [", g.k, ",", g.n, "] of ", g.factors, " on ", gpu.properties().name,
                     "; hint: a newer cuBLAS 13");
  plan.algorithm = found.algo;
  plan.workspace = static_cast<int64_t>(found.workspaceSize);
}

std::unique_ptr<GemmPlans::Plan> make_plan(Runtime& gpu, const Gemm& g, const float* bias,
                                           int64_t alignment) {
  auto plan = std::make_unique<GemmPlans::Plan>(g);
  const auto op = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  plan->operation.set(CUBLASLT_MATMUL_DESC_TRANSA, op(g.transpose_b));
  plan->operation.set(CUBLASLT_MATMUL_DESC_TRANSB, op(g.transpose_a));
  if (bias) {
    plan->operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    plan->operation.set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
    plan->operation.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  choose_algorithm(gpu, g, static_cast<uint32_t>(alignment), *plan);
  return plan;
}

void multiply(Runtime& gpu, Device device, const Gemm& g, const void* a, const void* b, const float* bias,
              void* c) {
  const int64_t alignment = common_alignment({a, b, c});
  const GemmPlans::Key key{g.m,
                           g.n,
                           g.k,
                           g.transpose_a,
                           g.transpose_b,
                           static_cast<int64_t>(g.factors),
                           static_cast<int64_t>(g.result),
                           g.tf32,
                           bias != nullptr,
                           alignment};
  gpu.gemm_plans().with(
      key, [&] { return make_plan(gpu, g, bias, alignment); },
      [&](GemmPlans::Plan& plan) {
        if (bias) plan.operation.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
        const auto workspace = Storage::allocate(plan.workspace, device);
        const float beta = 0;
        TERN_CUBLAS_CALL(vendor::cublaslt().Matmul(
            gpu.cublaslt(), plan.operation.get(), &g.alpha, b, plan.b.get(), a, plan.a.get(), &beta, c,
            plan.c.get(), c, plan.c.get(), &plan.algorithm, workspace->data(),
            static_cast<size_t>(plan.workspace), gpu.compute_stream()));
      });
}

}  // namespace

void gemm(Device device, const Gemm& g, const void* a, const void* b, const float* bias, void* c) {
  if (g.m == 0 || g.n == 0) return;
  Runtime& gpu = runtime(device);
  // The library's epilogue takes an f32 bias for an f32 result only, and reads it in 16-byte pieces.
  const bool fused = bias && g.k > 0 && g.result == DType::F32 && common_alignment({bias}) == kFullAlignment;
  if (g.k > 0) {
    multiply(gpu, device, g, a, b, fused ? bias : nullptr, c);
  } else {
    const auto bytes = static_cast<size_t>(g.m * g.n * size_of(g.result));
    TERN_CUDA_CALL(cudaMemsetAsync(c, 0, bytes, gpu.compute_stream()));
  }
  if (bias && !fused) channel_epilogue(device, g.result, g.m, g.n, {.bias = bias}, c);
}

}  // namespace tern::cu
