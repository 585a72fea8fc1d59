# Debian's cross compiler for 64-bit ARM; programs that the build runs go through qemu. The compiler looks into
# /usr/include, so the header-only libraries of the host serve; libraries with code must be built for the target.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)
# Not the host's libraries for images: without them tern builds, and reading a photo names what is missing.
set(CMAKE_DISABLE_FIND_PACKAGE_JPEG ON)
set(CMAKE_DISABLE_FIND_PACKAGE_PNG ON)
