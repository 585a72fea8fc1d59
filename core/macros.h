#pragma once
// HD marks a formula that the scalar loop, the vector loop, a CUDA kernel and the f64 gradient check all
// share. On the host it is always inlined: a formula compiled inside an AVX-512 kernel file must never become
// a weak symbol that the linker could keep for code that runs on older processors.

#if defined(__CUDACC__)
#define HD __host__ __device__ inline
#else
#define HD [[gnu::always_inline]] inline
#endif
