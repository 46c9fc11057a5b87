#!/usr/bin/env bash
# The tests of tests/camera against devices that are none of ours: the kernel's virtual camera `vivid` and its
# simulated GPIO chip `gpio-sim`, in a Debian guest that qemu runs. Takes some minutes the first time, since it
# fetches the guest.
#
#   tests/camera/run.sh [ARGUMENTS OF PYTEST]
#
# PYTHON              an environment with dmdd-edge[all] and pytest; .venv unless set.
# DMDD_CAMERA_WORK    where the guest is kept.
# DMDD_CAMERA_MODELS  a folder of bundles to run one of; unless set, one is trained for a moment and exported.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-$PWD/.venv/bin/python}
work=${DMDD_CAMERA_WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/dmdd-edge/camera-guest}
mkdir -p "$work"

if [ -z "${DMDD_CAMERA_MODELS:-}" ]; then
  DMDD_CAMERA_MODELS=$work/models
  rm -rf "$work/data" "$work/runs" "$work/models"
  dmdd_edge() { "$PYTHON" -c 'from dmdd_edge.cli.main import main; main()' "$@"; }
  {
    dmdd_edge sample "$work/data"
    dmdd_edge train --data "$work/data" --category plate --steps 60 --image-size 96 --runs-dir "$work/runs"
    dmdd_edge export --category plate --runs-dir "$work/runs" --models-dir "$work/models" --target onnx
  } >"$work/bundle.log" 2>&1 || {
    cat "$work/bundle.log" >&2
    exit 1
  }
fi

# A single camera of the simplest kind: one that only captures.
export GUEST_MODULES="vivid n_devs=1 node_types=0x1 input_types=0x0
?gpio-sim"
export GUEST_PREPARE=$PWD/tests/camera/gpio_sim.sh
exec tests/camera/guest.sh "$work" "$work/out" \
  env DMDD_CAMERA_MODELS="$(realpath "$DMDD_CAMERA_MODELS")" \
  "$PYTHON" -m pytest tests/camera -v --tb=short -p no:cacheprovider "$@"
