#!/usr/bin/env bash
# Builds tern and packs what `cmake --install` gives, checks that the command asks the loader for no library of CUDA and that
# a program compiles against the unpacked archive, and prints the archive's path.
#   ./scripts/archive.sh [PRESET]      cuda-release (the default: every supported GPU), release, or cuda
set -euo pipefail
source "$(dirname "$0")/common.sh"

preset=${1:-cuda-release}
install_packages "${build_packages[@]}" binutils
[ "$preset" = release ] || cuda_toolkit || exit 77
configure "$preset"
build "$preset" tern_app tern
say "packing"
(cd "build/$preset" && cpack --config CPackConfig.cmake >cpack.log) || { tail -n 20 "build/$preset/cpack.log"; exit 1; }
archive=$(ls -t "build/$preset"/tern-*.tar.gz | head -n 1)

unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
tar -xzf "$archive" -C "$unpacked" --strip-components 1
for part in bin/tern lib/libtern.a include/tern/tern.h include/tern/core/tensor.h lib/pkgconfig/tern.pc share/doc/tern/{README.md,LICENSE,INSTALL.md}; do
  [ -e "$unpacked/$part" ] || { echo "error: $archive has no $part"; exit 1; }
done
needed=$(readelf -d "$unpacked/bin/tern" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
if grep -iE 'cuda|cudnn|cublas|nvidia' <<<"$needed"; then echo "error: the loader would look for these"; exit 1; fi
if command -v pkg-config >/dev/null; then
  flags=$(PKG_CONFIG_PATH=$unpacked/lib/pkgconfig pkg-config --cflags --libs tern)
  # shellcheck disable=SC2086
  c++ -O1 apps/tutorials/hello_siamese.cpp -o "$unpacked/hello_siamese" $flags
fi
"$unpacked/bin/tern" info >/dev/null
echo "libraries of bin/tern: $(tr '\n' ' ' <<<"$needed")"
du -h "$archive" | awk '{ print $2 ": " $1 }'
