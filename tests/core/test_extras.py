from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import extras


class _Distribution:
    def __init__(self, direct_url: str | None) -> None:
        self._direct_url = direct_url

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self._direct_url


def test_extras_are_installed_from_the_clone_or_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone, wheel = tmp_path / "my clone", tmp_path / "dmdd_edge.whl"
    clone.mkdir()
    (clone / "pyproject.toml").touch()
    wheel.touch()
    noted: Any = {"url": clone.as_uri(), "dir_info": {"editable": True}}
    unknown = ("/path/to/dmdd-edge", False)
    for text, expected in [
        (json.dumps(noted), (str(clone), True)),
        (json.dumps({**noted, "dir_info": {}}), (str(clone), False)),
        (json.dumps({"url": wheel.as_uri(), "archive_info": {}}), (str(wheel), False)),
        (json.dumps({**noted, "url": (tmp_path / "gone").as_uri()}), unknown),
        (json.dumps({"url": "https://example.org/x.whl"}), unknown),
        ("not JSON", unknown),
        (None, unknown),
    ]:
        monkeypatch.setattr(metadata, "distribution", lambda name, text=text: _Distribution(text))
        assert extras.own_source() == expected


def test_the_command_is_of_this_environment_and_never_a_bare_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "interpreter", lambda: "/opt/my env/bin/python")
    monkeypatch.setattr(extras, "own_source", lambda: ("/home/me/dmdd-edge", True))
    assert extras.install_command("gpu") == (
        "'/opt/my env/bin/python' -m pip install -e '/home/me/dmdd-edge[gpu]'"
    )
    monkeypatch.undo()
    monkeypatch.setattr(metadata, "distribution", lambda name: _Distribution(None))
    assert extras.install_command("cpu").endswith(" -m pip install '/path/to/dmdd-edge[cpu]'")


def test_the_interpreter_is_named_by_its_path_unless_it_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert extras.interpreter() == sys.executable
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert extras.interpreter() in ("python", "python3")
