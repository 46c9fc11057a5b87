"""The desk of a station: takes triggers and requests, keeps the state, and passes verdicts on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dmdd_edge.runtime.sinks import Outcome
from dmdd_edge.runtime.station.camera_room import CameraRoom
from dmdd_edge.runtime.station.counters import Counters
from dmdd_edge.runtime.station.events import Events
from dmdd_edge.runtime.station.faults import Faults
from dmdd_edge.runtime.station.model import (
    ErrorCode,
    FrameRequest,
    LoadedRecipe,
    Missed,
    Origin,
    PartResult,
    RecipeBook,
    StationState,
    Trigger,
)
from dmdd_edge.runtime.station.parts import (
    Part,
    cameras_of,
    failed_result,
    missed_line,
    part_line,
    part_result,
)
from dmdd_edge.runtime.station.recorder import Recorder
from dmdd_edge.runtime.station.settings import StationSettings
from dmdd_edge.runtime.station.waiting import WaitingParts
from dmdd_edge.runtime.station.warm_recipe import RecipeChange

#: Number of late parts in a row that are a fault.
_LATE_IN_A_ROW = 3
#: How long the fault of an overflow lasts at least, so that everybody sees it, in seconds.
_SHOW_OVERFLOW = 1.0


class StationDesk:
    """See ``Desk``; besides, what cameras, recipes and the engine report.

    Args:
        settings: of the station.
        leaders: of each recipe, by number, the camera whose frames begin its parts, see ``leaders``.
        cameras: its cameras.
        counters: give each part its number.
        recorder: writes verdicts and refused triggers.
        say: receives what a person should know, one line each.

    Attributes:
        waiting: accepted parts that the feed has not taken yet.
        events: tells the observers.
    """

    def __init__(
        self,
        settings: StationSettings,
        leaders: Mapping[int, str | None],
        cameras: CameraRoom,
        counters: Counters,
        recorder: Recorder,
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._cameras, self._counters = settings, cameras, counters
        self._recorder, self._say = recorder, say
        self._leaders = leaders
        self._lock = threading.RLock()
        self._book: RecipeBook | None = None
        self._online = self._ending = False
        self._faults = Faults()
        self._graph = self._output = self._observer = ""
        self._late = self._newest = 0
        self._overflow_until = 0.0
        self._problems: dict[str, str] = {}
        #: Accepted parts without a verdict, the oldest first.
        self._open: dict[int, Part] = {}
        self.waiting = WaitingParts()
        self.events = Events(self.state, self._observer_failed)

    # What the outside may ask.

    def trigger(
        self,
        origin: Origin,
        part_id: int | None = None,
        encoder: int | None = None,
        since: float | None = None,
    ) -> int | ErrorCode:
        """See ``Desk.trigger``.

        A recipe whose parts begin with the frames of a camera in mode ``camera`` accepts no other trigger.
        """
        now = time.perf_counter() if since is None else since
        with self._lock:
            code, recipe = self._take_recipe()
            if recipe is None or self._is_led(recipe.number):
                if recipe is not None:
                    recipe.release()
                    code = ErrorCode.NOT_READY
                self._refuse(origin, part_id, now, code)
                return code
            return self._begin(recipe, origin, part_id, encoder, now, {})

    def request_recipe(self, number: int) -> None:
        """See ``Desk.request_recipe``."""
        if self._book is not None:
            self._book.request(number)
        self.events.changed()

    def clear_error(self) -> None:
        """See ``Desk.clear_error``."""
        with self._lock:
            self._faults.clear()
            self._late, self._overflow_until, self._observer = 0, 0.0, ""
            self.look()

    def state(self) -> StationState:
        """See ``Desk.state``."""
        with self._lock:
            current = None if self._book is None else self._book.current()
            counts = self._counters.counts
            return StationState(
                online=self._online,
                ready=self._why_not() is ErrorCode.NONE,
                busy=bool(self._open),
                recipe=0 if current is None else current.number,
                recipe_name="" if current is None else current.name,
                changing_to=0 if self._book is None else self._book.changing_to,
                fault=bool(self._faults),
                code=self._faults.code,
                message=self._faults.message,
                parts=counts.parts,
                passed=counts.passed,
                anomalous=counts.anomalous,
                unreliable=counts.unreliable,
                suspect=counts.suspect,
                late=counts.late,
                missed=counts.missed,
                queued=len(self.waiting),
                triggered=self._newest,
                cameras=self._problems,
            )

    # What cameras and recipes report.

    def arrived(self, camera: str, request: FrameRequest, since: float) -> None:
        """A frame begins a part, see ``StationCamera.lead``; not in a recipe that another camera leads.

        A frame of mode ``free`` that is not wanted now is nobody's loss: the next one follows.
        """
        free = self._settings.cameras[camera].trigger == "free"
        with self._lock:
            code, recipe = self._take_recipe()
            if recipe is not None:
                if self._leaders[recipe.number] == camera:
                    self._begin(recipe, "free" if free else "camera", None, None, since, {camera: request})
                else:
                    recipe.release()
            elif not free:
                self._refuse("camera", None, since, code)

    def frame_missed(self, since: float, code: ErrorCode) -> None:
        """No part gets a frame, see ``StationCamera.watch``."""
        with self._lock:
            self._refuse("camera", None, since, code)

    def refused(self, missed: Missed) -> None:
        """A trigger was refused before it came here: in a handshake, or at a line that was read too late."""
        with self._lock:
            self._note(missed)

    def output(self, problem: str) -> None:
        """The outputs work, or why they cannot be driven."""
        self._output = problem
        if problem:
            self._say(problem)
        self.look()

    def recipe_changed(self, change: RecipeChange) -> None:
        """A request for a recipe was settled."""
        self._say(change.message)
        with self._lock:
            if change.outcome in ("in force", "reloaded"):
                self._counters.in_force(change.number)
                self._faults.accept("recipe")
            elif change.code:
                self._faults.refuse("recipe", change.code, change.message)
        self.look()

    def challenged(self, lines: list[dict[str, Any]], problem: str) -> None:
        """Challenge sets were run; what is wrong is a fault until it is cleared."""
        for line in lines:
            self._recorder.put(line)
        with self._lock:
            self._faults.hold(ErrorCode.CHALLENGE_LOST, problem)
        self.events.changed()

    # What the engine reports.

    def use(self, book: RecipeBook) -> None:
        """Take the recipes from a book."""
        self._book = book

    def look(self) -> None:
        """See which faults have come and gone; called again and again."""
        problems = self._cameras.problems()  # outside of the lock, since a camera may take its time
        written = self._recorder.look()
        with self._lock:
            current = None if self._book is None else self._book.current()
            self._problems = problems
            if current is not None and not self._ending:
                self._online = self._online or not self._cameras.opening(cameras_of(current))
                lost = [
                    f"Camera {name}: {self._problems[name]}"
                    for name in cameras_of(current)
                    if self._problems[name]
                ]
                self._faults.hold(ErrorCode.CAMERA_LOST, " ".join(lost) if self._online else "")
            if not self.waiting and time.monotonic() >= self._overflow_until:
                self._faults.remove(ErrorCode.QUEUE_OVERFLOW)
            self._faults.hold(ErrorCode.RESULTS_LOST, written)
            self._faults.hold(ErrorCode.GRAPH_FAILED, self._graph)
            outputs = (self.events.stuck, self._output, self._observer)
            self._faults.hold(ErrorCode.OUTPUT_FAILED, " ".join(filter(None, outputs)))
        self.events.changed()

    def graph(self, problem: str) -> None:
        """The graph works, or why it does not."""
        self._graph = problem
        self.look()

    def end(self) -> None:
        """Accept nothing more."""
        self._ending = True
        self.events.changed()

    def close(self) -> None:
        """The station ends: the rest is answered, and the observers take back what they say."""
        with self._lock:
            self._ending, self._online = True, False
            for part in tuple(self._open.values()):
                self._finish(part, ErrorCode.NOT_READY, "The station ended before this part was looked at.")
        self.events.close()

    def settle(self, part: Part, outcomes: Sequence[Outcome]) -> None:
        """The graph has answered for a part."""
        self._pass_on(part, part_result(part, outcomes, self._settings.deadline_ms), outcomes)

    def fail_taken(self, code: ErrorCode, error: str) -> None:
        """Whatever was on the way to the graph gets no answer from it."""
        with self._lock:
            for part in tuple(self._open.values()):
                if part not in self.waiting:
                    self._finish(part, code, error)

    def fail(self, message: str) -> None:
        """Something unforeseen happened; somebody must look."""
        with self._lock:
            self._faults.put(ErrorCode.INTERNAL, message)
        self._say(message)
        self.events.changed()

    def oldest_taken(self) -> float | None:
        """When the oldest part without a verdict was taken, by ``time.perf_counter``; None without one."""
        with self._lock:
            first = next(iter(self._open.values()), None)
            return None if first is None else first.taken

    # With the lock held.

    def _why_not(self) -> ErrorCode:
        """Why no trigger is accepted now."""
        faults = self._faults
        ready = (
            self._online
            and not self._ending
            and self._book is not None
            and self._book.current() is not None
            and not self._book.changing_to
            and ErrorCode.CAMERA_LOST not in faults
            and ErrorCode.GRAPH_FAILED not in faults
            and not self.events.stuck
        )
        if not ready:
            return ErrorCode.NOT_READY
        full = len(self.waiting) >= self._settings.queue
        return ErrorCode.QUEUE_OVERFLOW if full else ErrorCode.NONE

    def _take_recipe(self) -> tuple[ErrorCode, LoadedRecipe | None]:
        """The recipe in force, held for a part; or why no trigger is accepted."""
        code = self._why_not()
        recipe = None if code or self._book is None else self._book.take()
        return (code if recipe is not None else code or ErrorCode.NOT_READY), recipe

    def _is_led(self, recipe: int) -> bool:
        leader = self._leaders[recipe]
        return leader is not None and self._settings.cameras[leader].trigger == "camera"

    def _begin(
        self,
        recipe: LoadedRecipe,
        origin: Origin,
        part_id: int | None,
        encoder: int | None,
        since: float,
        answered: dict[str, FrameRequest],
    ) -> int:
        number = self._counters.next_acquisition()
        trigger = Trigger(
            acquisition_id=number,
            part_id=number if part_id is None else part_id,
            recipe=recipe.number,
            origin=origin,
            time=_wall(since),
            since=since,
            encoder=encoder,
        )
        others = [name for name in cameras_of(recipe) if name not in answered]
        part = Part(trigger, recipe, {**answered, **self._cameras.request(others, since)})
        self._faults.accept("trigger")
        self._open[number] = part
        self._newest = number
        self.waiting.put(part)
        self.events.changed()
        return number

    def _refuse(self, origin: Origin, part_id: int | None, since: float, code: ErrorCode) -> None:
        self._note(Missed(part_id, origin, _wall(since), code))

    def _note(self, missed: Missed) -> None:
        code = missed.code
        self._counters.missed()
        if code is ErrorCode.QUEUE_OVERFLOW:
            self._overflow_until = time.monotonic() + _SHOW_OVERFLOW
            self._faults.put(code, "A trigger came while the queue was full.")
        else:
            self._faults.refuse("trigger", code, _REFUSALS.get(code, "A trigger was refused."))
        self.events.missed(missed)
        self._recorder.put(missed_line(missed))
        self.events.changed()

    def _finish(self, part: Part, code: ErrorCode, error: str) -> None:
        self._pass_on(part, failed_result(part, code, error, self._settings.deadline_ms), ())

    def _pass_on(self, part: Part, result: PartResult, outcomes: Sequence[Outcome]) -> None:
        with self._lock:
            if part.settled:
                return
            part.settled = True
            del self._open[part.trigger.acquisition_id]
            self._counters.part(result)
            self._late = self._late + 1 if result.late else 0
            message = f"{self._late} verdicts in a row came after the deadline."
            self._faults.hold(ErrorCode.LATE, message if self._late >= _LATE_IN_A_ROW else "")
            self.events.part(result)
        part.recipe.release()
        self._recorder.put(part_line(result), outcomes)
        self.events.changed()

    def _observer_failed(self, message: str) -> None:
        self._observer = message
        self._say(message)
        self.look()


_REFUSALS = {
    ErrorCode.NOT_READY: "A trigger came while the station was not ready.",
    ErrorCode.NO_FRAME: "A camera delivered a frame that belongs to no part.",
}


def _wall(since: float) -> float:
    """Seconds since 1970 of a moment by ``time.perf_counter``."""
    return time.time() - (time.perf_counter() - since)
