"""``station check``, ``simulate``, ``schema`` and ``init`` with what keeps a station right: they say it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import tomllib
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.challenge.edit import add_parts, remove_all
from dmdd_edge.runtime.station.check.examine import examine_station
from dmdd_edge.runtime.station.check.report import StationReport
from dmdd_edge.runtime.station.file.found import Found
from dmdd_edge.runtime.station.file.schema import station_schema
from dmdd_edge.runtime.station.file.template import station_text
from tests.runtime.delivery.delivery_broker import free_port
from tests.runtime.station.files import settings_of

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[Any]]
Program = Callable[..., "subprocess.CompletedProcess[str]"]

TEXT = """\
challenge = true
[cameras.top]
source = "images:parts"
[inspections.lid]
category = "screw"
backend = "cpu"
suspect_threshold = 0.4
suspect_as = {counted}
[plc.modbus]
host = "127.0.0.1"
port = {port}
[results]
archive = "kept"
archive_size = "3GB"
drift_frames = 500000
"""


def text(counted: str = "") -> str:
    """The text of the file."""
    whole = TEXT.format(counted=f'"{counted}"', port=free_port())
    return whole if counted else whole.replace('suspect_as = ""\n', "")


@pytest.fixture
def place(tmp_path: Path, make_bundle: Make, make_picture: Picture) -> Path:
    """A bundle with a known-bad part of score 0.8, and images with the scores 0.118, 0.447 and 0.8."""
    bundle = make_bundle(threshold=threshold_from_normals([0.25, 0.5]))
    (tmp_path / "parts").mkdir()
    for number, blue in enumerate((30, 114, 204)):
        cv2.imwrite(str(tmp_path / f"parts/{number}.png"), make_picture(patch=blue))
    shutil.copy(tmp_path / "parts/2.png", tmp_path / "hole.png")
    add_parts(bundle.path.parent, [tmp_path / "hole.png"])
    return tmp_path


def checked(place: Path, counted: str = "") -> StationReport:
    return examine_station(settings_of(place, text(counted)), seconds=5)


def test_check_says_what_is_used(place: Path) -> None:
    report = checked(place)
    assert report.broken == []
    found = {finding.name: finding for finding in report.findings}
    lid = found["inspections.lid"]
    used = "threshold 0.5000, suspect above 0.4000, challenge set of 1; the image has score 0.1176, good"
    assert lid.detail.endswith(used)
    assert (lid.facts["suspect_threshold"], lid.facts["challenge"]) == (0.4, 1)
    assert found["results.archive"].detail == (
        f"{place / 'kept'}, new, at most 3.0 GB; sample: 1 % of the good parts"
    )
    drift = "a false warning in 500000 parts of an inspection, on average"
    assert found["results.drift"].detail == f"learns first what is usual; {drift}"
    assert not (place / "kept").exists()
    (counted,) = (each for each in checked(place, "good").findings if each.name == "inspections.lid")
    assert ", threshold 0.5000, suspect parts count as good, " in counted.detail
    assert counted.facts["suspect_as"] == "good"


def test_check_names_what_cannot_be_used(place: Path) -> None:
    (place / "kept").mkdir()
    (place / "kept" / "letter.txt").touch()
    challenge = place / "models" / "screw" / "challenge"
    (challenge / "index.json").write_text("{")
    broken = {finding.name: finding for finding in checked(place).broken}
    assert set(broken) == {"results.archive", "inspections.lid", "recipes.1"}
    archive, lid = broken["results.archive"], broken["inspections.lid"]
    assert "cannot become an archive: it holds other files, such as letter.txt" in archive.detail
    assert archive.facts["place"].endswith("line1.toml, line 12")
    assert "index.json is damaged" in lid.detail
    assert lid.facts["place"].endswith("line1.toml, line 1")
    (place / "kept" / "letter.txt").unlink()
    (place / "kept" / "archive.json").write_text('{"schema_version": 1}')
    remove_all(place / "models" / "screw")
    report = checked(place)
    details = {finding.name: finding.detail for finding in report.findings}
    assert report.broken == []
    assert "kept, continued, at most 3.0 GB" in details["results.archive"]
    assert ", an empty challenge set" in details["inspections.lid"]


@pytest.mark.slow
def test_simulate_uses_band_and_challenge_and_leaves_the_archive_alone(
    place: Path, make_bundle: Make, dmdd_edge: Program
) -> None:
    def simulated() -> tuple[dict[str, Any], str]:
        (place / "line1.toml").write_text(text())
        common = ("station", "simulate", "line1.toml", "--images", "parts", "--rate", 50)
        done = dmdd_edge(*common, "--parts", 6, "--port", 0, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    found, said = simulated()
    assert found["verdicts"] == {"Fail": 2, "Pass": 2, "Suspect": 2}
    assert (found["in_band"], found["broken"], found.get("cleared")) == (2, [], None)
    assert "lid: challenge: 1 of 1 known-bad part found" in said
    assert "note: Nothing is written: neither results nor counters; no image goes into the archive." in said
    assert not (place / "kept").exists()
    # A version that misses the known-bad part: the small PLC clears the fault, and continues.
    make_bundle(threshold=threshold_from_normals([0.5, 0.9]))
    found, said = simulated()
    assert found["verdicts"] == {"Pass": 2, "Suspect": 4}
    assert "The challenge set of lid: not found: hole." in said
    assert found["cleared"] == ["The challenge set of lid: not found: hole."]


def test_the_schema_and_the_template_have_the_keys() -> None:
    schema = station_schema()["properties"]
    inspection = schema["inspections"]["additionalProperties"]["properties"]
    results = schema["results"]["properties"]
    assert schema["challenge"]["type"] == "boolean"
    assert {"suspect_threshold", "suspect_as", "min_area", "mm_per_px"} <= set(inspection)
    assert inspection["suspect_as"]["enum"] == ["good", "anomalous"]
    named = {"archive", "archive_size", "archive_sample", "archive_margin", "archive_format"}
    assert {*named, "drift", "drift_frames"} <= set(results)
    assert "10GB" in json.dumps(results["archive_size"])
    written = station_text(Path("line1.toml"), Found((), ("screw",)), Path("models"))
    assert not {"challenge", "archive"} & set(tomllib.loads(written))
    lines = written.splitlines()
    assert "# challenge = true" in lines
    assert lines.index('# archive = "kept"') > lines.index("[results]")
