"""The handshake between a PLC and the station, without threads and sockets.

Trigger   the change of ``Trigger`` from 0 to 1 while ``Ready`` -> ``TriggerAck``, until ``Trigger`` is 0.
Result    words, verdict and ``ResultValid`` -> ``ResultAck`` -> ``ResultValid`` 0 -> ``ResultAck`` 0 -> next.
Recipe    a change of ``RecipeRequest`` -> ``Ready`` 0 -> ``RecipeCurrent`` or ``ErrorCode`` -> ``Ready``.

Whatever goes wrong takes ``Pass`` away from every result that the PLC has not acknowledged, for good.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dmdd_edge.runtime.station.model import Desk, ErrorCode, Missed, Origin, PartResult, StationState
from dmdd_edge.runtime.station.plc.results import ResultChannel
from dmdd_edge.runtime.station.plc.signals import Values, off
from dmdd_edge.runtime.station.settings import PlcSettings

#: Parts of the PLC's triggers in progress and results that wait, together.
WAITING = 16
#: Seconds between two changes of the station's heartbeat.
BEAT = 1.0
#: Seconds between two looks at the clock, and from one to the next when this process stood still in between:
#: what it reads then may have waited in the socket all that time.
_LOOK, _STOOD_STILL = 0.25, 1.25
_RECIPE_REFUSED = (ErrorCode.UNKNOWN_RECIPE, ErrorCode.RECIPE_FAILED)


class Handshake:
    """State of the handshake; not safe for threads: all calls come from one.

    Args:
        settings: how results are acknowledged, and how long things may take.
        desk: the station.
        alive: whether the station's loop really works; called once per second.
        missed: called with each trigger that is refused here, so that the station does not learn of it
            otherwise.
        clock: seconds that never go backwards.
        wall: seconds since 1970 (UTC).
    """

    def __init__(
        self,
        settings: PlcSettings,
        desk: Desk,
        alive: Callable[[], bool],
        missed: Callable[[Missed], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._desk, self._alive, self._missed = desk, alive, missed
        self._clock, self._wall = clock, wall
        self._patience = None if settings.heartbeat_ms is None else settings.heartbeat_ms / 1000
        self._results = ResultChannel(settings)
        self._in = off("command")
        self._station = StationState()
        self._turning, self._beat, self._beat_due = False, 0, clock()
        self._ticked = clock()
        #: When the PLC's heartbeat changed last; None while it is lost.
        self._heard: float | None = None
        self._armed = False
        self._ack = 0
        self._open: set[int] = set()
        self._fault = ErrorCode.NONE
        self._refused = ErrorCode.NONE
        self._overflow = False
        self._recipe, self._recipe_begun = 0, False
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether a trigger of the PLC is accepted now."""
        return bool(
            self._sound
            and self._station.ready
            and self._in["TriggerEnable"]
            and self._armed
            and not self._lost
            and not self._recipe
            and len(self._open) + len(self._results) < WAITING
        )

    @property
    def _sound(self) -> bool:
        station = self._station
        return station.online and not station.fault and self._turning and not self._fault and not self._closed

    @property
    def _lost(self) -> bool:
        return self._patience is not None and self._heard is None

    def begin(self) -> None:
        """Read the state of the station for the first time."""
        self._look()
        self.tick()

    def write(self, values: Values, origin: Origin, since: float | None = None) -> None:
        """Take the commands of one request of a client.

        Args:
            values: the signals that the request wrote, changed or not.
            origin: how they came.
            since: when they came, by ``time.perf_counter``; None is now.
        """
        if self._closed:
            return
        now = self._clock()
        self.tick()
        old, self._in = self._in, {**self._in, **values}
        changed = {name for name, value in self._in.items() if value != old[name]}
        risen = {name for name in changed if self._in[name]}
        if "Heartbeat" in changed:
            self._heard = now
        if "ClearError" in risen:
            self._clear(now)
        self._results.acknowledge(bool(self._in["ResultAck"]), now)
        self._look_for_acknowledgment()
        if "RecipeRequest" in changed:
            self._request_recipe(self._in["RecipeRequest"])
        if "Trigger" in risen:
            self._trigger(origin, since)
        elif not self._in["Trigger"]:
            self._ack = 0
        self._arm(values)

    def _arm(self, written: Values) -> None:
        """Demand that ``Trigger`` is seen at 0 after a start, a lost heartbeat, a standstill, and without
        ``TriggerEnable``.

        A PLC that was in the middle of a trigger when the connection was lost writes 1 as soon as it is back;
        its part has left by then.
        """
        if not self._in["TriggerEnable"]:
            self._armed = False
        elif not self._in["Trigger"] and not self._lost and {"Trigger", "TriggerEnable"} & set(written):
            self._armed = True

    def _trigger(self, origin: Origin, since: float | None) -> None:
        part_id = self._in["PartID"] or None
        if not self.ready:
            self._refuse(ErrorCode.NOT_READY)
            self._missed(Missed(part_id, origin, self._wall(), ErrorCode.NOT_READY))
            return
        answer = self._desk.trigger(origin, part_id, self._in["EncoderCount"] or None, since)
        # An error code is a number too.
        if isinstance(answer, ErrorCode):
            self._refuse(answer)
        else:
            self._ack, self._refused = 1, ErrorCode.NONE
            self._open.add(answer)

    def _refuse(self, code: ErrorCode) -> None:
        self._refused = code
        self._overflow |= code is ErrorCode.QUEUE_OVERFLOW

    def _request_recipe(self, number: int) -> None:
        self._recipe, self._recipe_begun = number, False
        if number:
            self._desk.request_recipe(number)
            self._look()

    def _clear(self, now: float) -> None:
        self._fault = self._refused = ErrorCode.NONE
        self._overflow, self._recipe = False, 0
        self._results.forgive(now)
        self._desk.clear_error()
        self._look()

    def part(self, part: PartResult) -> None:
        """A part has its verdict."""
        own = part.trigger.acquisition_id in self._open
        self._open.discard(part.trigger.acquisition_id)
        # Room for the parts of the PLC's triggers is kept; others (a camera's) must fit beside them.
        if not own and len(self._open) + len(self._results) >= WAITING:
            self._overflow = True
            self._fail(ErrorCode.QUEUE_OVERFLOW)
            return
        self._results.add(part)
        if not self._sound:
            self._results.withdraw()
        self.tick()

    def missed(self, missed: Missed) -> None:
        """The station refused a trigger."""
        self._refuse(missed.code)

    def changed(self, state: StationState) -> None:
        """The station's state was this; what it is now is read from the desk, which may be ahead."""
        if state.fault or not state.online:
            self._results.withdraw()
        self._look()

    def _look(self) -> None:
        self._station = state = self._desk.state()
        if state.fault or not state.online:
            self._results.withdraw()
        self._overflow |= state.code is ErrorCode.QUEUE_OVERFLOW
        if self._recipe and state.changing_to == self._recipe:
            self._recipe_begun = True
        elif self._recipe_begun or state.recipe == self._recipe or state.code in _RECIPE_REFUSED:
            self._recipe, self._recipe_begun = 0, False

    def fail(self) -> None:
        """Something unforeseen happened to the one who calls; nothing may pass until somebody has looked."""
        self._fail(ErrorCode.INTERNAL)

    def _fail(self, code: ErrorCode) -> None:
        self._fault = code
        self._results.withdraw()

    def close(self) -> None:
        """Everything is 0 from now on."""
        self._closed = True

    def tick(self) -> None:
        """Do what the time demands; see ``due``."""
        now = self._clock()
        if (
            now >= self._ticked + _STOOD_STILL
        ):  # a process that was stopped, or a computer without time for it
            self._armed = False
            self._results.withdraw()
        self._ticked = now
        if now >= self._beat_due:
            self._beat_due = now + BEAT
            self._turning = self._alive()
            self._beat ^= self._turning
            if not self._turning:
                self._results.withdraw()
        if self._patience is not None and self._heard is not None and now >= self._heard + self._patience:
            self._heard, self._armed = None, False
        self._results.step(now)
        self._look_for_acknowledgment()

    def _look_for_acknowledgment(self) -> None:
        if not self._results.overdue:
            if self._fault is ErrorCode.NOT_ACKNOWLEDGED:
                self._fault = ErrorCode.NONE  # the PLC reads results again
        elif not self._fault:
            self._fail(ErrorCode.NOT_ACKNOWLEDGED)

    def due(self) -> float:
        """When ``tick`` must be called next, by the clock."""
        times = [self._beat_due, self._ticked + _LOOK, self._results.due()]
        if self._patience is not None and self._heard is not None:
            times.append(self._heard + self._patience)
        return min(each for each in times if each is not None)

    def commands(self) -> dict[str, int]:
        """The PLC's signals."""
        return dict(self._in)

    def outputs(self) -> dict[str, int]:
        """The station's signals."""
        if self._closed:
            return off("status")
        station, fault = self._station, bool(self._fault or self._station.fault)
        code = self._fault or (station.fault and station.code) or self._refused or station.code
        return {
            **self._results.outputs(),
            "Online": int(station.online and self._turning),
            "Ready": int(self.ready),
            "TriggerAck": self._ack,
            "Busy": int(station.busy or bool(self._open)),
            "QueueOverflow": int(self._overflow),
            "Fault": int(fault),
            "Heartbeat": self._beat,
            "ErrorCode": int(code or (ErrorCode.PLC_LOST if self._lost else ErrorCode.NONE)),
            "RecipeCurrent": station.recipe & 0xFFFF,
        }
