"""The engine of a station: from triggers through cameras and graphs to verdicts, until it is stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from dmdd_edge.errors import BackendError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.loop import run_parts
from dmdd_edge.runtime.part import PreparedPart
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import Outcome, Sink
from dmdd_edge.runtime.station.camera_room import CameraRoom
from dmdd_edge.runtime.station.counters import Counters
from dmdd_edge.runtime.station.desk import StationDesk
from dmdd_edge.runtime.station.feed import StationFeed
from dmdd_edge.runtime.station.leaders import leaders
from dmdd_edge.runtime.station.model import ErrorCode, LoadedRecipe, RecipeBook, StationCamera
from dmdd_edge.runtime.station.parts import Part
from dmdd_edge.runtime.station.recipes import StationRecipes
from dmdd_edge.runtime.station.recorder import Recorder
from dmdd_edge.runtime.station.settings import StationSettings
from dmdd_edge.runtime.station.summary import StationSummary, Tally
from dmdd_edge.runtime.station.warm_recipe import RecipeChange
from dmdd_edge.runtime.summary import RunStatistics, Summary

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.05
#: Failures of the loop without a verdict between them after which the station ends, for the service to start
#: it again: a GPU that is lost stays lost for the process.
_FAILURES = 3
#: Seconds between two tests of a graph that failed.
_TEST_PAUSE = 1.0
#: A part that is longer than that on its way through the loop is stuck, in seconds.
_STUCK_SECONDS = 10.0

OpenBook = Callable[[StationSettings, Callable[[RecipeChange], None]], RecipeBook]


class StationEngine:
    """Runs a station. The way of a part:

    trigger -> ``desk`` asks the cameras -> ``StationFeed`` waits for the frames and prepares them -> loop ->
    verdict -> observers, such as the PLC, and beside them the ``Recorder`` with the results files.

    Args:
        settings: of the station.
        cameras: by name, not started.
        counters: ids and counts; they stay open.
        sinks: receive results; closed at the end.
        open_book: opens the recipes.
        say: receives what a person should know, one line each, from any thread.

    Attributes:
        desk: takes triggers and requests; give it observers with ``desk.events.observe``.
        book: the recipes.
        drift: returns what the drift watches found, for the summary.
        archive: figures of the archive, for the summary; empty without one.

    Raises:
        OptionError: the recipes disagree about which camera begins their parts.
    """

    def __init__(
        self,
        settings: StationSettings,
        cameras: Mapping[str, StationCamera],
        counters: Counters,
        sinks: Sequence[Sink] = (),
        open_book: OpenBook = StationRecipes,
        say: Callable[[str], None] = logging.getLogger("dmdd_edge").info,
    ) -> None:
        led = leaders(settings)  # first of all: a mistake in the file must not leave threads behind
        self._settings, self._counters, self._say = settings, counters, say
        self._cameras = CameraRoom(cameras, say)
        self._recorder = Recorder(sinks, say)
        self.desk = desk = StationDesk(settings, led, self._cameras, counters, self._recorder, say)
        self.book = open_book(settings, desk.recipe_changed)
        desk.use(self.book)
        self._tally = Tally()
        self.drift: Callable[[], dict[str, Any]] = dict
        self.archive: dict[str, Any] = {}
        desk.events.observe(self._tally)
        for name, camera in cameras.items():
            camera.watch(desk.frame_missed)
            if name in led.values():
                camera.lead(partial(desk.arrived, name))
        self._looked = time.perf_counter()
        self._failures = 0
        self._closed = False
        slowest = max((camera.timeout_ms for camera in settings.cameras.values()), default=0.0)
        self._stuck_after = _STUCK_SECONDS + slowest / 1000

    def write_to(self, sinks: Sequence[Sink]) -> None:
        """Add sinks; before ``run``."""
        self._recorder.add(sinks)

    def record(self, line: dict[str, Any]) -> None:
        """Write a line that is about no part."""
        self._recorder.put(line)

    def alive(self) -> bool:
        """Whether the station really works: no part is stuck in the loop, and no event at an observer."""
        now, taken = time.perf_counter(), self.desk.oldest_taken()
        return (
            now - self._looked < _STUCK_SECONDS
            and (taken is None or now - taken < self._stuck_after)
            and not self.desk.events.stuck
        )

    def run(self, stop: Callable[[], bool] = lambda: False) -> StationSummary:
        """Run the station until it is stopped; parts that were accepted are finished. Called once.

        Args:
            stop: polled twenty times per second.

        Returns:
            The summary that the sinks received.

        Raises:
            BackendError: the graph failed again and again. Also whatever ``stop`` raises.
        """
        stopping = _Stop(stop, self.desk.end)
        frames: Summary | None = None
        try:
            self._cameras.start()
            known = {recipe.number for recipe in self._settings.recipes}
            last = self._counters.recipe  # the one in force when the station ended
            self.book.request(last if last in known else self._settings.recipe)
            while self.book.current() is None and not stopping():
                self.look()
                time.sleep(_LOOK_SECONDS)
            control = _Control(self.book.current(), self.look)
            control.statistics.drift, control.statistics.archive = self.drift, self.archive
            while True:
                try:
                    feed = StationFeed(self.desk.waiting, self._settings.cameras, _note_taken)
                    frames = run_parts(feed, [_Verdicts(self._settle)], control, stopping)
                    break
                except Exception as error:
                    self._recover(error, stopping)
        finally:
            summary = self._close(frames)
        stopping.check()
        assert summary is not None  # the loop ended without an error
        return summary

    def close(self) -> None:
        """Release everything, whether or not it ran. May be called twice."""
        self._close(None)

    def _close(self, frames: Summary | None) -> StationSummary | None:
        if self._closed:
            return None
        self._closed = True
        self.desk.close()
        self._cameras.stop()
        summary = None if frames is None else self._tally.summary(frames)
        self._recorder.close(summary)
        self.book.close()
        return summary

    def look(self) -> None:
        """See to faults; called again and again."""
        self._looked = time.perf_counter()
        try:
            self.desk.look()
        except Exception as error:  # a camera's state; the parts continue
            _LOG.exception("The station could not be looked after.")
            self.desk.fail(f"The station could not be looked after: {type(error).__name__}: {error}.")

    def _settle(self, part: Part, outcomes: Sequence[Outcome]) -> None:
        self._failures = 0
        self.desk.settle(part, outcomes)

    def _recover(self, error: Exception, stopping: Callable[[], bool]) -> None:
        """Answer the parts that the loop had, and see whether the graph works again.

        Raises:
            BackendError: it does not.
        """
        self._failures += 1
        if isinstance(error, BackendError):
            what, code, why = "The graph failed", ErrorCode.GRAPH_FAILED, error.message
        else:
            _LOG.error("The loop of the station failed.", exc_info=error)
            what, code = "The loop of the station failed", ErrorCode.INTERNAL
            why = f"{type(error).__name__}: {error}".rstrip(".") + "."
        self._say(f"{what}: {why}")
        self.desk.graph(why)
        self.desk.fail_taken(code, why)
        while self._failures < _FAILURES and not stopping():
            problem = _test(self.book.take())
            if not problem:
                self._say("The graph works again.")
                self.desk.graph("")
                return
            self._failures += 1
            self._pause()
        if stopping():
            return
        raise BackendError(
            f"{what} {_FAILURES} times in a row, the last time with: {why.rstrip('.')}.",
            "Look for the cause in the log, then start the station again.",
        ) from error

    def _pause(self) -> None:
        until = time.monotonic() + _TEST_PAUSE
        while time.monotonic() < until:
            self.look()
            time.sleep(_LOOK_SECONDS)


class _Verdicts:
    """The one sink of the loop: it settles whole parts."""

    def __init__(self, settle: Callable[[Part, Sequence[Outcome]], None]) -> None:
        self._settle = settle

    def result(self, frame: Frame, result: Result) -> None:
        """Nothing: the whole part follows."""

    def broken(self, frame: BrokenFrame) -> None:
        """Nothing: the whole part follows."""

    def part(self, ticket: object, outcomes: Sequence[Outcome]) -> None:
        """Settle a part."""
        assert isinstance(ticket, Part)
        self._settle(ticket, outcomes)

    def summary(self, summary: Summary) -> None:
        """Nothing: the recorder passes it on."""

    def close(self) -> None:
        """Nothing to release."""


class _Control:
    """What the loop needs: a part is decided by the detectors that it names, whatever changes meanwhile."""

    new_detector_waits = False

    def __init__(self, recipe: LoadedRecipe | None, look: Callable[[], None]) -> None:
        inspections = () if recipe is None else recipe.inspections
        backends = dict.fromkeys(detector.backend.name for _, detector in inspections)
        self.statistics = RunStatistics(", ".join(backends) or "none", live=True)
        self.reload_if_requested = look

    def take_new(self) -> None:
        """Nothing waits."""

    def bind(self, part: PreparedPart) -> PreparedPart:
        """Unchanged."""
        return part

    def close(self) -> None:
        """Nothing to release."""


class _Stop:
    """Whether the station is to end, once and for all; an error of the one who says so ends it too."""

    def __init__(self, stop: Callable[[], bool], then: Callable[[], None]) -> None:
        self._stop, self._then = stop, then
        self._lock = threading.Lock()
        self._ended = False
        self._error: BaseException | None = None

    def __call__(self) -> bool:
        with self._lock:
            if not self._ended:
                try:
                    self._ended = bool(self._stop())
                except BaseException as error:
                    self._ended, self._error = True, error
                if self._ended:
                    self._then()
            return self._ended

    def check(self) -> None:
        """Raise the error, if any."""
        if self._error is not None:
            raise self._error


def _note_taken(part: Part) -> None:
    part.taken = time.perf_counter()


def _test(recipe: LoadedRecipe | None) -> str:
    """Run each graph of a recipe once; what is wrong, or an empty text. The recipe is released."""
    if recipe is None:
        return "no recipe is in force"
    try:
        for backend, size in {
            id(detector.backend): (detector.backend, detector.bundle.manifest.image_size)
            for _, detector in recipe.inspections
        }.values():
            backend.infer(np.zeros((1, size, size, 3), np.uint8))
    except Exception as error:
        return f"{error}" or type(error).__name__
    finally:
        recipe.release()
    return ""
