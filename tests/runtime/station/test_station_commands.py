"""``station init`` and ``station schema`` as commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.station.file.read import read_station

Make = Callable[..., Bundle]


def test_the_command_writes_a_file_that_names_the_next_one(
    tmp_path: Path, make_bundle: Make, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dmdd_edge.runtime.station.file import found

    make_bundle()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(found, "list_cameras", list)
    monkeypatch.setattr(found, "_genicam", lambda remarks: iter(()))
    done = command("init", "new.toml")
    assert done.exit_code == 0, done.output
    lines = done.stderr.strip().splitlines()
    assert lines[0] == "wrote new.toml: 0 cameras, 1 bundle"
    assert lines[-1] == "next: dmdd-edge station check new.toml"
    assert read_station(Path("new.toml")).inspections["screw"].category == "screw"


def test_the_schema_goes_to_standard_output(command: Callable[..., Any]) -> None:
    from dmdd_edge.runtime.station.file.schema import station_schema

    assert json.loads(command("schema").stdout) == station_schema()
