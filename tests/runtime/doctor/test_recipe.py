from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform, this_platform
from dmdd_edge.runtime.doctor.recipe import JETSON, OTHERS, examine_recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[3]


def named(target: Platform, gpu: bool = False, machine: str = "x86_64") -> Finding:
    (finding,) = examine_recipe(target, gpu, machine)
    return finding


@pytest.mark.parametrize(
    ("release", "target", "container"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081", "jp6", "deploy/jetpack6.Dockerfile"),
        ("# R39 (release), REVISION: 2.1, GCID: 46758480", "jp7", "deploy/jetpack7.Dockerfile"),
        ("# R35 (release), REVISION: 6.0", None, None),
    ],
)
def test_a_jetsons_release_names_its_recipe(
    tmp_path: Path, release: str, target: str | None, container: str | None
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text(release)
    finding = named(this_platform(tmp_path), gpu=True, machine="aarch64")
    assert (finding.facts["target"], finding.facts["container"]) == (target, container)
    if target is None:
        assert finding.detail == "deploy/ has no recipe for Linux for Tegra 35.6.0"
    else:
        assert f"make wheelhouse TARGET={target}" in finding.detail


@pytest.mark.parametrize(
    ("machine", "gpu", "target"),
    [("x86_64", False, "cpu-x86"), ("x86_64", True, "cuda-x86"), ("aarch64", False, "cpu-arm64")],
)
def test_other_machines(machine: str, gpu: bool, target: str) -> None:
    assert named(Platform(), gpu, machine).facts["target"] == target


def test_a_machine_without_a_recipe_is_not_at_fault() -> None:
    finding = named(Platform(), machine="riscv64")
    assert (finding.state, finding.detail) == ("ok", "deploy/ has no recipe for riscv64")


def test_the_recipes_are_those_of_deploy() -> None:
    table = tomllib.loads((ROOT / "deploy" / "targets.toml").read_text())
    known = {(recipe.target, recipe.container) for recipe in (*JETSON.values(), *OTHERS.values())}
    assert known == {(name, entry["container"]) for name, entry in table.items()}
