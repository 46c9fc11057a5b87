"""Inspections of one tiled bundle share its graph, and their tiles one queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import write_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.part import PreparedPart, StartedPart, batches
from dmdd_edge.runtime.station.graphs import Graphs
from tests.runtime.station.constant_bundles import station_settings


def test_parts_of_inspections_that_differ_in_their_thresholds_are_in_flight_together(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    make_bundle(preprocess=Preprocess(tiling=Tiling(tile=64, overlap=16)))
    settings = station_settings(
        tmp_path,
        {
            "fine": {"category": "screw", "threshold": 0.3},
            "rough": {"category": "screw", "threshold": 0.9, "stop_early": 1.0},
        },
        {1: ["fine", "rough"]},
    )
    image = np.full((304, 304, 3), 102, np.uint8)  # a map of 0.4, and of 1 in the middle
    image[140:160, 140:160, 0] = 255
    plain = np.full((200, 150, 3), 102, np.uint8)
    graphs = Graphs(settings)
    try:
        fine, rough = settings.inspections["fine"], settings.inspections["rough"]
        name = graphs.name(fine)
        assert graphs.name(rough) == name
        graph = graphs.load(name)
        detectors = [graph.detector(fine), graph.detector(rough)]
        started = []
        for shown in (image, plain):
            items = tuple(each.prepare(Frame(shown)) for each in detectors)
            part = PreparedPart(items)
            assert len(batches(part)) == 1
            started.append(StartedPart(part, batches(part)))
        found = []
        for each in started:
            for detector, inferred in zip(detectors, each.collect().items, strict=True):
                (result,) = detector.decide(inferred)  # type: ignore[arg-type]
                found.append((result.status, result.stopped_early))
        assert found == [("anomalous", False), ("anomalous", True), ("anomalous", False), ("good", False)]
    finally:
        graphs.close()


def test_an_inspection_that_ends_early_needs_tiles(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    make_bundle()
    settings = station_settings(tmp_path, {"lid": {"category": "screw", "stop_early": 1.0}}, {1: ["lid"]})
    graphs = Graphs(settings)
    try:
        graph = graphs.load(graphs.name(settings.inspections["lid"]))
        with pytest.raises(DmddError, match="needs tiles"):
            graph.detector(settings.inspections["lid"])
    finally:
        graphs.close()


def test_a_threshold_of_strips_is_refused(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = make_bundle()
    write_calibration(bundle, threshold_from_normals([0.1, 0.2, 0.3], 0.5), "good", strip=32)
    settings = station_settings(
        tmp_path, {"web": {"category": "screw"}, "own": {"category": "screw", "threshold": 0.5}}, {1: ["web"]}
    )
    graphs = Graphs(settings)
    try:
        graph = graphs.load(graphs.name(settings.inspections["web"]))
        with pytest.raises(DmddError, match="a station inspects whole images") as caught:
            graph.detector(settings.inspections["web"])
        assert "dmdd-edge calibrate --category screw --source GOOD_PARTS" in caught.value.fix
        graph.detector(settings.inspections["own"]).close()
    finally:
        graphs.close()
