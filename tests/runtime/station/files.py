"""Station files for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.runtime.station.file.problems import Problem, StationFileError
from dmdd_edge.runtime.station.file.read import read_station
from dmdd_edge.runtime.station.settings import StationSettings

#: A camera, an inspection and what triggers them.
SMALL = """\
[cameras.top]
source = "/dev/video0"
[inspections]
lid = {camera = "top", category = "screw"}
[plc.modbus]
port = 5020
"""


def settings_of(folder: Path, text: str, name: str = "line1.toml") -> StationSettings:
    """What a file with a text says."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_station(path)


def problems_of(folder: Path, text: str) -> list[Problem]:
    """The problems of a file with a text."""
    with pytest.raises(StationFileError) as caught:
        settings_of(folder, text)
    return list(caught.value.problems)


def said(problem: Problem) -> str:
    """Line, message and fix of a problem as one text: ``3: message fix``."""
    line = problem.place.rpartition("line ")[2] if "line " in problem.place.rpartition("/")[2] else ""
    return f"{line}: {problem.message} {problem.fix}"
