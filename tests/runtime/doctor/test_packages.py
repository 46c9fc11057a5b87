from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.runtime.doctor import packages
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.packages import CORE, EXTRAS, examine_packages

PROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


def names(key: str) -> list[str]:
    """The packages that a list of pyproject.toml names, dmdd-edge's own extras left out."""
    text = PROJECT.read_text(encoding="utf-8")
    found = re.search(rf"^{key} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, key
    wanted = re.findall(r'"([A-Za-z0-9-]+)', found.group(1))
    return [name for name in wanted if name != "dmdd-edge"]


@pytest.mark.parametrize("extra", list(EXTRAS))
def test_an_extra_brings_what_is_looked_for(extra: str) -> None:
    assert list(EXTRAS[extra][2]) == names(extra)


def test_the_core_is_what_is_always_installed() -> None:
    # OpenCV is examined apart, since it may come from the system. Python 3.11 and later read TOML themselves.
    elsewhere = {"opencv-python"} | ({"tomli"} if sys.version_info >= (3, 11) else set())
    assert [name for name in names("dependencies") if name not in elsewhere] == list(CORE)


def test_what_is_missing_is_named(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {"pydantic", "paho-mqtt", "timm"}
    monkeypatch.setattr(packages, "version_of", lambda name: "" if name in missing else "1.0")
    found = {finding.name: finding for finding in examine_packages(make_context({}))}
    core, mqtt, train = (found[f"packages.{name}"] for name in ("core", "mqtt", "train"))
    # Without pydantic no command works, so that is more than a missing package.
    assert (core.state, core.fix) == ("broken", "python -m pip install pydantic")
    assert (mqtt.state, mqtt.fix) == ("missing", "python -m pip install '/path/to/dmdd-edge[mqtt]'")
    assert (train.state, train.detail) == ("missing", "not installed: timm")
    assert (train.facts["torch"], train.facts["timm"]) == ("1.0", None)
    assert found["packages.export"].state == "ok"
