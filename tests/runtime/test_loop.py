from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import Detector, DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.latencies import KEPT_LATENCIES
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.normal_scores import score_normals
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.result import Result, Timings
from dmdd_edge.runtime.signals import StopRequest
from dmdd_edge.runtime.sources import SourceState, open_source
from dmdd_edge.runtime.summary import RunStatistics, Summary

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


def test_a_limit_ends_it_early(make_bundle: Make, images: Path) -> None:
    notes = Notes()
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        assert run_frames(detector, open_source(str(images)), [notes], limit=3).frames == 3
    assert notes.events[2:] == ["good/0.png good", "summary", "close"]


class Endless:
    """A live source: a frame whenever one is requested, until it is stopped; two are dropped before each."""

    total = None
    live = True
    root = Path()

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image, self.asked, self.ended = image, 0, threading.Event()

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        while not self.ended.is_set():
            yield Frame(self.image, "camera", f"{self.asked}", self.asked, time.time(), dropped=2)
            self.asked += 1

    def stop(self) -> None:
        self.ended.set()

    def state(self) -> SourceState:
        return SourceState("camera", live=True, dropped=2 * self.asked + 1)


def test_a_stop_finishes_what_was_taken(make_bundle: Make, make_picture: Picture) -> None:
    notes, source = Notes(), Endless(make_picture())
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        summary = run_frames(detector, source, [notes], stop=lambda: len(notes.events) >= 5)
    assert len(notes.events) == source.asked + 2
    assert summary.frames == source.asked >= 5
    assert notes.events[-2:] == ["summary", "close"]
    # One was dropped after the last frame that has a result.
    assert summary.dropped == 2 * source.asked + 1
    assert summary.age_ms is not None
    assert summary.age_ms.p50 is not None


def test_the_end_waits_for_a_poll_that_has_begun(make_bundle: Make, images: Path) -> None:
    before, polled = set(threading.enumerate()), threading.Event()

    class Slow(Notes):
        def result(self, frame: Frame, result: Result) -> None:
            assert polled.wait(60)

    with Detector.load(make_bundle().path, backend="cpu") as detector:
        source = open_source(str(images))
        run_frames(detector, source, [Slow()], stop=lambda: polled.set() or bool(time.sleep(0.3)))
    assert set(threading.enumerate()) <= before


def test_a_live_source_is_asked_only_when_the_graph_is_free(make_bundle: Make, make_picture: Picture) -> None:
    """So the frame is the newest: none waits, prepared, behind another."""
    source = Endless(make_picture())
    behind: list[int] = []

    with Detector.load(make_bundle().path, backend="cpu") as detector:
        infer = detector.backend.infer

        def watched(images: NDArray[np.uint8]) -> Any:
            behind.append(source.asked)
            return infer(images)

        detector._overlapping = None
        detector.backend.infer = watched  # type: ignore[method-assign]
        run_frames(detector, source, [], limit=6)
    # When frame n is at the graph, exactly n were handed out before it.
    assert behind == list(range(6))


def test_files_are_read_ahead_but_only_a_few(make_bundle: Make, images: Path) -> None:
    for number in range(30):
        shutil.copy(images / "good" / "0.png", images / "good" / f"more{number}.png")
    source = open_source(str(images))
    gate = threading.Event()
    seen: list[int] = []
    held: list[int] = []

    class Slow(Notes):
        def result(self, frame: Frame, result: Result) -> None:
            gate.wait(30)
            super().result(frame, result)

    def open_gate() -> bool:
        # The sink holds everything up: the count of frames taken stops growing well before the end.
        taken = source.state().frames
        seen.append(taken)
        if taken and seen[-10:] == [taken] * 10 and not gate.is_set():
            held.append(taken)
            gate.set()
        return False

    notes = Slow()
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        assert run_frames(detector, source, [notes], stop=open_gate).frames == 34
    assert held[0] <= 16
    assert len(notes.events) == 36


def test_the_slow_part_is_named(make_bundle: Make, images: Path) -> None:
    class Slow(Notes):
        def result(self, frame: Frame, result: Result) -> None:
            time.sleep(0.05)

    for number in range(12):
        shutil.copy(images / "good" / "0.png", images / "good" / f"more{number}.png")
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        summary = run_frames(detector, open_source(str(images)), [Slow()])
    assert summary.slowest == "write"
    assert summary.busy.keys() == {"capture", "prepare", "infer", "write"}
    assert summary.busy["write"] > 0.5
    assert all(0 <= share <= 1 for share in summary.busy.values())


def test_an_error_of_the_source_ends_the_run(make_bundle: Make, make_picture: Picture) -> None:
    class Lost(Endless):
        live = False

        def __iter__(self) -> Iterator[Frame | BrokenFrame]:
            yield Frame(self.image, "camera", "0")
            raise DmddError("the camera is gone")

    notes = Notes()
    with (
        Detector.load(make_bundle().path, backend="cpu") as detector,
        pytest.raises(DmddError, match="the camera is gone"),
    ):
        run_frames(detector, Lost(make_picture()), [notes])
    assert notes.events == ["0 good", "close"]


class Slowly(Endless):
    """Three frames; each comes when the one before has its result. Or all at once, and then an error."""

    live = False

    def __init__(self, image: NDArray[np.uint8], notes: Notes, fails: bool = False) -> None:
        super().__init__(image)
        self.notes, self.fails, self.late = notes, fails, False

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        for number in range(3):
            yield Frame(self.image, "pipe", f"{number}", number)
            deadline = time.monotonic() + 10
            while not self.fails and len(self.notes.events) <= number:
                self.late = self.late or time.monotonic() > deadline
                if self.late:
                    return
                time.sleep(0.002)
        if self.fails:
            raise DmddError("the pipe broke")


def test_a_result_does_not_wait_for_the_next_frame(make_bundle: Make, make_picture: Picture) -> None:
    notes = Notes()
    source = Slowly(make_picture(), notes)
    options = BackendOptions(slots=2)
    with Detector.load(make_bundle().path, backend="cpu", options=options) as detector:
        cast(Any, detector.backend).slots = 3  # also where there is a single core
        run_frames(detector, source, [notes])
    assert not source.late
    assert notes.events == ["0 good", "1 good", "2 good", "summary", "close"]


def test_what_was_taken_before_the_source_failed_has_its_results(
    make_bundle: Make, make_picture: Picture
) -> None:
    notes = Notes()
    options = BackendOptions(slots=2)
    with Detector.load(make_bundle().path, backend="cpu", options=options) as detector:
        cast(Any, detector.backend).slots = 8
        with pytest.raises(DmddError, match="the pipe broke"):
            run_frames(detector, Slowly(make_picture(), notes, fails=True), [notes])
    assert notes.events == ["0 good", "1 good", "2 good", "close"]


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
        found = score_normals(detector, open_source(str(images / "good")), on_frame=lambda: frames.append(1))
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
    statistics = RunStatistics("cpu")
    for milliseconds in np.random.default_rng(1).permutation(frames):
        statistics.add(_result(float(milliseconds + 1)))
    latency = statistics.summary().latency_ms
    assert (latency.p50, latency.p90, latency.p99) == (p50, p90, p99)


def test_the_summary_counts_and_has_the_fixed_names() -> None:
    statistics = RunStatistics("cpu")
    for status, dropped in (("good", 0), ("anomalous", 2), ("unreliable", 1), ("anomalous", 0)):
        statistics.add(_result(1.0, status, dropped))
    [statistics.skip() for _ in range(5)]
    line = statistics.summary().to_json()
    assert line["type"] == "summary"
    counts = [line[name] for name in ("frames", "anomalous", "skipped", "dropped", "good", "unreliable")]
    assert counts == [4, 2, 5, 3, 1, 1]
    assert line["latency_ms"].keys() == {"p50", "p90", "p99"}
    assert {"throughput", "backend"} <= line.keys()


def test_memory_is_bounded_and_the_newest_latencies_count() -> None:
    statistics = RunStatistics("cpu")
    slow, fast = _result(80.0), _result(8.0)
    for _ in range(KEPT_LATENCIES):
        statistics.add(slow)
    for _ in range(KEPT_LATENCIES):
        statistics.add(fast)
    summary = statistics.summary()
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


def test_a_repeated_sigterm_is_one_request_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    now = [100.0]
    monkeypatch.setattr("dmdd_edge.runtime.signals.time.monotonic", lambda: now[0])
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {kind: signal.signal(kind, lambda number, _: seen.append(number)) for kind in kinds}
    try:
        with StopRequest(hangup=True, one_for=2.0) as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.received is signal.SIGTERM
            now[0] += 1.9
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            assert seen == []
            os.kill(os.getpid(), signal.SIGINT)  # somebody at the terminal means it
            assert seen == [signal.SIGINT]
            now[0] += 0.2
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == [signal.SIGINT, signal.SIGTERM]
        for kind in kinds:
            os.kill(os.getpid(), kind)
        assert seen[2:] == list(kinds)
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def test_outside_the_main_thread_it_listens_for_nothing() -> None:
    heard: list[bool] = []

    def work() -> None:
        with StopRequest() as stop:
            heard.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
