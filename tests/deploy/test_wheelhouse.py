"""The wheelhouse: what a target needs, worked out without a network from wheels that the tests make."""

from __future__ import annotations

import hashlib
from pathlib import Path
from zipfile import ZipFile

import pytest
import wheelhouse
from packaging.requirements import Requirement
from targets import Target, project_requirements, targets

JP6 = Target(
    "made", "none", "3.10", "aarch64", 35, ("cpu",), "nothing", on_target={"cv": "the target has it"}
)


def wheel(folder: Path, name: str, version: str, *requires: str) -> wheelhouse.Wheel:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {text}" for text in requires)]
    with ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n\ntext")
        archive.writestr(f"{name}/vendored.dist-info/METADATA", "Name: other\n")
    return wheelhouse.Wheel.read(path)


def absent(wheels: list[wheelhouse.Wheel], *wanted: str) -> list[str]:
    return [str(found) for found in wheelhouse.missing([Requirement(text) for text in wanted], wheels, JP6)]


def test_conditions_are_read_for_the_target_and_not_for_this_machine(tmp_path: Path) -> None:
    asks = [
        'tomli>=2; python_version < "3.11"',
        'winonly; sys_platform == "win32"',
        'intel; platform_machine == "x86_64"',
        'never; extra == "docs"',
    ]
    top = wheel(tmp_path, "top", "1.0", *asks)
    assert absent([top], "top>=1") == ["tomli>=2"]
    assert absent([top, wheel(tmp_path, "tomli", "2.1")], "top>=1") == []
    assert absent([top, wheel(tmp_path, "tomli", "1.9")], "top>=1") == ["tomli>=2"]


def test_an_extra_and_what_the_target_has(tmp_path: Path) -> None:
    top = wheel(tmp_path, "top", "1.0", 'inner[fast]; extra == "all"', "cv>=4")
    inner = wheel(tmp_path, "inner", "3.0", 'speed>1; extra == "fast"')
    assert absent([top, inner], "top") == []
    assert absent([top, inner], "top[all]") == ["speed>1"]


def test_the_requirements_hold_one_version_and_the_hash_of_its_file(tmp_path: Path) -> None:
    wheels = [wheel(tmp_path, "a_b", "1.0"), wheel(tmp_path, "c", "2.0")]
    path = wheelhouse.write_requirements(JP6, tmp_path, wheels)
    digest = hashlib.sha256((tmp_path / "a_b-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == f"a-b==1.0 --hash=sha256:{digest}"
    assert len(lines) == 2
    assert "cv: the target has it" in path.read_text()


def test_a_target_asks_for_what_pyproject_asks_for() -> None:
    asked = {found.name: found for found in project_requirements(targets()["jp6"])}
    assert {"numpy", "tomli", "onnxruntime", "paho-mqtt", "pyModbusTCP", "gpiod", "cuda-bindings"} <= set(
        asked
    )
    assert "opencv-python" not in asked  # a container shows no windows
    assert all(found.marker is None for found in asked.values())
    assert "tomli" not in {found.name for found in project_requirements(targets()["cpu-x86"])}


def test_an_extra_that_is_made_of_others_is_followed() -> None:
    training = targets()["cpu-x86"].with_extras(("export",))
    assert {"torch", "onnx", "numpy"} <= {found.name for found in project_requirements(training)}


def test_an_unknown_extra_is_named() -> None:
    with pytest.raises(SystemExit, match="no extra nothing"):
        project_requirements(targets()["cpu-x86"].with_extras(("nothing",)))


def test_wheels_for_a_newer_c_library_do_not_count() -> None:
    tags = targets()["jp6"].platforms
    assert tags[0] == "manylinux_2_35_aarch64"
    assert tags[-2:] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64")
