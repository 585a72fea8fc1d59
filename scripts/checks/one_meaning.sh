#!/usr/bin/env bash
# A name has one meaning within a room: the files of each room compile as one. It is what a cold build does, where no
# compiler cache is, and it finds helpers written twice and two types of one name in one namespace.
#   one_meaning.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
flags="-std=c++20 -I$1/include -DTERN_VERSION=\"\" -DTERN_WITH_JPEG -DTERN_WITH_PNG -w"
bad=0 pids=()
for room in core ops cpu nn data metrics models train apps; do
  for file in "$room"/*.cpp; do
    [[ "$file" == *_kernels.cpp ]] || echo "#include \"$PWD/$file\""
  done | "${CXX:-g++}" $flags -fsyntax-only -x c++ - & pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || bad=1; done
exit $bad
