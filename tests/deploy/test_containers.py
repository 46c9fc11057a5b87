"""The container files, the script that does their steps, and what is pinned in them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from steps import Step, instructions, steps
from targets import DEPLOY, ROOT, Target, project_requirements, targets

FILES = sorted(DEPLOY.glob("*.Dockerfile"))
SCRIPT = DEPLOY / "try_in_root.sh"


def test_every_target_has_a_file_and_every_file_a_target() -> None:
    assert {target.container for target in targets().values()} == {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_container_is_lean_and_without_root(file: Path) -> None:
    text = file.read_text()
    names = [name for name, _ in instructions(text)]
    assert (names.count("FROM"), names[-1]) == (2, "CMD")
    assert dict(instructions(text))["USER"] == "dmdd-edge"
    last = [step.text for step in steps(text, {"TARGET": "x"}) if step.stage == 1]
    assert not any(re.search(r"gcc|build-essential|python3-(pip|dev|venv)", line) for line in last)
    installed = [step for step in steps(text, {"TARGET": "x"}) if "pip install" in step.text]
    assert [(step.stage, step.kind) for step in installed] == [(0, "offline")]
    assert "--require-hashes" in installed[0].text
    # What has been run and what has not is said at the top.
    assert re.search(r"^# Has run: ", text, re.MULTILINE)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_containers_do_the_same_offline_steps(file: Path) -> None:
    def offline(path: Path) -> list[str]:
        found = [step.text for step in steps(path.read_text(), {"TARGET": "x"}) if step.kind == "offline"]
        return [re.sub(r" --system-site-packages| setuptools$", "", text) for text in found]

    assert offline(file) == offline(DEPLOY / "cpu.Dockerfile")


def test_steps_are_those_of_the_file() -> None:
    text = (
        "# a comment\nFROM a AS build\nARG TARGET=t\nRUN apt-get update && \\\n    apt-get install x\n"
        "COPY w/${TARGET} /w\nRUN --network=none pip install\nFROM b\nCOPY --from=build /opt /opt\nUSER me\n"
    )
    assert steps(text, {}) == [
        Step(0, "network", "apt-get update && apt-get install x"),
        Step(0, "copy", "w/t /w"),
        Step(0, "offline", "pip install"),
        Step(1, "stage", "/opt /opt"),
    ]
    assert steps(text, {"TARGET": "jp6"})[1].text == "w/jp6 /w"
    with pytest.raises(SystemExit, match="HEALTHCHECK"):
        steps("FROM a\nHEALTHCHECK NONE\n", {})


def test_the_script_has_no_steps_of_its_own() -> None:
    """The container file is the one source: what installs is not repeated in the script."""
    text = SCRIPT.read_text()
    assert 'deploy/steps.py "$FILE"' in text
    assert not re.search(r"pip install|apt-get install|useradd", text)
    subprocess.run(["bash", "-n", SCRIPT], check=True)


@pytest.mark.parametrize("target", targets().values(), ids=lambda target: target.name)
def test_what_is_pinned_fits_pyproject(target: Target) -> None:
    """Versions that a target adds or narrows are within the ranges of pyproject.toml."""
    # Its own name in pyproject.toml, and the extra that has it.
    known = {"tensorrt-cu13-bindings": "tensorrt", "tensorrt-cu13-libs": "tensorrt"}
    project = replace(target, packages=(), extras=("cpu", "tensorrt"))
    ranges = {found.name: found.specifier for found in project_requirements(project)}
    majors = [f"{major}.{minor}" for major in range(15) for minor in range(30)]
    pinned = [*map(Requirement, (*target.packages, *target.elsewhere))]
    for requirement in pinned:
        exact = [each.version for each in requirement.specifier if each.operator == "=="]
        fitting = exact or list(requirement.specifier.filter(majors))
        wide = ranges[known.get(requirement.name, requirement.name)]
        assert fitting
        assert list(wide.filter(fitting)) == fitting, f"{requirement} is beyond {wide}"


def test_make_lists_the_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (line,) = re.findall(r"^wheelhouse: .*$", makefile, re.MULTILINE)
    assert set(line.partition("TARGET=")[2].split("|")) == set(targets())
