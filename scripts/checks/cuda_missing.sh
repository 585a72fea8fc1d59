#!/usr/bin/env bash
# The command with the CUDA backend on a machine where CUDA cannot be used: `tern info` succeeds and lists what is
# missing, `tern train --device cuda` ends with exit code 8 and says what to do, `--device cpu` trains. Once as the
# machine is, once with cuDNN and cuBLAS hidden from the command.
#   cuda_missing.sh BUILD_FOLDER      exit 77: this machine has an NVIDIA driver
set -euo pipefail
self=$(realpath "$0") build=$(realpath "$1") tern=$(realpath "$1")/tern
unset LD_LIBRARY_PATH
if ldconfig -p | grep 'libcuda\.so\.1 ' >/dev/null; then echo "this machine has an NVIDIA driver"; exit 77; fi

# expect CODE WORDS... -- COMMAND...: runs the command, which must end with CODE and print each of WORDS.
expect() {
  local code=$1 words=() got=0 text; shift
  while [ "$1" != -- ]; do words+=("$1"); shift; done; shift
  text=$("$@" 2>&1) || got=$?
  [ $got -eq "$code" ] || { echo "$*: exit code $got instead of $code"; echo "$text"; return 1; }
  for word in "${words[@]}"; do
    grep -qF -- "$word" <<<"$text" || { echo "$*: '$word' is not in"; echo "$text"; return 1; }
  done
}
# missing WHAT...: each of WHAT is reported, by both commands.
missing() {
  expect 0 "cuda driver" "missing: " "$@" -- "$tern" info
  expect 8 "device cuda" "hint: install" "--device cpu" "$@" -- "$tern" train --device cuda --max-steps 1
  expect 0 "" -- "$tern" train --device cpu --max-steps 1 --synthetic-identities 8 --synthetic-photos 4 \
    --image-size 32 --batch-p 4 --batch-k 2 --val-split 0 --name cpu
  rm -rf runs
}

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
if [ "${2:-}" = hidden ]; then  # in a mount namespace of its own
  for library in $(ldconfig -p | grep -oE '/[^ ]*/lib(cudnn|cublasLt)\.so\.[0-9]+$') \
                 /usr/local/cuda/lib64/lib{cudnn.so.9,cublasLt.so.13}; do
    [ ! -e "$library" ] || mount --bind /dev/null "$library"
  done
  missing "no NVIDIA driver" "libcudnn.so.9 not found" "libcublasLt.so.13 not found"
  exit
fi
missing "no NVIDIA driver"
echo "without a driver: ok"
apart=(unshare --mount); [ "$(id -u)" -eq 0 ] || apart+=(--map-root-user)
if "${apart[@]}" true 2>/dev/null; then
  "${apart[@]}" "$self" "$build" hidden
  echo "without a driver, cuDNN and cuBLAS: ok"
else
  echo "cuDNN and cuBLAS were not hidden: no mount namespaces here"
fi
