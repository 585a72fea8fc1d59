# What the CUDA backend (-DTERN_CUDA=ON) needs: nvcc, a static CUDA runtime, and the headers of cuDNN and cuBLAS, which
# are opened at run time (cuda/vendor.cpp).
if(NOT CMAKE_CUDA_ARCHITECTURES)  # what is shipped; newer GPUs compile the compute_120 form when they load it
  set(CMAKE_CUDA_ARCHITECTURES 80-real 86-real 89-real 90-real 100-real 120)
endif()
enable_language(CUDA)
# CMake 3.25 does not know that nvcc has C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
find_package(CUDAToolkit 13 REQUIRED)
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS} REQUIRED)
# What ptxas says of registers and memory is kept beside each object.
set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CURRENT_LIST_DIR}/ptxas_report.sh)
if(CCACHE_PROGRAM)
  list(APPEND CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

# The headers, for whatever compiles files of cuda/. System headers: their warnings are not ours.
add_library(tern_cuda_headers INTERFACE)
target_include_directories(tern_cuda_headers SYSTEM INTERFACE ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR})
