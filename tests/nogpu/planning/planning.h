#pragma once
// What the planning tests plan: forms x shapes x number types x described GPUs, and what must come out.

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tern/cuda/dnn_plan.h"
#include "tern/tests/support/zoo_shapes.h"

namespace nogpu {

namespace dnn = tern::cu::dnn;

inline constexpr int64_t kBatch = 64;  // the design's batch

enum class Numbers { F32, Tf32, Bf16 };
inline const char* to_string(Numbers n) {
  return n == Numbers::F32 ? "f32" : n == Numbers::Tf32 ? "tf32" : "bf16";
}

inline constexpr std::array kConvolutionForms{dnn::Form::ConvForward, dnn::Form::ConvBias,
                                              dnn::Form::ConvBiasRelu, dnn::Form::ConvBackwardData,
                                              dnn::Form::ConvBackwardWeight};
inline constexpr std::array kOtherForms{dnn::Form::BatchNorm,         dnn::Form::BatchNormAddReluMask,
                                        dnn::Form::BatchNormBackward, dnn::Form::BatchNormMaskBackward,
                                        dnn::Form::MaxPool,           dnn::Form::MaxPoolBackward,
                                        dnn::Form::AvgPool,           dnn::Form::AvgPoolBackward};

inline bool is_pool(dnn::Form form) { return form >= dnn::Form::MaxPool; }

// Every convolution of the zoo, each once.
inline std::vector<tern::Conv2dGeometry> zoo() {
  std::vector<tern::Conv2dGeometry> result;
  std::set<std::vector<int64_t>> seen;
  for (const auto& z : tern::test::kZooConvs)
    if (seen.insert({z.size, z.in, z.out, z.kernel, z.stride, z.padding, z.groups}).second)
      result.push_back(tern::test::geometry_of(z, kBatch));
  return result;
}

// A form on the output of a convolution, where it would stand in a network: batch norm over it, 3x3 pools of
// stride 2.
inline dnn::Problem problem_of(dnn::Form form, Numbers numbers, const tern::Conv2dGeometry& conv) {
  dnn::Problem problem{form, numbers == Numbers::Bf16 ? tern::DType::BF16 : tern::DType::F32, conv, 16};
  if (is_pool(form))
    problem.sizes = tern::test::geometry_of({"", 1, conv.out_h, conv.o, conv.o, 3, 2, 1, conv.o}, conv.n);
  return problem;
}

// False for what cuDNN is known not to have (dnn::can_fuse_bias), which tern therefore does not ask for.
inline bool is_used(const dnn::Problem& problem) {
  const bool bias = problem.form == dnn::Form::ConvBias || problem.form == dnn::Form::ConvBiasRelu;
  return !bias || dnn::can_fuse_bias(problem.dtype, problem.sizes);
}

inline const std::string kNoTensorCores = "no tensor cores";

// The rules that every plan must keep. Gives what is wrong with it, "" if nothing.
inline std::string violation(const dnn::Problem& problem, const dnn::Policy& policy, const dnn::Plan& plan) {
  const dnn::EngineNotes& notes = plan.notes();
  const bool bf16 = problem.dtype == tern::DType::BF16;
  if (plan.workspace() > policy.workspace_cap) return "workspace over its cap";
  if (policy.deterministic && notes.nondeterministic) return "not deterministic";
  if (dnn::is_convolution(problem.form) && !bf16 && !policy.tf32 &&
      (notes.tensor_cores || notes.rounds_inputs))
    return "TF32 where f32 was asked for";
  if (dnn::wants_tensor_cores(problem) && (bf16 || policy.tf32) && !notes.tensor_cores) return kNoTensorCores;
  return "";
}

}  // namespace nogpu
