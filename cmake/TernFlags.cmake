# Warnings and sanitizers, shared by every target through the interface library tern_flags.
add_library(tern_flags INTERFACE)
# Kernels fuse a * b + c where the instruction set can, everything else rounds as written. A target's own options come
# before these, so the kernel targets choose by a property instead of overriding.
set(tern_fusing $<IF:$<BOOL:$<TARGET_PROPERTY:TERN_FUSED>>,-ffp-contract=fast,-ffp-contract=off>)
# Vec<T> passes machine vectors between always-inline functions only; the note about their ABI does not apply.
set(tern_excluded -Wno-psabi -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND tern_excluded -Wno-unknown-warning-option)
endif()
target_compile_options(tern_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Werror;-fno-math-errno;${tern_fusing};${tern_excluded}>")
# nvcc: every warning of its own, and a register that spills or lands in local memory, is an error, too. Device code
# rounds as written (cuda/kernel.h).
string(REPLACE ";" "," tern_host_warnings "-Wall;-Wextra;-Werror;${tern_excluded}")
target_compile_options(tern_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${tern_host_warnings};-Werror=all-warnings;-fmad=false>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=-v,-warn-spills,-warn-lmem-usage,-Werror>")
if(TERN_SANITIZE STREQUAL "address")
  target_compile_options(tern_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                                              -fno-omit-frame-pointer)
  target_link_options(tern_flags INTERFACE -fsanitize=address,undefined)
elseif(TERN_SANITIZE STREQUAL "thread")
  target_compile_options(tern_flags INTERFACE -fsanitize=thread)
  target_link_options(tern_flags INTERFACE -fsanitize=thread)
elseif(TERN_SANITIZE)
  message(FATAL_ERROR "TERN_SANITIZE must be address, thread or empty, not '${TERN_SANITIZE}'")
endif()
