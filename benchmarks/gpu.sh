#!/usr/bin/env bash
# Every row of a GPU that can be made on this machine, unattended and in less than 8 minutes; what could not be
# made is named with its reason. Writes benchmarks/results/gpu.json when there is a row.
#
#   benchmarks/gpu.sh                          bundles made on the spot from the drawn sample images
#   benchmarks/gpu.sh --model models/screw     bundles that are there
#
# PYTHON names the interpreter; without it .venv is taken where there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
  PYTHON=$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)
fi
"$PYTHON" -c 'import dmdd_edge.runtime' || {
  echo "dmdd-edge is not installed for $PYTHON: pip install '.[tensorrt]', or name another one in PYTHON" >&2
  exit 1
}
# The script keeps to its own budget; this is for a build that hangs.
exec timeout --kill-after=5 470 "$PYTHON" benchmarks/gpu_rows.py "$@"
