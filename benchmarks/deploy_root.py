"""The steps of deploy/cpu.Dockerfile in a fresh Debian root: sizes and times, from `deploy/try_in_root.sh`.

Needs root and mmdebstrap. Reads the script's `measured:` lines; --log reads those of a run that has ended.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import common

SCRIPT = common.ROOT / "deploy" / "try_in_root.sh"


def measured(text: str) -> dict[str, Any]:
    """The figures of the script's output; those of single steps under `steps`.

    Raises:
        ValueError: the script did not end well.
    """
    if not re.search(r"^== done$", text, re.MULTILINE):
        raise ValueError("the script did not reach its end")
    figures: dict[str, Any] = {"steps": []}
    for name, value in re.findall(r"^measured: (.+) (\d+)$", text, re.MULTILINE):
        step = re.fullmatch(r"step_seconds\[(\d):(.*)\]", name)
        if step:
            figures["steps"].append({"stage": int(step[1]), "step": step[2], "seconds": int(value)})
        else:
            figures[name] = int(value)
    return figures


def main() -> None:
    """Run the script, or read its log, and write."""
    parser = common.parser(__doc__, "deploy_root")
    parser.add_argument("--log", type=Path, help="output of a run that has ended")
    options = parser.parse_args()
    machine = common.begin()
    if options.log is None:
        done = subprocess.run([SCRIPT], stdout=subprocess.PIPE, text=True, check=True)
        text = done.stdout
    else:
        text = options.log.read_text(encoding="utf-8")
    figures = measured(text)
    print(figures)
    common.write_result(options.out, machine, {"script": "deploy/try_in_root.sh"}, figures, [])


if __name__ == "__main__":
    main()
