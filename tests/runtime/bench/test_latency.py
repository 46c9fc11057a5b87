from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.runtime.bench import latency
from dmdd_edge.runtime.bench.latency import host_call, measure_latency
from dmdd_edge.runtime.bench.pictures import Pictures
from dmdd_edge.runtime.bench.subject import Subject
from dmdd_edge.runtime.bench.timing import Bench, Plan

from .conftest import FakeClock, TimedBackend, TimedEngine

MakeSubject = Callable[[TimedBackend], Subject]


@pytest.fixture
def files(tmp_path: Path, pictures: Pictures) -> Pictures:
    """The same pictures as files."""
    paths = tuple(tmp_path / f"{index}.png" for index in range(len(pictures)))
    for path, frame in zip(paths, pictures.frames, strict=True):
        cv2.imwrite(str(path), frame)
    return Pictures(pictures.frames, paths, "source", "files")


def test_each_boundary_is_the_time_between_its_ends(
    make_subject: MakeSubject,
    files: Pictures,
    bench: Bench,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = make_subject(TimedBackend(clock))
    read, prepare, judge = latency.read_image, subject.detector.prepare, subject.detector.judge

    def slowly(function, seconds):  # type: ignore[no-untyped-def]
        def wrapped(*arguments):  # type: ignore[no-untyped-def]
            clock.time += seconds
            return function(*arguments)

        return wrapped

    monkeypatch.setattr(latency, "read_image", slowly(read, 0.004))
    monkeypatch.setattr(subject.detector, "prepare", slowly(prepare, 0.002))
    monkeypatch.setattr(subject.detector, "judge", slowly(judge, 0.001))
    series = measure_latency(subject, files, 2, Plan(0.1, 3), bench)
    expected = {"decode": 8, "prepare": 4, "call": 20, "finish": 1, "from_frame": 25, "from_encoded": 33}
    assert {name: list(values) for name, values in series.values.items()} == {
        name: pytest.approx([value] * 4) for name, value in expected.items()
    }
    assert series.batch == 2
    assert series.seconds == pytest.approx(4 * 0.033)


def test_images_come_in_rotation(
    make_subject: MakeSubject, pictures: Pictures, bench: Bench, clock: FakeClock
) -> None:
    for whole_way in (True, False):
        backend = TimedBackend(clock)
        subject = make_subject(backend)
        measure_latency(subject, pictures, 2, Plan(0.001, 5), bench, whole_way)
        assert backend.batches == [[10, 20], [30, 40], [50, 10], [20, 30], [40, 50]]


def test_without_files_nothing_is_decoded(
    make_subject: MakeSubject, pictures: Pictures, bench: Bench, clock: FakeClock
) -> None:
    series = measure_latency(make_subject(TimedBackend(clock)), pictures, 1, Plan(0.001, 2), bench)
    assert set(series.values) == {"call", "prepare", "finish", "from_frame"}


def test_the_host_call_alone(
    make_subject: MakeSubject, pictures: Pictures, bench: Bench, clock: FakeClock
) -> None:
    series = measure_latency(
        make_subject(TimedBackend(clock)), pictures, 8, Plan(1.0), bench, whole_way=False
    )
    assert set(series.values) == {"call"}
    assert list(series.values["call"]) == pytest.approx([80.0] * 13)
    assert series.throughput == pytest.approx(100)


def test_times_of_the_gpu_beside_the_hosts(
    make_subject: MakeSubject, pictures: Pictures, clock: FakeClock
) -> None:
    subject = make_subject(TimedEngine(clock))
    found = dict(host_call(subject, pictures, 4)(0))
    assert found == pytest.approx({"call": 40, "h2d": 0.5, "compute": 7, "d2h": 0.25, "device": 7.75})
    # Eight images go through in two parts, of which the back end tells the last one's times only.
    assert dict(host_call(subject, pictures, 8)(0)) == pytest.approx({"call": 80})


def test_what_a_subject_says_of_itself(make_subject: MakeSubject, clock: FakeClock) -> None:
    subject = make_subject(TimedBackend(clock))
    files = subject.bundle.manifest.files
    found = subject.as_dict()
    assert found["backend"]["precision"] == "fp32"
    assert found["backend"]["file_sha256"] == files["model.fp32.onnx"]
    assert found["backend"]["file_bytes"] == (subject.bundle.path / "model.fp32.onnx").stat().st_size
    assert found["bundle"]["version"] == subject.bundle.version
    assert len(found["bundle"]["sha256"]) == 64
    engine = make_subject(TimedEngine(clock)).as_dict()["backend"]
    assert engine["precision"] == "fp16"
    assert engine["file_sha256"] == "e" * 64
    assert engine["graph_sha256"] == "a" * 64
    assert (engine["library"], engine["engine_batch"]) == ("TensorRT 10.3.0", "1:4")


def test_a_subject_opens_and_closes_a_bundle(make_subject: MakeSubject, clock: FakeClock) -> None:
    path = make_subject(TimedBackend(clock)).bundle.path
    with Subject.open(path, "cpu") as subject:
        image = np.full((1, 64, 64, 3), 51, np.uint8)
        assert subject.stopwatch.infer(image)[1] == pytest.approx([0.2])
        assert subject.stopwatch.call_ms > 0
        assert subject.detector.slots == 1
        assert subject.stopwatch.largest_batch is None
