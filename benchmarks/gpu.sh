#!/usr/bin/env bash
# Measures every GPU row that this machine can make, unattended and in less than 8 minutes; rows that cannot be
# made are named with the reason. Writes benchmarks/results/gpu.json when there is a row.
#
#   benchmarks/gpu.sh                          bundles made from the drawn sample images
#   benchmarks/gpu.sh --model models/screw     existing bundles
#
# PYTHON names the interpreter; the default is .venv, or python3 without one.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
  PYTHON=$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)
fi
"$PYTHON" -c 'import dmdd_edge.runtime' || {
  echo "dmdd-edge is not installed for $PYTHON. Run pip install '.[tensorrt]', or set PYTHON to another interpreter." >&2
  exit 1
}
# The script keeps its budget; this timeout is for a build that hangs.
exec timeout --kill-after=5 470 "$PYTHON" benchmarks/gpu_rows.py "$@"
