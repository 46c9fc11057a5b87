from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.data.images import read_image
from dmdd_edge.runtime.bench import scenarios
from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.scenarios import host_call, measure_latency
from dmdd_edge.runtime.bench.timed_detector import TimedDetector
from dmdd_edge.runtime.bench.timing import Bench, Plan

from .conftest import FakeClock, TimedBackend, TimedEngine

MakeTimed = Callable[[TimedBackend], TimedDetector]


@pytest.fixture
def files(tmp_path: Path, image_set: ImageSet) -> ImageSet:
    """The same images as files."""
    paths = tuple(tmp_path / f"{index}.png" for index in range(len(image_set)))
    for path, frame in zip(paths, image_set.frames, strict=True):
        cv2.imwrite(str(path), frame)
    return ImageSet(image_set.frames, paths, "source", "files")


def test_each_boundary_is_the_time_between_its_ends(
    make_timed: MakeTimed,
    files: ImageSet,
    bench: Bench,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timed = make_timed(TimedBackend(clock))
    read, prepare, infer = read_image, timed.detector.prepare, timed.detector.infer

    def slowly(function, seconds):  # type: ignore[no-untyped-def]
        def wrapped(*arguments):  # type: ignore[no-untyped-def]
            clock.time += seconds
            return function(*arguments)

        return wrapped

    monkeypatch.setattr(scenarios, "read_image", slowly(read, 0.004))
    monkeypatch.setattr(timed.detector, "prepare", slowly(prepare, 0.002))
    monkeypatch.setattr(timed.detector, "infer", slowly(infer, 0.001))
    series = measure_latency(timed, files, 2, Plan(0.1, 3), bench)
    expected = {"decode": 8, "prepare": 4, "call": 20, "finish": 1, "from_frame": 25, "from_encoded": 33}
    assert {name: list(values) for name, values in series.values.items()} == {
        name: pytest.approx([value] * 4) for name, value in expected.items()
    }
    assert series.batch == 2
    assert series.seconds == pytest.approx(4 * 0.033)


def test_images_come_in_rotation(
    make_timed: MakeTimed, image_set: ImageSet, bench: Bench, clock: FakeClock
) -> None:
    for whole_way in (True, False):
        backend = TimedBackend(clock)
        timed = make_timed(backend)
        measure_latency(timed, image_set, 2, Plan(0.001, 5), bench, whole_way)
        assert backend.batches == [[10, 20], [30, 40], [50, 10], [20, 30], [40, 50]]


def test_without_files_nothing_is_decoded(
    make_timed: MakeTimed, image_set: ImageSet, bench: Bench, clock: FakeClock
) -> None:
    series = measure_latency(make_timed(TimedBackend(clock)), image_set, 1, Plan(0.001, 2), bench)
    assert set(series.values) == {"call", "prepare", "finish", "from_frame"}


def test_the_host_call_alone(
    make_timed: MakeTimed, image_set: ImageSet, bench: Bench, clock: FakeClock
) -> None:
    series = measure_latency(make_timed(TimedBackend(clock)), image_set, 8, Plan(1.0), bench, whole_way=False)
    assert set(series.values) == {"call"}
    assert list(series.values["call"]) == pytest.approx([80.0] * 13)
    assert series.throughput == pytest.approx(100)


def test_times_of_the_gpu_beside_the_hosts(
    make_timed: MakeTimed, image_set: ImageSet, clock: FakeClock
) -> None:
    timed = make_timed(TimedEngine(clock))
    found = dict(host_call(timed, image_set, 4)(0))
    assert found == pytest.approx({"call": 40, "h2d": 0.5, "compute": 7, "d2h": 0.25, "device": 7.75})
    # Eight images go through in two parts, of which the backend reports the last one's times only.
    assert dict(host_call(timed, image_set, 8)(0)) == pytest.approx({"call": 80})


def test_what_a_subject_says_of_itself(make_timed: MakeTimed, clock: FakeClock) -> None:
    timed = make_timed(TimedBackend(clock))
    files = timed.bundle.manifest.files
    found = timed.as_dict()
    assert found["backend"]["precision"] == "fp32"
    assert found["backend"]["file_sha256"] == files["model.fp32.onnx"]
    assert found["backend"]["file_bytes"] == (timed.bundle.path / "model.fp32.onnx").stat().st_size
    assert found["bundle"]["version"] == timed.bundle.version
    assert len(found["bundle"]["sha256"]) == 64
    engine = make_timed(TimedEngine(clock)).as_dict()["backend"]
    assert engine["precision"] == "fp16"
    assert engine["file_sha256"] == "e" * 64
    assert engine["graph_sha256"] == "a" * 64
    assert (engine["library"], engine["engine_batch"]) == ("TensorRT 10.3.0", "1:4")


def test_a_subject_opens_and_closes_a_bundle(make_timed: MakeTimed, clock: FakeClock) -> None:
    path = make_timed(TimedBackend(clock)).bundle.path
    with TimedDetector.open(path, "cpu") as timed:
        image = np.full((1, 64, 64, 3), 51, np.uint8)
        assert timed.stopwatch.infer(image)[1] == pytest.approx([0.2])
        assert timed.stopwatch.call_ms > 0
        assert timed.detector.slots == 1
        assert timed.stopwatch.largest_batch is None
