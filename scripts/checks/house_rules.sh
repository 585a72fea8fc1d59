#!/usr/bin/env bash
# Rules that a machine can check: no printing, exiting or aborting in the library, no <format>, no fmt in a public
# header, no intrinsics or -march=native, no CUDA header outside cuda/, no unfinished work by its own words.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
refuse() {  # refuse WHY PATTERN PATH...
  local why=$1 pattern=$2; shift 2
  local hits; hits=$(grep -rnE "$pattern" --include='*.h' --include='*.cpp' "$@" 2>/dev/null || true)
  if [ -n "$hits" ]; then echo "$why:"; echo "$hits"; bad=1; fi
}
library="core ops cpu nn data metrics models train"
# shellcheck disable=SC2086
{
  refuse "the library never prints" 'std::(cout|cerr|clog)|[^a-z_n]printf *\(|[^a-z_]puts *\(' $library
  refuse "the library never exits or aborts" '[^a-z_:](exit|abort|_exit|quick_exit) *\(|std::(exit|abort|terminate)' $library
  refuse "g++ 12 lacks <format>" '#include <format>' $library apps tests
  refuse "intrinsics belong in the one tile header" 'immintrin|x86intrin|_mm(256|512)?_' $library apps
  refuse "CUDA stays in its folder" '#include <(cuda|cudnn|cublas)' $library apps
  refuse "unfinished by its own words" 'TODO|FIXME|HACK|XXX' $library apps tests
}
hits=$(grep -rnE '#include <(fmt|nlohmann)' --include='*.h' core ops cpu nn data metrics models train 2>/dev/null || true)
if [ -n "$hits" ]; then echo "fmt and nlohmann stay in .cpp files:"; echo "$hits"; bad=1; fi
if grep -rn -e '-march=native' CMakeLists.txt cmake apps/CMakeLists.txt tests/CMakeLists.txt; then bad=1; fi
exit $bad
