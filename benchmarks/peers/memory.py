"""Measure the memory of a process that opens a file and runs it; this module is that process.

    python -m peers.memory SPEC

It prints the resident memory before it opens the file, and the peak, in MiB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import common
import numpy as np

from dmdd_edge.errors import DmddError
from peers.files import File, Form

_CALLS = 5


def measure_memory(file: File, threads: int) -> dict[str, float]:
    """Open and run a file in a subprocess.

    Returns:
        ``peak`` memory, and memory ``before`` the file is opened, in MiB.

    Raises:
        DmddError: the process failed.
    """
    spec = json.dumps({"path": str(file.path), "form": vars(file.form), "threads": threads})
    folder = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "peers.memory", spec],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise DmddError(
            f"Memory of {file.path} could not be measured: {lines[-1]}.", "Make it again: run with --again."
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Open the file of the specification, run it, and print the memory."""
    spec = json.loads(sys.argv[1])
    form = Form(**spec["form"])
    given = form.to_input(np.full((form.size, form.size, 3), 128, np.uint8))
    before = common.resident_mib()
    file = File(Path(spec["path"]), form)
    try:
        session = file.open(spec["threads"])
    except DmddError as error:
        sys.exit(error.message)
    for _ in range(_CALLS):
        file.call(session, given)
    print(json.dumps({"peak": round(common.resident_mib(name="VmHWM"), 1), "before": round(before, 1)}))


if __name__ == "__main__":
    main()
