"""Which precision runs, and that the threshold follows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmdd_edge import BackendError, Detector
from dmdd_edge.bundle.bundle import INT8_GRAPH, Bundle
from dmdd_edge.bundle.calibration import write_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.backends.selection import select
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.station.graphs import Graphs
from tests.runtime.station.constant_bundles import station_settings

Make = Callable[..., Bundle]
INT8 = BackendOptions(precision="int8")


def test_a_precision_that_the_bundle_or_the_backend_lacks_is_an_error(make_bundle: Make) -> None:
    bundle = make_bundle()
    assert select(bundle, "cpu").backend.precision == "fp32"
    with pytest.raises(BackendError, match="has no int8 graph") as caught:
        select(bundle, "cpu", INT8)
    assert "export --category screw --precision int8" in caught.value.fix
    with pytest.raises(BackendError, match="does not run fp16, only fp32 and int8"):
        select(bundle, "cpu", BackendOptions(precision="fp16"))


def test_int8_decides_by_its_threshold_and_says_which_calibration_it_leaves(make_bundle: Make) -> None:
    bundle = make_bundle(graph_name=INT8_GRAPH, thresholds={"int8": threshold_from_normals([0.25, 0.625])})
    write_calibration(bundle, threshold_from_normals([0.125, 0.375]), "good/")
    said: list[str] = []
    with Detector.load(bundle.path, "cpu", options=INT8, say=said.append) as detector:
        assert detector.backend.precision == "int8"
        assert (detector.threshold.image, detector.threshold.origin) == (0.625, "manifest")
        assert detector(np.zeros((64, 64, 3), np.uint8)).precision == "int8"
    assert len(said) == 1
    assert "was not made with int8" in said[0]
    write_calibration(bundle.at("int8"), threshold_from_normals([0.125, 0.75]), "good/")
    with Detector.load(bundle.path, "cpu", options=INT8, say=said.append) as detector:
        assert (detector.threshold.image, detector.threshold.origin) == (0.75, "calibration")
    assert len(said) == 1


def test_a_station_says_which_calibration_it_leaves(
    make_bundle: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = make_bundle(graph_name=INT8_GRAPH, thresholds={"int8": threshold_from_normals([0.25, 0.625])})
    write_calibration(bundle, threshold_from_normals([0.125, 0.375]), "good/")
    inspections = {"a": {"category": "screw", "options": INT8}}
    settings = station_settings(tmp_path, inspections, {1: ["a"]})
    graphs = Graphs(settings)
    try:
        own = settings.inspections["a"]
        detector = graphs.load(graphs.name(own)).detector(own)
        assert detector.threshold.image == 0.625
        (said,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
        assert "the calibration of screw was not made with int8" in said
    finally:
        graphs.close()
