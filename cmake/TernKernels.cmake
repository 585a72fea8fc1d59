# Compiles every cpu/*_kernels.cpp once per instruction set, each in its own namespace (TERN_ISA). Only these files
# get instruction-set flags; they include nothing that could leave a weak symbol outside their namespace.
file(GLOB TERN_KERNEL_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cpu/*_kernels.cpp)

set(TERN_ISAS baseline)
set(TERN_ISA_FLAGS_baseline "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND TERN_ISAS avx2 avx512)
  set(TERN_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c)
  set(TERN_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c
                            -mprefer-vector-width=512)
  # AVX-512 with matrix tiles: only the kernels that use them.
  list(APPEND TERN_ISAS amx)
  set(TERN_ISA_FLAGS_amx ${TERN_ISA_FLAGS_avx512} -mamx-tile -mamx-bf16)
endif()

# Nothing is fused here (cpu/exact_kernels.h). A source's options come last.
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/cpu/exact_kernels.cpp PROPERTIES
                            COMPILE_OPTIONS -ffp-contract=off)

set(TERN_KERNEL_OBJECTS "")
if(TERN_KERNEL_SOURCES)
  foreach(isa ${TERN_ISAS})
    set(sources ${TERN_KERNEL_SOURCES})
    if(isa STREQUAL amx)
      list(FILTER sources INCLUDE REGEX "_tile_kernels\\.cpp$")
    endif()
    add_library(tern_kernels_${isa} OBJECT ${sources})
    target_link_libraries(tern_kernels_${isa} PRIVATE tern_flags)
    target_include_directories(tern_kernels_${isa} PRIVATE ${CMAKE_BINARY_DIR}/include)
    target_compile_definitions(tern_kernels_${isa} PRIVATE TERN_ISA=${isa})
    target_compile_options(tern_kernels_${isa} PRIVATE ${TERN_ISA_FLAGS_${isa}} -fno-trapping-math
                                                       $<$<CONFIG:Release>:-O3>)
    # Unrolled loops become long functions, and the tests of addresses inside them take minutes to compile: calls do.
    if(TERN_SANITIZE STREQUAL "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      target_compile_options(tern_kernels_${isa} PRIVATE "SHELL:-mllvm -asan-instrumentation-with-call-threshold=0")
    endif()
    set_target_properties(tern_kernels_${isa} PROPERTIES POSITION_INDEPENDENT_CODE ON TERN_FUSED ON)
    list(APPEND TERN_KERNEL_OBJECTS $<TARGET_OBJECTS:tern_kernels_${isa}>)
  endforeach()
endif()
