#pragma once
// A module's tensors under PyTorch's names and in PyTorch's layouts: what goes into a file and comes out of
// one. The conversion of layouts is here and nowhere else: convolution weights [O,kH,kW,C] <-> [O,C,kH,kW].

#include "tern/nn/module.h"
#include "tern/nn/safetensors.h"

namespace tern::nn {

// Copies of all parameters and buffers. A tensor with several names appears once, under the first.
TensorMap state_dict(Module& module);

// Copies the values into the module's tensors, which keep their handles and storages. All or nothing: if a
// name is missing, unexpected, or has another shape or type, IncompatibleError lists every such name and
// nothing is changed. Further names of a shared tensor may be present if they hold the same values; bf16
// values widen to f32.
void load_state_dict(Module& module, const TensorMap& tensors);

}  // namespace tern::nn
