#!/usr/bin/env bash
# Installs what is missing, builds tern, trains the demo face network on synthetic people, and writes its report.
#   ./scripts/demo.sh [options of `tern demo`]
set -euo pipefail
source "$(dirname "$0")/common.sh"

install_packages "${build_packages[@]}"
configure release
build release tern_app
say "tern demo $*"
exec ./build/release/tern demo "$@"
