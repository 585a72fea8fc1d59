# Warnings and sanitizers, shared by every target through the interface library tern_flags.
add_library(tern_flags INTERFACE)
target_compile_options(tern_flags INTERFACE -Wall -Wextra -Werror -fno-math-errno)
# Kernels fuse a * b + c where the instruction set can, everything else rounds as written. A target's own options come
# before these, so the kernel targets choose by a property instead of overriding.
target_compile_options(tern_flags INTERFACE
  $<IF:$<BOOL:$<TARGET_PROPERTY:TERN_FUSED>>,-ffp-contract=fast,-ffp-contract=off>)
# Vec<T> passes machine vectors between always-inline functions only; the note about their ABI does not apply.
target_compile_options(tern_flags INTERFACE -Wno-psabi)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(tern_flags INTERFACE -Wno-unknown-warning-option -Wno-missing-field-initializers)
else()
  target_compile_options(tern_flags INTERFACE -Wno-missing-field-initializers)
endif()
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
