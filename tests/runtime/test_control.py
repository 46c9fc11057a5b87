"""Changing a run's threshold and bundle while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import Detector, DmddError
from dmdd_edge.bundle.bundle import Bundle, use_version
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.runtime import version_watch
from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sources import SourceState, open_source
from dmdd_edge.runtime.sources.base import take_all
from dmdd_edge.runtime.summary import Summary
from dmdd_edge.runtime.version_watch import VersionWatch

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]


class Steady:
    """Frames for as long as wanted; live or not."""

    total = None
    root = Path()

    def __init__(self, image: NDArray[np.uint8], live: bool) -> None:
        self.image, self.live, self.ended, self.given = image, live, threading.Event(), 0
        self.skip = take_all

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        while not self.ended.is_set():
            yield Frame(self.image, "camera", f"{self.given}", self.given, time.time())
            self.given += 1
            time.sleep(0.001)

    def stop(self) -> None:
        self.ended.set()

    def state(self) -> SourceState:
        return SourceState("camera", live=self.live, frames=self.given)


class Thresholds:
    """A sink that keeps each frame's index and threshold."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def result(self, frame: Frame, result: Result) -> None:
        self.seen.append((result.index, result.threshold))

    def broken(self, frame: BrokenFrame) -> None:
        raise AssertionError

    def summary(self, summary: Summary) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("live", [True, False])
def test_the_bundle_is_changed_between_two_frames_and_none_is_lost(
    make_bundle: Make, make_picture: Picture, live: bool
) -> None:
    first = make_bundle()
    source, sink, said = Steady(make_picture(), live), Thresholds(), []
    control = RunControl(
        Detector.load(first.path, "cpu"),
        source,
        lambda: Detector.load(first.path.parent, "cpu"),
        said.append,
    )
    second: list[Bundle] = []

    def stop() -> bool:
        if len(sink.seen) > 5 and not second:
            second.append(make_bundle(threshold=threshold_from_normals([0.7])))
            control.request_reload()
        return bool(sink.seen) and sink.seen[-1][1] == 0.7 and len(sink.seen) > 12

    summary = run_frames(control.detector, source, [sink], stop=stop, control=control)
    control.detector.close()
    indices, thresholds = zip(*sink.seen, strict=True)
    assert list(indices) == list(range(len(indices)))
    assert summary.frames == source.given == len(indices)
    # One change, from the first bundle to the second.
    assert list(thresholds) == [0.5] * thresholds.count(0.5) + [0.7] * thresholds.count(0.7)
    assert thresholds.count(0.5) > 5
    assert control.version == second[0].version
    assert said == [f"bundle {first.version} -> {second[0].version}, threshold 0.7000"]


def test_what_did_not_fit_the_bundle_before_is_judged_by_the_new_one(make_bundle: Make, images: Path) -> None:
    first = make_bundle(preprocess=Preprocess(roi=(0, 0, 1000, 1000)))
    second = make_bundle()
    # The other way round, too: what was ready for the one may not fit the other.
    for before, after, judged in ((first, second, 4), (second, first, 0)):
        source = open_source(str(images))
        detector, new = Detector.load(before.path, "cpu"), Detector.load(after.path, "cpu")
        control = RunControl(detector, source, lambda new=new: new)  # type: ignore[misc]
        control.request_reload()
        control.reload_if_requested()  # it waits for the first frame, which was read for the old one by then
        summary = run_frames(detector, source, [], control=control)
        control.detector.close()
        assert (summary.frames, summary.skipped) == (judged, 4 - judged)


def test_a_bundle_that_does_not_verify_leaves_the_old_one_at_work(
    make_bundle: Make, make_picture: Picture
) -> None:
    first = make_bundle()
    source, sink, said = Steady(make_picture(), True), Thresholds(), []
    control = RunControl(
        Detector.load(first.path, "cpu"), source, lambda: Detector.load(first.path.parent, "cpu"), said.append
    )
    second = make_bundle(threshold=threshold_from_normals([0.7]))
    graph = second.file("model.fp32.onnx")
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    control.request_reload()
    after: list[int] = []

    def stop() -> bool:
        if said:
            after.append(len(sink.seen))
        return bool(after) and len(sink.seen) > after[0] + 3

    run_frames(control.detector, source, [sink], stop=stop, control=control)
    control.detector.close()
    [line] = said
    assert line.startswith(f"Bundle reload failed, keeping {first.version}: ")
    assert "was altered" in line
    assert control.state().message == line
    assert {threshold for _, threshold in sink.seen} == {0.5}


def test_a_threshold_set_by_hand_outlasts_a_change_of_bundle(
    make_bundle: Make, make_picture: Picture
) -> None:
    first = make_bundle()
    said: list[str] = []
    source = Steady(make_picture(), True)
    control = RunControl(
        Detector.load(first.path, "cpu"), source, lambda: Detector.load(first.path.parent, "cpu"), said.append
    )
    with pytest.raises(DmddError, match="must be in"):
        control.set_threshold(1.5)
    assert control.state().threshold == 0.5
    assert control.set_threshold(0.3) == 0.5
    assert (control.state().threshold, control.detector.threshold.pixel) == (0.3, 0.3)
    make_bundle(threshold=threshold_from_normals([0.7]))
    control.request_reload()
    control.reload_if_requested()
    assert control.new_detector_waits
    assert control.take_new().threshold.image == control.state().threshold == 0.3
    assert said[0] == "threshold 0.5000 -> 0.3000 for the rest of this run"
    control.detector.close()


def test_a_pixel_threshold_of_its_own_stays(make_bundle: Make) -> None:
    with Detector.load(make_bundle().path, "cpu", threshold=0.5, pixel_threshold=0.8) as detector:
        detector.set_threshold(0.3)
        assert (detector.threshold.image, detector.threshold.pixel) == (0.3, 0.8)


def test_another_version_in_use_is_noticed_once(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_watch, "EVERY", 0.0)
    first = make_bundle()
    folder = first.path.parent
    watch = VersionWatch(folder, first.version)
    assert not watch.changed()
    second = make_bundle()
    assert [watch.changed(), watch.changed()] == [True, False]
    use_version(folder.parent, first.category, first.version)
    assert [watch.changed(), watch.changed()] == [True, False]
    (folder / "CURRENT").unlink()
    assert not watch.changed()
    # A version's folder never changes.
    assert not VersionWatch(second.path, second.version).changed()


def test_a_bundle_that_is_loaded_after_the_end_is_closed(make_bundle: Make, make_picture: Picture) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        closed: list[str] = []
        late = Detector.load(make_bundle().path, backend="cpu")
        closing = late.close
        late.close = lambda: (closed.append("late"), closing())[1]  # type: ignore[method-assign]

        def load() -> Detector:
            control.close()  # the run ends while the bundle is loaded
            return late

        control = RunControl(detector, Steady(make_picture(), live=True), load)
        control.request_reload()
        control.reload_if_requested()
        assert closed == ["late"]
        assert not control.new_detector_waits
