from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import Detector, DmddError
from dmdd_edge.bundle import Bundle
from dmdd_edge.preprocess import Preprocess
from dmdd_edge.runtime.calibrate import score_normals
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.result import Result, Timings
from dmdd_edge.runtime.signals import StopRequest
from dmdd_edge.runtime.sources import open_source
from dmdd_edge.runtime.summary import KEPT_LATENCIES, Summary, Tally

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]


class Notes:
    """A sink that keeps what happened, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def result(self, frame: Frame, result: Result) -> None:
        self.events.append(f"{frame.name} {result.status}")

    def broken(self, frame: BrokenFrame) -> None:
        self.events.append(f"{Path(frame.source).name} broken")

    def summary(self, summary: Summary) -> None:
        self.events.append("summary")

    def close(self) -> None:
        self.events.append("close")


def test_each_frame_once_in_order_and_the_summary_last(make_bundle: Make, images: Path) -> None:
    (images / "bad" / "1.png").write_bytes(b"")
    notes = Notes()
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        summary = run_frames(detector, open_source(str(images)), [notes])
    assert notes.events == [
        *("bad/0.png anomalous", "1.png broken", "good/0.png good", "good/1.png good"),
        *("summary", "close"),
    ]
    assert (summary.frames, summary.good, summary.anomalous, summary.skipped) == (3, 2, 1, 1)
    assert summary.backend == "cpu"


def test_a_frame_that_the_region_of_interest_does_not_fit_is_skipped(
    make_bundle: Make, images: Path, make_picture: Picture
) -> None:
    cv2.imwrite(str(images / "bad" / "0.png"), make_picture(shape=(64, 64)))
    with Detector.load(
        make_bundle(preprocess=Preprocess(roi=(0, 0, 256, 128))).path, backend="cpu"
    ) as detector:
        summary = run_frames(detector, open_source(str(images)), [])
    assert (summary.frames, summary.skipped) == (3, 1)


def test_limit_and_stop_end_it_early(make_bundle: Make, images: Path) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        assert run_frames(detector, open_source(str(images)), [], limit=3).frames == 3
        notes = Notes()
        run_frames(detector, open_source(str(images)), [notes], stop=lambda: len(notes.events) == 2)
    assert notes.events == ["bad/0.png anomalous", "bad/1.png anomalous", "summary", "close"]


def test_sinks_are_closed_when_one_cannot_write(make_bundle: Make, images: Path) -> None:
    class Full(Notes):
        def result(self, frame: Frame, result: Result) -> None:
            raise DmddError("disk full")

    notes = Notes()
    with (
        Detector.load(make_bundle().path, backend="cpu") as detector,
        pytest.raises(DmddError, match="disk full"),
    ):
        run_frames(detector, open_source(str(images)), [notes, Full()])
    assert notes.events == ["bad/0.png anomalous", "close"]


def test_scores_of_good_parts(make_bundle: Make, images: Path, make_picture: Picture) -> None:
    cv2.imwrite(str(images / "good" / "1.png"), make_picture(51))
    (images / "good" / "2.png").write_bytes(b"")
    frames = []
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        found = score_normals(detector, open_source(str(images / "good")), lambda: frames.append(1))
    assert found.scores == pytest.approx((30 / 255, 51 / 255))
    assert (found.unreliable, found.skipped, len(frames)) == (0, 1, 3)
    assert "2.png" in found.first_reason


def _result(milliseconds: float, status: str = "good", dropped: int = 0) -> Result:
    return Result(
        source="",
        index=0,
        status=status,  # type: ignore[arg-type]
        time=0.0,
        score=0.1,
        normalized_score=0.1,
        threshold=0.5,
        is_anomalous=False,
        anomaly_map=np.zeros((1, 1), np.float32),
        timings=Timings(milliseconds / 2, milliseconds / 4, milliseconds / 8, milliseconds / 8),
        dropped=dropped,
    )


@pytest.mark.parametrize(
    ("frames", "p50", "p90", "p99"),
    [
        (0, None, None, None),
        (1, 1.0, None, None),
        (63, 32.0, None, None),
        (64, 32.0, 58.0, None),  # rank ceil(0.9 * 64) = 58
        (661, 331.0, 595.0, None),
        (662, 331.0, 596.0, 656.0),  # ranks ceil(595.8) and ceil(655.38)
    ],
)
def test_percentiles_are_nearest_ranks_and_absent_for_too_few_frames(
    frames: int, p50: float | None, p90: float | None, p99: float | None
) -> None:
    tally = Tally("cpu")
    for milliseconds in np.random.default_rng(1).permutation(frames):
        tally.add(_result(float(milliseconds + 1)))
    latency = tally.summary().latency_ms
    assert (latency.p50, latency.p90, latency.p99) == (p50, p90, p99)


def test_the_summary_counts_and_has_the_fixed_names() -> None:
    tally = Tally("cpu")
    for status, dropped in (("good", 0), ("anomalous", 2), ("unreliable", 1), ("anomalous", 0)):
        tally.add(_result(1.0, status, dropped))
    tally.skipped = 5
    line = tally.summary().to_json()
    assert line["type"] == "summary"
    counts = [line[name] for name in ("frames", "anomalous", "skipped", "dropped", "good", "unreliable")]
    assert counts == [4, 2, 5, 3, 1, 1]
    assert line["latency_ms"].keys() == {"p50", "p90", "p99"}
    assert {"throughput", "backend"} <= line.keys()


def test_memory_is_bounded_and_the_newest_latencies_count() -> None:
    tally = Tally("cpu")
    slow, fast = _result(80.0), _result(8.0)
    for _ in range(KEPT_LATENCIES):
        tally.add(slow)
    for _ in range(KEPT_LATENCIES):
        tally.add(fast)
    summary = tally.summary()
    assert len(tally._latencies) == KEPT_LATENCIES
    assert summary.frames == 2 * KEPT_LATENCIES
    assert summary.latency_ms.p99 == 8.0


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_one_acts(kind: signal.Signals) -> None:
    seen: list[int] = []
    before = signal.signal(kind, lambda number, _: seen.append(number))
    try:
        with StopRequest() as stop:
            assert not stop
            os.kill(os.getpid(), kind)
            assert stop
            assert stop.received is kind
            assert seen == []
            os.kill(os.getpid(), kind)
            assert seen == [kind]
        os.kill(os.getpid(), kind)
        assert seen == [kind, kind]
    finally:
        signal.signal(kind, before)


def test_outside_the_main_thread_it_listens_for_nothing() -> None:
    heard: list[bool] = []

    def work() -> None:
        with StopRequest() as stop:
            heard.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
