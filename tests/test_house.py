"""The house itself: what a wheel holds, that the program starts light, that files stay small."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import dmdd_edge

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("train", "export", "runtime")
PACKAGES = ("dmdd_edge", *STAGES)
LONGEST_FILE = 400
#: Modules that take long to load; none of them may be needed to print a help text. (pydantic is not among
#: them: newer versions of typer load it by themselves.)
HEAVY = ("torch", "torchvision", "timm", "cv2", "numpy", "onnx", "onnxruntime", "tensorrt")

PRINT_EVERY_HELP = """
import contextlib, io, json, sys
from typer.main import get_command
from dmdd_edge.cli.main import app

def show(command, arguments):
    with contextlib.suppress(SystemExit):
        app([*arguments, "--help"])
    for name, inner in getattr(command, "commands", {}).items():
        show(inner, [*arguments, name])

with contextlib.redirect_stdout(io.StringIO()) as shown:
    show(get_command(app), [])
print(json.dumps([shown.getvalue(), sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel of the working tree, built from a copy, so that nothing built before gets into it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", target, "."], cwd=source, check=True)
    (built,) = target.glob("*.whl")
    return zipfile.ZipFile(built)


def test_a_wheel_holds_every_module_and_brings_no_other_top_level_name(wheel: zipfile.ZipFile) -> None:
    inside = [name for name in wheel.namelist() if ".dist-info/" not in name]
    written = {
        f"dmdd_edge/{path.relative_to(ROOT)}" if name in STAGES else str(path.relative_to(ROOT))
        for name in PACKAGES
        for pattern in ("*.py", "assets/*", "templates/*", "*.onnx")
        for path in (ROOT / name).rglob(pattern)
    }
    assert {name.split("/")[0] for name in inside} == {"dmdd_edge"}
    assert set(inside) == written | {"dmdd_edge/py.typed"}


def test_the_stages_are_not_importable_on_their_own_from_a_wheel(wheel: zipfile.ZipFile) -> None:
    code = (
        f"import sys; sys.path[:] = [{wheel.filename!r}] + [p for p in sys.path if p.endswith('.zip') or "
        f"'python3' in p and 'packages' not in p]\n"
        "import importlib.util as u\n"
        "assert u.find_spec('dmdd_edge').origin.startswith(sys.path[0]), u.find_spec('dmdd_edge')\n"
        f"print([name for name in {STAGES} if u.find_spec(name)], u.find_spec('dmdd_edge.runtime').name)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[] dmdd_edge.runtime"


def test_the_version_is_the_same_everywhere(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(wheel.read(name))
    program = [sys.executable, "-c", "from dmdd_edge.cli.main import main; main()", "--version"]
    said = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert metadata["Version"] == dmdd_edge.__version__
    assert said == f"dmdd-edge {dmdd_edge.__version__}\n"
    assert dmdd_edge.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_licence_and_notice_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    kept = {Path(name).name for name in wheel.namelist() if "/licenses/" in name}
    assert kept == {"LICENSE", "NOTICE"}


def test_no_help_text_needs_a_heavy_module() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_EVERY_HELP], capture_output=True, text=True, check=True
    )
    shown, modules = json.loads(done.stdout)
    assert shown.count("Usage: ") > 8
    assert [name for name in HEAVY if name in modules] == []


def test_no_file_is_longer_than_its_idea() -> None:
    folders = [*PACKAGES, "tests", "benchmarks", "docs", "examples"]
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: count for name, count in lengths.items() if count > LONGEST_FILE} == {}
