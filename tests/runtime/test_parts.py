"""Parts through the run loop: several frames, several detectors, batches, broken frames, whole parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import Detector, DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.detector import LARGEST_BATCH
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.loop import run_frames, run_parts
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.part import PreparedPart
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import Outcome
from dmdd_edge.runtime.sources import SourceState, open_source
from dmdd_edge.runtime.steps import Prepared
from dmdd_edge.runtime.summary import RunStatistics, Summary

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]


class Notes:
    """A sink that keeps what happened, in order, and each whole part."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.parts: list[tuple[object, list[str]]] = []
        self.scores: dict[str, float] = {}

    def result(self, frame: Frame, result: Result) -> None:
        self.events.append(f"{frame.name} {result.status}")
        self.scores[frame.name] = result.score

    def broken(self, frame: BrokenFrame) -> None:
        assert frame.frame is None, "an image that nobody needs stays in memory"
        self.events.append(f"{frame.source} broken")

    def part(self, ticket: object, outcomes: Sequence[Outcome]) -> None:
        self.events.append(f"part {ticket}")
        self.parts.append((ticket, [o.source if isinstance(o, BrokenFrame) else o[0].name for o in outcomes]))

    def summary(self, summary: Summary) -> None:
        self.events.append("summary")

    def close(self) -> None:
        self.events.append("close")


class Given:
    """A feed of parts that are there already."""

    ended_by = "source"

    def __init__(self, *parts: PreparedPart, fails: bool = False) -> None:
        self.parts, self.fails, self.stops, self.closed = deque(parts), fails, 0, False
        self.seconds = {"capture": 0.0, "prepare": 0.0}

    @property
    def ready(self) -> bool:
        return True

    def next(self) -> PreparedPart | None:
        if self.parts:
            return self.parts.popleft()
        if self.fails:
            raise DmddError("the camera is gone")
        return None

    def stop(self) -> None:
        self.stops += 1

    def close(self) -> None:
        self.closed = True

    def state(self) -> SourceState:
        return SourceState("given", live=False, passed_over={"hidden": 2})


class Control:
    """A control that binds nothing: a part is judged by the detectors that its items name."""

    new_detector_waits = False

    def __init__(self) -> None:
        self.statistics = RunStatistics("cpu")
        self.closed = 0

    def take_new(self) -> None:
        raise AssertionError("nothing waits")

    def bind(self, part: PreparedPart) -> PreparedPart:
        return part

    def reload_if_requested(self) -> None:
        """Nothing can be requested."""

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Category and batch size of each start, in order."""
    seen: list[tuple[str, int]] = []
    start = Detector.start

    def noted(self: Detector, prepared: Sequence[Prepared]) -> Any:
        seen.append((self.bundle.category, len(prepared)))
        return start(self, prepared)

    monkeypatch.setattr(Detector, "start", noted)
    return seen


def part_of(ticket: object, *items: Prepared | BrokenFrame) -> PreparedPart:
    return PreparedPart(items, ticket)


def broken(name: str, frame: Frame | None = None) -> BrokenFrame:
    return BrokenFrame(name, 0, DmddError("damaged"), frame)


def test_a_part_is_batched_by_detector_and_comes_out_in_its_own_order(
    make_bundle: Make, make_picture: Picture, calls: list[tuple[str, int]]
) -> None:
    notes, control = Notes(), Control()
    with (
        Detector.load(make_bundle("screw").path, "cpu") as screw,
        Detector.load(make_bundle("tile").path, "cpu", threshold=0.9) as tile,
    ):

        def item(detector: Detector, name: str, patch: int | None) -> Prepared:
            return detector.prepare(Frame(make_picture(patch=patch), name=name))

        feed = Given(
            part_of(
                "first",
                item(tile, "a", 204),
                item(screw, "b", 204),
                broken("c", Frame(make_picture())),
                item(screw, "d", None),
                item(tile, "e", 255),
            ),
            part_of("second", item(screw, "f", 255)),
            part_of(None, item(screw, "g", None)),
            part_of("empty"),
        )
        summary = run_parts(feed, [notes], control)
    # The graph's score is the patch's blue over 255: 204 passes 0.5 alone, 255 passes 0.9 too.
    assert notes.events == [
        *("a good", "b anomalous", "c broken", "d good", "e anomalous", "part first"),
        *("f anomalous", "part second", "g good", "part empty", "summary", "close"),
    ]
    assert notes.parts == [("first", [*"abcde"]), ("second", ["f"]), ("empty", [])]
    good, some, much = 30 / 255, 204 / 255, 1.0
    scores = {"a": some, "b": some, "d": good, "e": much, "f": much, "g": good}
    assert notes.scores == pytest.approx(scores)
    assert calls[:4] == [("tile", 2), ("screw", 2), ("screw", 1), ("screw", 1)]
    assert (summary.frames, summary.good, summary.anomalous, summary.skipped) == (6, 3, 3, 1)
    assert summary.passed_over == {"hidden": 2}
    assert feed.closed
    assert feed.stops
    assert control.closed == 1


@pytest.mark.parametrize(("limit", "sizes"), [(None, [16, 3]), (4, [4, 4, 4, 4, 3])])
def test_a_group_above_the_largest_batch_is_split(
    limit: int | None,
    sizes: list[int],
    make_bundle: Make,
    make_picture: Picture,
    calls: list[tuple[str, int]],
) -> None:
    assert LARGEST_BATCH == 16
    notes = Notes()
    with Detector.load(make_bundle().path, "cpu", options=BackendOptions(slots=2)) as detector:
        backend: Any = detector.backend
        backend.slots = 2  # also where there is a single core
        if limit is not None:
            backend.largest_batch = limit

        def frame(name: str, level: int) -> Prepared:
            return detector.prepare(Frame(make_picture(patch=level), name=name))

        levels = [100 + 5 * number for number in range(19)]
        many = [frame(f"{number}", level) for number, level in enumerate(levels)]
        before, after = frame("before", 255), frame("after", 30)
        run_parts(Given(part_of(0, before), part_of(1, *many), part_of(2, after)), [notes], Control())
    expected = [level / 255 for level in levels]
    assert [size for _, size in calls[: len(sizes) + 2]] == [1, *sizes, 1]
    assert [ticket for ticket, _ in notes.parts] == [0, 1, 2]
    assert notes.parts[1][1] == [f"{number}" for number in range(19)]
    assert [notes.scores[f"{number}"] for number in range(19)] == pytest.approx(expected)


def test_no_backend_is_given_more_than_it_accepts_and_each_is_collected_in_order(
    make_bundle: Make, make_picture: Picture
) -> None:
    """As an engine demands it: as many batches as slots, and the oldest first."""
    options = BackendOptions(slots=2)
    notes = Notes()
    with (
        Detector.load(make_bundle("screw").path, "cpu", options=options) as screw,
        Detector.load(make_bundle("tile").path, "cpu", options=options) as tile,
    ):
        for detector, slots in ((screw, 2), (tile, 1)):
            _make_strict(detector, slots)

        def item(detector: Detector, name: str) -> Prepared:
            return detector.prepare(Frame(make_picture(), name=name))

        parts = [
            part_of(
                number, *(item(detector, f"{number}.{place}") for place, detector in enumerate(detectors))
            )
            for number, detectors in enumerate(
                [[screw], [screw], [tile, screw], [screw], [screw] * 5, [tile], [screw], [screw, tile]] * 3
            )
        ]
        names = [frame.frame.name for part in parts for frame in part.items if isinstance(frame, Prepared)]
        run_parts(Given(*parts), [notes], Control())
    assert [event.split()[0] for event in notes.events if event.endswith("good")] == names


def _make_strict(detector: Detector, slots: int) -> None:
    backend: Any = detector.backend
    submit, collect, running = backend.submit, backend.collect, deque[Any]()
    backend.slots, backend.largest_batch = slots, 2

    def submitted(images: NDArray[np.uint8]) -> Any:
        assert len(running) < slots, "all slots are busy"
        assert len(images) <= 2, "above the largest batch"
        running.append(submit(images))
        return running[-1]

    def collected(ticket: Any) -> Any:
        assert running.popleft() is ticket, "not the oldest"
        return collect(ticket)

    backend.submit, backend.collect = submitted, collected


def test_a_part_stays_with_the_detector_that_prepared_it(make_bundle: Make, make_picture: Picture) -> None:
    """Two versions of one bundle, in turn: what a run binds anew, a part does not."""
    notes = Notes()
    path = make_bundle().path
    with (
        Detector.load(path, "cpu", threshold=0.2) as strict,
        Detector.load(path, "cpu", threshold=0.99) as lax,
    ):
        parts = [
            part_of(number, detector.prepare(Frame(make_picture(patch=204), name=f"{number}")))
            for number, detector in enumerate([strict, lax] * 5)
        ]
        run_parts(Given(*parts), [notes], Control())
    assert [event for event in notes.events if event[0].isdigit()] == [
        f"{number} {'good' if number % 2 else 'anomalous'}" for number in range(10)
    ]


def test_a_failed_feed_and_a_full_disk_end_it_with_what_came_before(
    make_bundle: Make, make_picture: Picture
) -> None:
    class Full(Notes):
        def part(self, ticket: object, outcomes: Sequence[Outcome]) -> None:
            raise DmddError("the disk is full")

    with Detector.load(make_bundle().path, "cpu") as detector:

        def part(name: str) -> PreparedPart:
            return part_of(name, detector.prepare(Frame(make_picture(), name=name)))

        notes = Notes()
        with pytest.raises(DmddError, match="the camera is gone"):
            run_parts(Given(part("0"), part("1"), fails=True), [notes], Control())
        assert notes.events == ["0 good", "part 0", "1 good", "part 1", "close"]
        full, beside = Full(), Notes()
        with pytest.raises(DmddError, match="the disk is full"):
            run_parts(Given(part("0"), part("1")), [full, beside], Control())
        assert full.events == ["0 good", "close"]
        assert beside.events == ["0 good", "close"]


def test_a_plain_run_is_parts_of_one_that_no_sink_receives_whole(make_bundle: Make, images: Path) -> None:
    notes = Notes()
    with Detector.load(make_bundle().path, "cpu") as detector:
        run_frames(detector, open_source(str(images)), [notes])
    assert notes.parts == []
    assert len(notes.events) == 6
