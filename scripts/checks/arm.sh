#!/usr/bin/env bash
# Builds the library for 64-bit ARM with Debian's cross compiler and runs the tests of core, ops, cpu and nn under
# qemu-aarch64. On demand: takes some minutes, so it is no part of .ci/run. Without image libraries, since those would
# have to be built for ARM too.
#   arm.sh [ROOM...]
source "$(dirname "$0")/../common.sh"
set -euo pipefail
rooms=("$@")
[ ${#rooms[@]} -gt 0 ] || rooms=(core ops cpu nn)
install_packages cmake ninja-build g++-aarch64-linux-gnu qemu-user googletest libfmt-dev nlohmann-json3-dev

target=build/arm gtest=$root/build/arm-googletest
toolchain=$root/cmake/aarch64.cmake
if [ ! -e "$gtest/lib/libgtest.a" ]; then
  say "building GoogleTest for ARM"
  cmake -S /usr/src/googletest -B "$gtest/build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$toolchain" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_INSTALL_PREFIX="$gtest" -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_GMOCK=OFF >/dev/null
  cmake --build "$gtest/build" --target install -j "$jobs" >/dev/null
fi
fmt=$(dirname "$(dpkg -L libfmt-dev | grep fmt-config.cmake)")  # of the host; only its headers are used
cmake -S . -B $target -G Ninja -DCMAKE_TOOLCHAIN_FILE="$toolchain" -DCMAKE_BUILD_TYPE=Release -DTERN_APPS=OFF \
  -DTERN_TESTS=ON -DGTest_DIR="$gtest/lib/cmake/GTest" -Dfmt_DIR="$fmt" >/dev/null
say "building ${rooms[*]} for ARM"
cmake --build $target -j "$jobs" --target "${rooms[@]/%/_tests}" -- --quiet

failed=0
for room in "${rooms[@]}"; do
  say "$room under qemu-aarch64"
  qemu-aarch64 -L /usr/aarch64-linux-gnu $target/tests/${room}_tests --gtest_brief=1 || failed=1
done
exit $failed
