"""Measure the size of the lean install and the start time of the program.

Installs `.` (core only) and `.[cpu]` (the runtime on a CPU) into fresh environments, adds up the files of
each distribution, and times `dmdd-edge --help`. Needs a package index.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common

#: Environment -> what is installed in it.
INSTALLS = {"base": ".", "cpu": ".[cpu]"}
#: Distributions that must not be in a lean install.
_HEAVY = ("torch", "torchvision", "timm", "onnx", "onnxscript", "safetensors")

# Runs in the measured environment: bytes on disk of every distribution, from its RECORD.
_SIZES = """
import importlib.metadata, json, os
found = {}
for dist in importlib.metadata.distributions():
    files = {os.path.realpath(dist.locate_file(file)) for file in dist.files or []}
    found[dist.metadata["Name"]] = [dist.version, sum(os.path.getsize(f) for f in files if os.path.isfile(f))]
print(json.dumps(found))
"""


def install(folder: Path, what: str) -> Path:
    """Create an environment and install into it; returns its bin folder."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    programs = folder / "bin"
    shutil.rmtree(common.ROOT / "build" / "lib", ignore_errors=True)  # may contain deleted modules
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [str(programs / "python"), "-m", "pip", "install", "-q", what]
    subprocess.run(command, cwd=common.ROOT, env=environment, check=True)
    return programs


def sizes(programs: Path) -> dict[str, tuple[str, int]]:
    """Version and bytes of each distribution, largest first, without pip itself."""
    done = subprocess.run([programs / "python", "-c", _SIZES], capture_output=True, text=True, check=True)
    found = {name: (version, size) for name, (version, size) in json.loads(done.stdout).items()}
    kept = {name: value for name, value in found.items() if name not in ("pip", "setuptools", "wheel")}
    return dict(sorted(kept.items(), key=lambda item: -item[1][1]))


def start_seconds(programs: Path, count: int) -> list[float]:
    """Wall time of `dmdd-edge --help`, after one untimed run that fills the file cache."""
    found = []
    for _ in range(count + 1):
        began = time.perf_counter()
        subprocess.run([programs / "dmdd-edge", "--help"], stdout=subprocess.DEVNULL, check=True)
        found.append(time.perf_counter() - began)
    return found[1:]


def measure(what: str, starts: int) -> dict[str, Any]:
    """Measure one environment."""
    with tempfile.TemporaryDirectory() as folder:
        programs = install(Path(folder) / "env", what)
        found = sizes(programs)
        total = sum(size for _, size in found.values())
        return {
            "site_packages_mb": round(total / 1e6, 1),
            "packages_mb": {f"{name} {version}": round(s / 1e6, 1) for name, (version, s) in found.items()},
            "heavy_packages": [name for name in found if name.lower() in _HEAVY],
            "help_seconds": common.spread(start_seconds(programs, starts)),
        }


def main() -> None:
    """Measure each environment, print and write."""
    parser = common.parser(__doc__, "footprint")
    parser.add_argument("--starts", type=int, default=9, help="timed starts of the program")
    options = parser.parse_args()
    machine = common.begin()
    figures = {}
    for name, what in INSTALLS.items():
        found = figures[name] = measure(what, options.starts)
        print(f"pip install {what}: {found['site_packages_mb']} MB in site-packages")
        for package, size in found["packages_mb"].items():
            print(f"  {size:8.1f} MB  {package}")
        seconds = found["help_seconds"]
        print(
            f"  dmdd-edge --help: {seconds['median']:.3f} s ({seconds['low']:.3f} to {seconds['high']:.3f})"
        )
        if found["heavy_packages"]:
            sys.exit(
                f"{what} installs {', '.join(found['heavy_packages'])}, which belong to training and export."
            )
    common.write_result(options.out, machine, {"starts": options.starts, "installs": INSTALLS}, figures, [])


if __name__ == "__main__":
    main()
