"""What the parts of a station pass to each other: triggers, results of parts, errors, the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, Protocol

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result, Status
from dmdd_edge.runtime.sources import SourceState

if TYPE_CHECKING:
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.station.settings import InspectionSettings

#: How a part may be triggered.
TriggerMode = Literal["free", "camera", "software", "newest"]
#: Who triggered a part.
Origin = Literal["free", "camera", "modbus", "opcua", "gpio", "page", "command", "simulation"]


class ErrorCode(IntEnum):
    """The word ``ErrorCode`` that a PLC reads; the numbers never change their meaning."""

    NONE = 0
    #: A trigger came while the station was not ready; the part was not looked at.
    NOT_READY = 1
    #: A trigger came while the queue was full; the part was not looked at.
    QUEUE_OVERFLOW = 2
    #: The recipe that was requested is not in the station file.
    UNKNOWN_RECIPE = 3
    #: A bundle of the requested recipe cannot be loaded; the old recipe stays.
    RECIPE_FAILED = 4
    #: A camera is lost.
    CAMERA_LOST = 5
    #: A camera delivered no frame for a trigger in time.
    NO_FRAME = 6
    #: The frame of a trigger could not be read or prepared.
    BROKEN_FRAME = 7
    #: The graph failed.
    GRAPH_FAILED = 8
    #: Results came after the deadline, three in a row.
    LATE = 9
    #: Results cannot be written.
    RESULTS_LOST = 10
    #: The PLC did not acknowledge a result, and later results wait.
    NOT_ACKNOWLEDGED = 11
    #: A 24 V line or another output cannot be driven.
    OUTPUT_FAILED = 12
    #: The PLC's heartbeat does not change; no trigger is accepted until it does.
    PLC_LOST = 13
    #: A known-bad part of a challenge set is not found, or the set cannot be run.
    CHALLENGE_LOST = 14
    #: Anything else; the log tells.
    INTERNAL = 99


@dataclass(frozen=True)
class Trigger:
    """One part's trigger.

    Attributes:
        acquisition_id: counted by the station from 1, never twice, also over restarts.
        part_id: number that the PLC gave with the trigger; the acquisition id when it gave none.
        recipe: number of the recipe in force at the trigger.
        origin: who triggered.
        time: of the trigger, in seconds since 1970 (UTC).
        since: of the trigger, by ``time.perf_counter``.
        encoder: the PLC's encoder count; None when it sends none.
    """

    acquisition_id: int
    part_id: int
    recipe: int
    origin: Origin
    time: float
    since: float
    encoder: int | None = None


@dataclass(frozen=True)
class InspectionResult:
    """What one inspection found on a part.

    Attributes:
        name: of the inspection.
        camera: name of its camera.
        region: x, y, width, height in pixels of the camera's image that was judged; None is all of it.
        result: the detector's, with regions in pixels of what was judged; None when nothing was judged.
        error: why nothing was judged; empty otherwise.
        code: of that error.
    """

    name: str
    camera: str
    region: tuple[int, int, int, int] | None
    result: Result | None
    error: str = ""
    code: ErrorCode = ErrorCode.NONE


@dataclass(frozen=True)
class PartResult:
    """The verdict on one part.

    Attributes:
        trigger: the trigger.
        recipe_name: name of the recipe.
        status: of any inspection the first of anomalous, unreliable (also not judged), suspect, good.
        late: whether the verdict came after the deadline, so that the part does not pass.
        inspections: what each inspection of the recipe found, in the recipe's order.
        latency_ms: from the trigger to the verdict.
        code: of the first inspection that was not judged.
    """

    trigger: Trigger
    recipe_name: str
    status: Status
    late: bool
    inspections: tuple[InspectionResult, ...]
    latency_ms: float
    code: ErrorCode = ErrorCode.NONE

    @property
    def passed(self) -> bool:
        """Whether the part passes: judged good, and in time."""
        return self.status == "good" and not self.late

    @property
    def has_band(self) -> bool:
        """Whether an inspection has a band."""
        return any(each.result and each.result.suspect_threshold is not None for each in self.inspections)

    @property
    def score(self) -> float:
        """Highest normalized score of its inspections, 0..1; 1 when one of them was not judged."""
        scores = [1.0 if each.result is None else each.result.normalized_score for each in self.inspections]
        return max((1.0 if score != score else score for score in scores), default=1.0)

    @property
    def region_count(self) -> int:
        """Number of anomalous or suspect regions of all inspections."""
        return sum(len(each.result.regions) for each in self.inspections if each.result is not None)


@dataclass(frozen=True)
class Missed:
    """A trigger that was not looked at.

    Attributes:
        part_id: number that the PLC gave with it; None when it gave none.
        origin: who triggered.
        time: in seconds since 1970 (UTC).
        code: why.
    """

    part_id: int | None
    origin: Origin
    time: float
    code: ErrorCode


@dataclass(frozen=True)
class StationState:
    """State of a station at one moment.

    Attributes:
        online: whether parts are judged at all; false while it starts and when it ends.
        ready: whether a trigger is accepted now.
        busy: whether parts are in progress.
        recipe: number of the recipe in force; 0 before the first is loaded.
        recipe_name: its name.
        changing_to: number of the recipe that is being loaded; 0 when none is.
        fault: whether somebody must look; cleared by ``Desk.clear_error``, or when its cause has gone.
        code: of the fault, or of the last request that was refused.
        message: a sentence for a person; empty when all is well.
        parts, passed, anomalous, suspect, unreliable, late, missed: counts over all restarts.
        queued: triggers that wait.
        triggered: acquisition id of the newest trigger that was accepted; 0 before the first.
        cameras: of each camera, an empty text, or what is wrong with it.
    """

    online: bool = False
    ready: bool = False
    busy: bool = False
    recipe: int = 0
    recipe_name: str = ""
    changing_to: int = 0
    fault: bool = False
    code: ErrorCode = ErrorCode.NONE
    message: str = ""
    parts: int = 0
    passed: int = 0
    anomalous: int = 0
    suspect: int = 0
    unreliable: int = 0
    late: int = 0
    missed: int = 0
    queued: int = 0
    triggered: int = 0
    cameras: Mapping[str, str] = field(default_factory=dict)


class Desk(Protocol):
    """What the outside (a PLC, a 24 V line, the page, an MQTT command) may ask of a station.

    Every call returns at once, from any thread.
    """

    def trigger(
        self,
        origin: Origin,
        part_id: int | None = None,
        encoder: int | None = None,
        since: float | None = None,
    ) -> int | ErrorCode:
        """Look at a part now.

        Args:
            origin: who triggers.
            part_id: number of the part; None gives it the acquisition id.
            encoder: the PLC's encoder count.
            since: when the trigger happened, by ``time.perf_counter``, where that is known better than by
                the call, such as the kernel's time stamp of an edge; None is now.

        Returns:
            The acquisition id (from 1) when the trigger is accepted, or the error code when it is not;
            ``isinstance(answer, ErrorCode)`` tells.
        """
        ...

    def request_recipe(self, number: int) -> None:
        """Load a recipe and change to it; the state tells when that is done, or why it cannot be done."""
        ...

    def clear_error(self) -> None:
        """Forget the fault, if its cause has gone."""
        ...

    def state(self) -> StationState:
        """The state now."""
        ...


class Observer(Protocol):
    """Gets whatever a station does; called in order, from one thread, and must return at once."""

    def part(self, part: PartResult) -> None:
        """A part has its verdict."""
        ...

    def missed(self, missed: Missed) -> None:
        """A trigger was refused."""
        ...

    def changed(self, state: StationState) -> None:
        """The state is another one."""
        ...

    def close(self) -> None:
        """The station ends: whatever says *pass* or *ready* is taken back. May be called twice."""
        ...


class FrameRequest(Protocol):
    """A frame that was requested; answered once."""

    def wait(self, seconds: float) -> Frame | BrokenFrame | None:
        """Wait for the frame.

        Returns:
            The frame; a broken one when the camera delivered one that cannot be read, delivered none for this
            trigger, or is lost (``frame_errors.code_of`` tells which); None when nothing came in time, after
            which the request is withdrawn, so that one that comes too late never answers the next request.
        """
        ...


class StationCamera(Protocol):
    """A camera of a station: one frame per trigger, none lost in silence.

    Attributes:
        name: in the station file.
        mode: how it is triggered. ``free``: the newest frame, whenever the graph is free for it.
            ``camera``: each frame is a part, held in order in a bounded queue.
            ``software``: the station fires the camera.
            ``newest``: the first frame that was grabbed after the trigger.
    """

    name: str
    mode: TriggerMode

    def request(self, since: float) -> FrameRequest:
        """Ask for the frame of a trigger; returns at once. Requests are answered in order.

        Args:
            since: of the trigger, by ``time.perf_counter``.
        """
        ...

    def lead(self, arrived: Callable[[FrameRequest, float], None]) -> None:
        """Call ``arrived`` with each frame that begins a part, already answered, and when it was grabbed.

        Only in the modes ``free`` and ``camera``; called from the camera's thread. Set it before ``start``.
        In mode ``free`` the next call follows when this request was waited for, and until then a newer frame
        replaces its frame.
        """
        ...

    def watch(self, missed: Callable[[float, ErrorCode], None]) -> None:
        """Call ``missed`` with each frame of mode ``camera`` that no part gets: when it was grabbed, and why.

        ``QUEUE_OVERFLOW``: it came while the queue was full. ``NO_FRAME``: the camera that begins the parts
        delivered no frame that belongs to it. Called from the camera's threads. Set it before ``start``.
        """
        ...

    def start(self) -> None:
        """Open the camera, and begin to take frames.

        Raises:
            DmddError: the camera cannot be opened.
        """
        ...

    def stop(self) -> None:
        """Release the camera; open requests are answered with None. From any thread, any number of times."""
        ...

    def state(self) -> SourceState:
        """The current state; from any thread."""
        ...


class LoadedRecipe(Protocol):
    """A recipe whose bundles are loaded, verified and warm.

    Each detector has its inspection's thresholds; those with one ``backend`` may go through it as one batch.
    """

    @property
    def number(self) -> int:
        """Its number in the station file."""
        ...

    @property
    def name(self) -> str:
        """Its name in the station file."""
        ...

    @property
    def inspections(self) -> Sequence[tuple[InspectionSettings, Detector]]:
        """Its inspections, in order, each with its detector."""
        ...

    def hold(self) -> None:
        """Keep its detectors open until as many calls of ``release``: a part is in progress.

        For a recipe that is held already; ``RecipeBook.take`` holds the one in force.
        """
        ...

    def release(self) -> None:
        """See ``hold``; the recipe book may close the detectors after the last one."""
        ...


class RecipeBook(Protocol):
    """The recipes of a station; at most ``keep_warm`` of them are loaded."""

    def current(self) -> LoadedRecipe | None:
        """The recipe in force; None before the first is loaded."""
        ...

    def take(self) -> LoadedRecipe | None:
        """The recipe in force, held for one part: at its trigger, so that no change of recipe reaches it.

        Whoever takes it calls its ``release`` when the part has its verdict.
        """
        ...

    @property
    def changing_to(self) -> int:
        """Number of the recipe that was requested last and is not in force yet; 0 when none is."""
        ...

    def request(self, number: int) -> None:
        """Load a recipe in another thread and change to it; returns at once. See ``StationState``."""
        ...

    def reload(self) -> None:
        """Load the bundles of the recipe in force again and change to them; returns at once."""
        ...

    def close(self) -> None:
        """Close every detector."""
        ...
