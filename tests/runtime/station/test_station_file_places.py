"""No path that a station writes is one that it reads or keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.bundle.manifest import MANIFEST_NAME
from tests.runtime.station.files import SMALL, problems_of, said, settings_of

SEEN = SMALL.replace("/dev/video0", "images:parts?fps=5")
RESULTS = SEEN + "[results]\n"


@pytest.mark.parametrize(
    "key", ["jsonl", "csv", "video", "save", "save_maps", "save_frames", "archive", "spool"]
)
@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("line1.toml", "the station file itself"),
        ("x/../line1.toml", "the station file itself"),
        ("link.toml", "the station file itself"),
        ("line1.state", "state_dir"),
        ("line1.state/ids", "the file ids of state_dir"),
        ("line1.state/counts", "the file counts of state_dir"),
        ("line1.state/drift.json", "the file drift.json of state_dir"),
        ("line1.state/challenge-spool", "the spool of station challenge in state_dir"),
        ("models", "the folder of the bundles"),
        ("parts", "the source of camera top"),
    ],
)
def test_a_result_over_something_of_the_station(tmp_path: Path, key: str, path: str, what: str) -> None:
    (tmp_path / "link.toml").symlink_to("line1.toml")
    more = "mqtt = 'mqtt://broker/a'\n" if key == "spool" else ""
    (problem,) = problems_of(tmp_path, f"{RESULTS}{key} = '{path}'\n{more}")
    real = (tmp_path / path).resolve()
    kind = "file" if key in ("jsonl", "csv", "video") else "folder"
    assert said(problem) == f"8: {key} names {what}: {real}. Name another {kind}."


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("models", "the folder of the bundles"),
        ("line1.toml", "the station file itself"),
        ("parts", "the source of camera top"),
        ("other", "a folder of bundles"),
        ("other/screw", "a folder of bundles"),
        ("other/screw/v1", "a folder of bundles"),
    ],
)
def test_a_state_dir_that_is_something_else(tmp_path: Path, path: str, what: str) -> None:
    version = tmp_path / "other/screw/v1"
    version.mkdir(parents=True)
    (version / MANIFEST_NAME).write_text("{}")
    (problem,) = problems_of(tmp_path, f"state_dir = '{path}'\n{SEEN}")
    assert said(problem) == f"1: state_dir names {what}: {tmp_path / path}. Name another folder."


def test_an_engine_cache_and_the_folder_of_a_pattern_count_too(tmp_path: Path) -> None:
    text = SMALL.replace("/dev/video0", "parts/*.png").replace('"screw"}', '"screw", engine_cache = "parts"}')
    (problem,) = problems_of(tmp_path, text)
    assert said(problem) == (
        f"4: engine_cache names the source of camera top: {tmp_path}/parts. Name another folder."
    )


def test_a_result_in_the_spool(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, f"{RESULTS}jsonl = 'line1.state/spool/a'\n")
    assert said(problem) == (
        f"8: jsonl names the spool of state_dir: {tmp_path}/line1.state/spool/a. Name another file."
    )


def test_what_lies_beside_them_is_free(tmp_path: Path) -> None:
    version = tmp_path / "models/screw/v1"
    version.mkdir(parents=True)
    (version / MANIFEST_NAME).write_text("{}")
    text = (
        f"state_dir = '.'\n{RESULTS}jsonl = 'line1.jsonl'\ncsv = 'parts/line1.csv'\nsave = 'parts/seen'\n"
        "spool = 'spool'\nmqtt = 'mqtt://broker/a'\n"
    )
    assert settings_of(tmp_path, text).state_dir.resolve() == tmp_path
