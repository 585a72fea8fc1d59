#include "tern/tests/nogpu/cublaslt.h"

#include <array>
#include <bit>
#include <map>

#include "tern/tests/nogpu/library_memory.h"

namespace nogpu {
namespace {

using Attributes = std::map<int, std::vector<char>>;

template <class T>
T attribute(const Attributes& attributes, int name, T otherwise) {
  const auto found = attributes.find(name);
  if (found == attributes.end() || found->second.size() != sizeof(T)) return otherwise;
  T value;
  std::memcpy(&value, found->second.data(), sizeof value);
  return value;
}
void store(Attributes& attributes, int name, const void* data, size_t bytes) {
  attributes[name].assign(static_cast<const char*>(data), static_cast<const char*>(data) + bytes);
}

struct Operation {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  Attributes attributes;
};
struct Layout {  // columns first
  cudaDataType_t type;
  int64_t rows, columns, leading;
};
struct Preference {
  Attributes attributes;
};
struct Matrix {
  Layout layout;
  bool transposed;
  int64_t rows() const { return transposed ? layout.columns : layout.rows; }
  int64_t columns() const { return transposed ? layout.rows : layout.columns; }
  int64_t at(int64_t row, int64_t column) const {
    return transposed ? row * layout.leading + column : column * layout.leading + row;
  }
  int64_t extent() const { return (layout.columns - 1) * layout.leading + layout.rows; }
};

constexpr int64_t kWorkspace = 4096;
LibraryCounts total;

const Operation& operation_of(cublasLtMatmulDesc_t d) { return *reinterpret_cast<const Operation*>(d); }
const Layout& layout_of(cublasLtMatrixLayout_t d) { return *reinterpret_cast<const Layout*>(d); }

// One product, put together from the descriptors.
struct Product {
  Product(const Operation& o, const Layout& a, const Layout& b, const Layout& d)
      : compute(o.compute),
        epilogue(attribute<uint32_t>(o.attributes, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT)),
        bias(attribute<const void*>(o.attributes, CUBLASLT_MATMUL_DESC_BIAS_POINTER, nullptr)),
        bias_type(attribute<int32_t>(o.attributes, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, d.type)),
        left{a, attribute<int32_t>(o.attributes, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_N) == CUBLAS_OP_T},
        right{b, attribute<int32_t>(o.attributes, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N) == CUBLAS_OP_T},
        result{d, false} {}

  bool valid() const {
    for (const Layout* l : {&left.layout, &right.layout, &result.layout})
      if (l->rows < 1 || l->columns < 1 || l->leading < l->rows) return false;
    return left.columns() == right.rows() && left.rows() == result.rows() &&
           right.columns() == result.columns() && left.layout.type == right.layout.type;
  }
  // What an algorithm is chosen for.
  std::array<uint64_t, 6> fingerprint() const {
    const auto u = [](int64_t v) { return static_cast<uint64_t>(v); };
    return {u(left.rows()) << 32 | u(left.columns()),
            u(right.columns()) << 8 | u(epilogue),
            u(left.layout.leading) << 32 | u(right.layout.leading),
            u(left.layout.type) << 32 | u(result.layout.type),
            u(left.transposed) << 1 | u(right.transposed),
            u(compute) << 32 | u(result.layout.leading)};
  }

  cublasComputeType_t compute;
  uint32_t epilogue;
  const void* bias;
  int32_t bias_type;
  Matrix left, right, result;
};

std::vector<double> numbers(cudaDataType_t type, const void* data, int64_t count, const char* who) {
  return type == CUDA_R_16BF ? read_numbers<tern::bfloat16>(data, count, who)
                             : read_numbers<float>(data, count, who);
}

// To 10 bits of fraction, ties to even.
double rounded_to_tf32(double x) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(x));
  return std::bit_cast<float>((bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu);
}

void run(const Product& p, double alpha, const void* a, const void* b, void* d) {
  auto left = numbers(p.left.layout.type, a, p.left.extent(), "cublas stand-in: the left factor");
  auto right = numbers(p.right.layout.type, b, p.right.extent(), "cublas stand-in: the right factor");
  if (p.compute == CUBLAS_COMPUTE_32F_FAST_TF32) {
    for (double& v : left) v = rounded_to_tf32(v);
    for (double& v : right) v = rounded_to_tf32(v);
  }
  const int64_t rows = p.result.rows(), columns = p.result.columns(), depth = p.left.columns();
  std::vector<double> bias(static_cast<size_t>(rows), 0.0);
  if (p.epilogue == CUBLASLT_EPILOGUE_BIAS)
    bias = numbers(static_cast<cudaDataType_t>(p.bias_type), p.bias, rows, "cublas stand-in: the bias");
  std::vector<double> result(static_cast<size_t>(p.result.extent()), 0.0);
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < rows; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < depth; ++k)
        sum += left[static_cast<size_t>(p.left.at(i, k))] * right[static_cast<size_t>(p.right.at(k, j))];
      result[static_cast<size_t>(p.result.at(i, j))] = alpha * sum + bias[static_cast<size_t>(i)];
    }
  if (p.result.layout.type == CUDA_R_16BF)
    write_numbers<tern::bfloat16>(d, result, "cublas stand-in: the result");
  else write_numbers<float>(d, result, "cublas stand-in: the result");
}

// ---- the entry points ----

size_t get_version() { return CUBLAS_VERSION; }
const char* get_status_name(cublasStatus_t status) {
  return status == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE" : "a status of the stand-in";
}
const char* get_status_string(cublasStatus_t status) { return get_status_name(status); }

cublasStatus_t create(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(new int64_t);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t destroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<int64_t*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t create_operation(cublasLtMatmulDesc_t* d, cublasComputeType_t compute, cudaDataType_t scale) {
  *d = reinterpret_cast<cublasLtMatmulDesc_t>(new Operation{compute, scale, {}});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t destroy_operation(cublasLtMatmulDesc_t d) {
  delete reinterpret_cast<Operation*>(d);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t set_operation(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name, const void* data,
                             size_t bytes) {
  store(reinterpret_cast<Operation*>(d)->attributes, name, data, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t create_layout(cublasLtMatrixLayout_t* d, cudaDataType type, uint64_t rows, uint64_t columns,
                             int64_t leading) {
  *d = reinterpret_cast<cublasLtMatrixLayout_t>(
      new Layout{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t destroy_layout(cublasLtMatrixLayout_t d) {
  delete reinterpret_cast<Layout*>(d);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t create_preference(cublasLtMatmulPreference_t* d) {
  *d = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t destroy_preference(cublasLtMatmulPreference_t d) {
  delete reinterpret_cast<Preference*>(d);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t set_preference(cublasLtMatmulPreference_t d, cublasLtMatmulPreferenceAttributes_t name,
                              const void* data, size_t bytes) {
  store(reinterpret_cast<Preference*>(d)->attributes, name, data, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

// What the stand-in keeps in an algorithm: the product it is for, and how far its matrices are aligned.
struct Algorithm {
  std::array<uint64_t, 6> product;
  uint32_t alignment;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

cublasStatus_t get_heuristic(cublasLtHandle_t, cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t a,
                             cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                             cublasLtMatmulPreference_t preference, int wanted,
                             cublasLtMatmulHeuristicResult_t results[], int* count) {
  const Product product(operation_of(o), layout_of(a), layout_of(b), layout_of(d));
  const Attributes& wishes = reinterpret_cast<Preference*>(preference)->attributes;
  *count = 0;
  if (!product.valid() || wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
  uint32_t alignment = 256;
  for (const int name :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    alignment = std::min(alignment, attribute<uint32_t>(wishes, name, 256));
  const Algorithm algorithm{product.fingerprint(), alignment};
  results[0] = {};
  std::memcpy(&results[0].algo, &algorithm, sizeof algorithm);
  results[0].workspaceSize = std::min<uint64_t>(
      kWorkspace, attribute<uint64_t>(wishes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 0));
  results[0].state = CUBLAS_STATUS_SUCCESS;
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t matmul(cublasLtHandle_t, cublasLtMatmulDesc_t o, const void* alpha, const void* a,
                      cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                      const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                      cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo, void* workspace,
                      size_t workspace_bytes, cudaStream_t stream) {
  const Product product(operation_of(o), layout_of(a_layout), layout_of(b_layout), layout_of(d_layout));
  Algorithm algorithm;
  std::memcpy(&algorithm, algo, sizeof algorithm);
  const bool bias = product.epilogue == CUBLASLT_EPILOGUE_BIAS;
  const bool f32_scale = operation_of(o).scale == CUDA_R_32F && *static_cast<const float*>(beta) == 0;
  if (!product.valid() || algorithm.product != product.fingerprint() || c != d || c_layout != d_layout ||
      !f32_scale || workspace_bytes < static_cast<size_t>(kWorkspace) ||
      (!bias && product.epilogue != CUBLASLT_EPILOGUE_DEFAULT) || (bias && !product.bias))
    return CUBLAS_STATUS_INVALID_VALUE;
  for (const void* p : {a, b, static_cast<const void*>(d)})
    if (reinterpret_cast<uintptr_t>(p) % algorithm.alignment) return CUBLAS_STATUS_INVALID_VALUE;
  ++total.matmuls;
  total.tf32_matmuls += product.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  const double scale = *static_cast<const float*>(alpha);
  enqueue_library_call(stream, [=] {
    spoil_workspace(workspace, kWorkspace, "cublas stand-in");
    run(product, scale, a, b, d);
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

const tern::cu::vendor::CublasLt& cublaslt_table() {
  static constexpr tern::cu::vendor::CublasLt kTable{
      .GetVersion = get_version,
      .GetStatusName = get_status_name,
      .GetStatusString = get_status_string,
      .Create = create,
      .Destroy = destroy,
      .MatmulDescCreate = create_operation,
      .MatmulDescDestroy = destroy_operation,
      .MatmulDescSetAttribute = set_operation,
      .MatrixLayoutCreate = create_layout,
      .MatrixLayoutDestroy = destroy_layout,
      .MatmulPreferenceCreate = create_preference,
      .MatmulPreferenceDestroy = destroy_preference,
      .MatmulPreferenceSetAttribute = set_preference,
      .MatmulAlgoGetHeuristic = get_heuristic,
      .Matmul = matmul,
  };
  return kTable;
}

LibraryCounts matmul_counts() { return total; }

}  // namespace nogpu
