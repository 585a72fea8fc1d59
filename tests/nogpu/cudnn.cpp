// The stand-in for cuDNN: remembers the attributes on their way into the installed library, which checks them
// and makes the plans, and executes plans from what it remembers (cudnn_program.cpp).

#include <algorithm>
#include <memory>
#include <utility>

#include "tern/cuda/gpu_description.h"
#include "tern/cuda/vendor.h"
#include "tern/tests/nogpu/cublaslt.h"
#include "tern/tests/nogpu/cudnn_program.h"
#include "tern/tests/nogpu/libraries.h"
#include "tern/tests/nogpu/library_memory.h"

namespace nogpu {
namespace {

namespace vendor = tern::cu::vendor;
using Ref = cudnnBackendDescriptor_t;

struct Record {
  cudnnBackendDescriptorType_t type;
  std::map<int, std::vector<char>> attributes;
  Ref graph = nullptr;                     // of a proposed configuration
  std::shared_ptr<const Program> program;  // of a plan
};
struct Handle {
  cudaStream_t stream = nullptr;
};

std::map<Ref, Record>& records() {
  static auto* all = new std::map<Ref, Record>;
  return *all;
}
const vendor::Cudnn* library = nullptr;  // the installed one
std::string last_error;
int64_t executions = 0;

cudnnStatus_t refuse(const std::string& why) {
  last_error = "cudnn stand-in: " + why;
  return CUDNN_STATUS_BAD_PARAM;
}

size_t bytes_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR: return 1;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    case CUDNN_TYPE_FRACTION: return 16;
    default: return 4;
  }
}

template <class T>
std::vector<T> values(Ref d, cudnnBackendAttributeName_t name) {
  const auto& attributes = records().at(d).attributes;
  const auto found = attributes.find(name);
  std::vector<T> result;
  if (found == attributes.end()) return result;
  result.resize(found->second.size() / sizeof(T));
  std::memcpy(result.data(), found->second.data(), result.size() * sizeof(T));
  return result;
}
template <class T>
T value(Ref d, cudnnBackendAttributeName_t name, T otherwise = {}) {
  const auto all = values<T>(d, name);
  return all.empty() ? otherwise : all[0];
}

// ---- from descriptors to a program ----

GraphTensor tensor(Ref operation, cudnnBackendAttributeName_t name) {
  const Ref d = value<Ref>(operation, name);
  if (!d) throw Fault("an operation lacks a tensor");
  GraphTensor t;
  t.uid = value<int64_t>(d, CUDNN_ATTR_TENSOR_UNIQUE_ID);
  t.alignment = value<int64_t>(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  t.type = value<cudnnDataType_t>(d, CUDNN_ATTR_TENSOR_DATA_TYPE);
  t.intermediate = value<char>(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL) != 0;
  t.sizes = values<int64_t>(d, CUDNN_ATTR_TENSOR_DIMENSIONS);
  t.strides = values<int64_t>(d, CUDNN_ATTR_TENSOR_STRIDES);
  return t;
}

// Names of the attributes of one pass of a convolution.
struct Pass {
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};
const Pass* pass_of(cudnnBackendDescriptorType_t type) {
  static constexpr Pass kForward{
      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
  static constexpr Pass kData{
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
  static constexpr Pass kFilter{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
  switch (type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR: return &kForward;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR: return &kData;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR: return &kFilter;
    default: return nullptr;
  }
}

GraphOperation operation(Ref d) {
  GraphOperation o{.type = records().at(d).type};
  if (const Pass* pass = pass_of(o.type)) {
    const Ref conv = value<Ref>(d, pass->convolution);
    o.x = tensor(d, pass->x);
    o.w = tensor(d, pass->w);
    o.y = tensor(d, pass->y);
    o.strides = values<int64_t>(conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
    o.padding = values<int64_t>(conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
    o.dilation = values<int64_t>(conv, CUDNN_ATTR_CONVOLUTION_DILATIONS);
    if (value<double>(d, pass->alpha) != 1 || value<double>(d, pass->beta) != 0)
      throw Fault("a convolution must write its result: alpha 1, beta 0");
  } else if (o.type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) {
    const Ref pointwise = value<Ref>(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    o.mode = value<cudnnPointwiseMode_t>(pointwise, CUDNN_ATTR_POINTWISE_MODE);
    o.keeps_nan =
        value<cudnnNanPropagation_t>(pointwise, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION) == CUDNN_PROPAGATE_NAN;
    o.x = tensor(d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
    o.y = tensor(d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    o.binary = value<Ref>(d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC) != nullptr;
    if (o.binary) o.w = tensor(d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
  } else {
    throw Fault("no operation of type " + std::to_string(static_cast<int>(o.type)));
  }
  return o;
}

// What is not executed here (batch norm, pools) is planned all the same, and refused when it is executed.
std::shared_ptr<const Program> program_of(Ref plan) {
  const Ref configuration = value<Ref>(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  Ref graph = records().at(configuration).graph;
  if (const Ref engine = value<Ref>(configuration, CUDNN_ATTR_ENGINECFG_ENGINE))
    graph = value<Ref>(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
  auto program = std::make_shared<Program>();
  try {
    for (const Ref d : values<Ref>(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS))
      program->operations.push_back(operation(d));
  } catch (const Fault&) {
    return nullptr;
  }
  int64_t count = 0;
  library->GetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                        &program->workspace);
  return program;
}

// ---- the entry points ----

size_t get_version() { return library ? library->GetVersion() : 0; }
const char* get_error_string(cudnnStatus_t status) {
  return library ? library->GetErrorString(status) : "cuDNN is not installed";
}
void get_last_error_string(char* text, size_t bytes) {
  if (last_error.empty() && library) return library->GetLastErrorString(text, bytes);
  std::snprintf(text, bytes, "%s", last_error.c_str());
  last_error.clear();
}

cudnnStatus_t create(cudnnHandle_t* handle) {
  if (!library) return refuse(cudnn_missing());
  *handle = reinterpret_cast<cudnnHandle_t>(new Handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t destroy(cudnnHandle_t handle) {
  delete reinterpret_cast<Handle*>(handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t set_stream(cudnnHandle_t handle, cudaStream_t stream) {
  reinterpret_cast<Handle*>(handle)->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t create_descriptor(cudnnBackendDescriptorType_t type, Ref* d) {
  if (!library) return refuse(cudnn_missing());
  const cudnnStatus_t status = library->CreateDescriptor(type, d);
  if (status == CUDNN_STATUS_SUCCESS) records()[*d] = {type, {}, nullptr, nullptr};
  return status;
}
cudnnStatus_t destroy_descriptor(Ref d) {
  records().erase(d);
  return library->DestroyDescriptor(d);
}

cudnnStatus_t set_attribute(Ref d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                            int64_t count, const void* data) {
  const auto* bytes = static_cast<const char*>(data);
  records().at(d).attributes[name].assign(bytes, bytes + bytes_of(type) * static_cast<size_t>(count));
  if (type != CUDNN_TYPE_HANDLE) return library->SetAttribute(d, name, type, count, data);
  // There is no GPU behind the handle: the description of one stands for it.
  const std::string gpu = tern::cu::dnn::to_json(tern::cu::dnn::described_gpu(90));
  return library->SetAttribute(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                               static_cast<int64_t>(gpu.size()), gpu.data());
}
cudnnStatus_t get_attribute(Ref d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                            int64_t capacity, int64_t* count, void* data) {
  const cudnnStatus_t status = library->GetAttribute(d, name, type, capacity, count, data);
  if (status != CUDNN_STATUS_SUCCESS || name != CUDNN_ATTR_ENGINEHEUR_RESULTS || capacity == 0) return status;
  for (int64_t i = 0; i < std::min(capacity, *count); ++i)
    records().at(static_cast<Ref*>(data)[i]).graph = value<Ref>(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  return status;
}
cudnnStatus_t finalize(Ref d) {
  const cudnnStatus_t status = library->Finalize(d);
  Record& record = records().at(d);
  if (status == CUDNN_STATUS_SUCCESS && record.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
    record.program = program_of(d);
  return status;
}

cudnnStatus_t execute(cudnnHandle_t handle, Ref plan, Ref pack) {
  const std::shared_ptr<const Program> program = records().at(plan).program;
  if (!program) return refuse("a graph that is planned only is executed");
  const auto uids = values<int64_t>(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto data = values<void*>(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  void* workspace = value<void*>(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  if (uids.size() != data.size()) return refuse("as many pointers as tensors are needed");
  Pointers pointers;
  for (size_t i = 0; i < uids.size(); ++i) pointers[uids[i]] = data[i];
  for (const GraphTensor* t : tensors_of(*program)) {
    const auto found = pointers.find(t->uid);
    if (found == pointers.end()) return refuse("no pointer for tensor " + std::to_string(t->uid));
    if (reinterpret_cast<uintptr_t>(found->second) % static_cast<uintptr_t>(t->alignment))
      return refuse("tensor " + std::to_string(t->uid) + " is less aligned than its descriptor says");
  }
  ++executions;
  enqueue_library_call(reinterpret_cast<Handle*>(handle)->stream, [=] {
    spoil_workspace(workspace, program->workspace, "cudnn stand-in");
    run_program(*program, pointers);
  });
  return CUDNN_STATUS_SUCCESS;
}

constexpr vendor::Cudnn kTable{
    .GetVersion = get_version,
    .GetErrorString = get_error_string,
    .GetLastErrorString = get_last_error_string,
    .Create = create,
    .Destroy = destroy,
    .SetStream = set_stream,
    .CreateDescriptor = create_descriptor,
    .DestroyDescriptor = destroy_descriptor,
    .SetAttribute = set_attribute,
    .GetAttribute = get_attribute,
    .Finalize = finalize,
    .Execute = execute,
};

}  // namespace

void use_library_stand_ins() {
  static bool in_use = false;
  if (std::exchange(in_use, true)) return;
  vendor::use_stand_ins(nullptr, nullptr);
  library = vendor::cudnn_status().found ? &vendor::cudnn() : nullptr;
  vendor::use_stand_ins(&kTable, &cublaslt_table());
}

std::string cudnn_missing() { return library ? "" : "cuDNN is not installed, and only it can make plans"; }

LibraryCounts library_counts() {
  LibraryCounts counts = matmul_counts();
  counts.cudnn_executions = executions;
  return counts;
}

}  // namespace nogpu
