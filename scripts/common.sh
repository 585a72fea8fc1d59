# Shared by the scripts of this folder: where the sources are, packages, builds. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
jobs=$(nproc)

say() { printf '\n== %s\n' "$*"; }

# Installs the Debian packages that are missing, and says which. Does nothing where all are there.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  say "installing Debian packages: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "error: these packages need root: ${missing[*]}"; echo "hint: run this script as root, or install sudo"; exit 4; }
    as_root=(sudo)
  fi
  local log; log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log"; echo "error: apt-get could not install: ${missing[*]}"; exit 4
  fi
  rm -f "$log"
}

# What building the library and the application needs.
build_packages=(g++ cmake ninja-build libfmt-dev nlohmann-json3-dev libcli11-dev libjpeg62-turbo-dev libpng-dev)

# What the CUDA backend is built with; sets CUDACXX where nvcc is not on the path. Prints what is missing.
cuda_toolkit() {
  local nvcc; nvcc=$(command -v nvcc || true)
  [ -n "$nvcc" ] || { [ -x /usr/local/cuda/bin/nvcc ] && nvcc=/usr/local/cuda/bin/nvcc; }
  [ -n "$nvcc" ] || { echo "nvcc is not installed; hint: the CUDA toolkit 13 and cuDNN 9 of NVIDIA's repository"; return 1; }
  "$nvcc" --version | grep 'release 1[3-9]' >/dev/null || { echo "$nvcc is not of CUDA 13"; return 1; }
  export CUDACXX=$nvcc
}

# configure PRESET [-DNAME=VALUE...]: runs cmake where this build folder was not yet configured that way.
configure() {
  local preset=$1; shift
  local cache=build/$preset/CMakeCache.txt setting wanted=no
  [ -e "build/$preset/build.ninja" ] || wanted=yes
  for setting in "$@"; do
    local name=${setting%%=*} value=${setting#*=}
    grep -qs "^${name#-D}:[A-Z]*=$value\$" "$cache" || wanted=yes
  done
  [ $wanted = no ] && return 0
  say "configuring build/$preset"
  cmake --preset "$preset" "$@" >/dev/null
}

# build PRESET TARGET...: compiles what changed.
build() {
  local preset=$1; shift
  say "building build/$preset: what has changed, $jobs files at a time"
  cmake --build --preset "$preset" --target "$@" -j "$jobs" -- --quiet
}
