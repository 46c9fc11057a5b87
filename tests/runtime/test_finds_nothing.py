"""Thresholds and areas with which every part would pass: refused, or said at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DataError, Detector, RunOptions, run_source
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.manifest import MANIFEST_NAME
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.sources import open_source
from dmdd_edge.runtime.station.file.read import read_station
from dmdd_edge.runtime.station.graphs import Graphs
from tests.runtime.station.constant_bundles import station_settings

Make = Callable[..., Bundle]
SAID = "No score exceeds the threshold 1, so no part is anomalous."


def with_threshold_1(bundle: Bundle) -> Bundle:
    """As an earlier release could publish it."""
    path = bundle.path / MANIFEST_NAME
    fields = json.loads(path.read_text())
    fields["threshold"]["image"] = fields["threshold"]["pixel"] = 1.0
    path.write_text(json.dumps(fields))
    return Bundle.load(bundle.path)


def test_no_bundle_is_published_with_a_threshold_that_nothing_exceeds(
    make_bundle: Make, tmp_path: Path
) -> None:
    before = make_bundle()
    with pytest.raises(DataError, match="not published: its threshold would be 1, which no score exceeds"):
        make_bundle(threshold=threshold_from_normals([0.25, 1.0]))
    assert [path.name for path in (tmp_path / "models" / "screw").iterdir() if path.is_dir()] == [
        before.version
    ]
    make_bundle(threshold=threshold_from_normals([0.25, 0.9999]))


def test_an_earlier_bundle_with_such_a_threshold_judges_nothing(
    make_bundle: Make, images: Path, tmp_path: Path
) -> None:
    bundle = with_threshold_1(make_bundle())
    with pytest.raises(DataError, match=f"{SAID} It was set at export"):
        Detector.load(bundle.path)
    options = RunOptions(source=str(images), models_dir=tmp_path / "models", backend="cpu")
    with pytest.raises(DataError, match=SAID):
        run_source(options)
    settings = station_settings(tmp_path, {"head": {"category": "screw"}}, {1: ["head"]})
    graphs, inspection = Graphs(settings), settings.inspections["head"]
    graph = graphs.load(graphs.name(inspection))
    with pytest.raises(DataError, match=SAID):
        graph.detector(inspection)
    graphs.close()
    # A threshold of its own mends it.
    with Detector.load(bundle.path, threshold=0.5) as detector:
        assert detector(images / "bad" / "0.png").status == "anomalous"


def test_a_threshold_of_1_that_is_given_is_said_once(
    make_bundle: Make, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_bundle()
    options = {"source": str(images), "models_dir": tmp_path / "models", "backend": "cpu"}
    said: list[str] = []
    assert run_source(RunOptions(**options, threshold=1.0), say=said.append).summary.good == 4
    assert said.count(f"warning: {SAID}") == 1
    said.clear()
    run_source(RunOptions(**options, threshold=0.999), say=said.append)
    assert not any(SAID in line for line in said)
    with caplog.at_level(logging.WARNING, "dmdd_edge"):
        Detector.load(tmp_path / "models" / "screw", threshold=1.0).close()
    assert [record.getMessage() for record in caplog.records] == [SAID]


def test_a_threshold_of_1_in_the_middle_of_a_run_is_said(make_bundle: Make, images: Path) -> None:
    said: list[str] = []
    with Detector.load(make_bundle().path) as detector:
        control = RunControl(detector, open_source(str(images)), say=said.append)
        control.set_threshold(1.0)
        control.set_threshold(0.9)
    assert [SAID in line for line in said] == [True, False]


def test_a_station_file_with_such_a_threshold_is_remarked_on(make_bundle: Make, tmp_path: Path) -> None:
    make_bundle()
    file = tmp_path / "line.toml"
    text = (
        'name = "line"\nmodels_dir = "models"\n[cameras.top]\nsource = "/dev/video0"\n'
        '[inspections.head]\ncamera = "top"\ncategory = "screw"\nthreshold = {}\n'
    )
    for threshold, number in ((1, 1), (0.99, 0)):
        file.write_text(text.format(threshold))
        found = [line for line in read_station(file).remarks if "no score exceeds the threshold 1" in line]
        assert len(found) == number
        assert all("line.toml, line 8: " in line for line in found)


def test_a_map_that_has_no_region_is_refused(make_bundle: Make) -> None:
    with pytest.raises(DataError, match="No value of a map exceeds the pixel threshold 1"):
        Detector.load(make_bundle().path, pixel_threshold=1.0, min_area="5px")
    Detector.load(make_bundle().path, pixel_threshold=1.0).close()


@pytest.mark.parametrize(
    ("area", "status"), [("800px", "anomalous"), ("32768px", "good"), ("32769px", "unreliable")]
)
def test_an_area_larger_than_the_image_leaves_every_part_unreliable(
    area: str, status: str, make_bundle: Make, images: Path, tmp_path: Path
) -> None:
    # The images have 256 x 128 = 32768 pixels, the patches 40 x 20 = 800.
    make_bundle()
    said: list[str] = []
    found: list[tuple[str, str]] = []
    run_source(
        RunOptions(source=str(images / "bad"), models_dir=tmp_path / "models", backend="cpu", min_area=area),
        on_result=lambda frame, result: found.append((result.status, result.reason)),
        say=said.append,
    )
    assert {each for each, _ in found} == {status}
    words = "no region can have the smallest area 32769px: 32768px are inspected"
    assert {reason for _, reason in found} == ({words} if status == "unreliable" else {""})
    assert (f"hint: No frame can be judged: {words}." in said) == (status == "unreliable")


def test_the_inspected_part_of_an_image_is_what_counts(make_bundle: Make, make_picture: Any) -> None:
    from dmdd_edge.data.preprocess import Preprocess

    bundle = make_bundle(preprocess=Preprocess(roi=(90, 10, 64, 64)))
    statuses = []
    for area in ("4096px", "4097px"):
        with Detector.load(bundle.path, min_area=area) as detector:
            statuses.append(detector(make_picture(patch=204)).status)
    assert statuses == ["good", "unreliable"]
