"""The lines of a station on a chip in memory: what is driven, in which order, and what is refused."""

from __future__ import annotations

import errno
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

gpiod = pytest.importorskip("gpiod")
if not hasattr(gpiod, "request_lines"):
    pytest.skip("gpiod is version 1", allow_module_level=True)

from dmdd_edge.errors import DmddError  # noqa: E402
from dmdd_edge.runtime.station.gpio import Gpio, check_gpio  # noqa: E402
from dmdd_edge.runtime.station.model import ErrorCode, Missed, Origin, StationState  # noqa: E402
from dmdd_edge.runtime.station.settings import GpioSettings, LineSettings  # noqa: E402
from tests.runtime.station.gpio.desk import FakeDesk, verdict  # noqa: E402
from tests.runtime.station.gpio.fake_chip import Board, FakeChip, FakeRequest, chip_in_memory  # noqa: E402

READY, PASS, REJECT, FAULT, TRIGGER = range(5)
WORKING = StationState(online=True, ready=True)


def driven(board: Board) -> list[tuple[int, int]]:
    """Each line and level that was driven, in order."""
    return [(offset, level) for _, offset, level in board.history]


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    return chip_in_memory(monkeypatch)


def lines(**changes: object) -> GpioSettings:
    """Every line held, and fault active at 0 V."""
    values = {
        "ready": LineSettings(line=READY),
        "pass_": LineSettings(line=PASS),
        "reject": LineSettings(line=REJECT),
        "fault": LineSettings(line=FAULT, active="low"),
        "trigger": LineSettings(line=TRIGGER),
    }
    return GpioSettings(**{**values, **changes})


class Station:
    """The lines, and what surrounds them."""

    def __init__(self, board: Board) -> None:
        self.board, self.desk = board, FakeDesk()
        self.unseen: list[Missed] = []
        self.trouble: list[str] = []
        self.gpio: Gpio | None = None

    def open(self, settings: GpioSettings) -> Gpio:
        self.gpio = Gpio(settings, self.desk, self.unseen.append, self.trouble.append)
        return self.gpio

    def until(self, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < limit, (self.board.levels, self.desk.times, self.trouble)
            time.sleep(0.002)

    def verdict(self, number: int, good: bool = True, origin: Origin = "gpio") -> None:
        self.gpio.part(verdict(number, good, origin))


@pytest.fixture
def station(board: Board) -> Iterator[Station]:
    station = Station(board)
    yield station
    if station.gpio is not None:
        station.gpio.close()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (FakeChip.request_lines, gpiod.Chip.request_lines),
        (FakeChip.get_line_info, gpiod.Chip.get_line_info),
        (FakeChip.line_offset_from_id, gpiod.Chip.line_offset_from_id),
        (FakeChip.__init__, gpiod.Chip.__init__),
        (FakeRequest.set_values, gpiod.LineRequest.set_values),
        (FakeRequest.get_values, gpiod.LineRequest.get_values),
        (FakeRequest.wait_edge_events, gpiod.LineRequest.wait_edge_events),
        (FakeRequest.read_edge_events, gpiod.LineRequest.read_edge_events),
        (FakeRequest.release, gpiod.LineRequest.release),
    ],
)
def test_the_chip_in_memory_has_the_interface_of_the_package(ours: Callable, theirs: Callable) -> None:
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


def test_the_first_levels_are_safe_ones(station: Station, board: Board) -> None:
    station.open(lines())
    assert driven(board) == [(READY, 0), (PASS, 0), (REJECT, 1), (FAULT, 1)]  # fault is active at 0 V
    assert board.settings[TRIGGER].debounce_period.total_seconds() == 0.001
    assert board.settings[TRIGGER].edge_detection == gpiod.line.Edge.RISING


def test_an_edge_triggers_with_its_stamp_and_the_verdict_is_shown(station: Station, board: Board) -> None:
    gpio = station.open(lines())
    gpio.changed(WORKING)
    board.wait(lambda: board.levels[READY] == 1)
    stamp = time.perf_counter() - 0.25
    board.edge(TRIGGER, stamp)
    station.until(lambda: station.desk.last == 1)
    assert station.desk.times == [pytest.approx(stamp, abs=1e-6)]
    station.verdict(1)
    board.wait(lambda: (board.levels[PASS], board.levels[REJECT]) == (1, 0))
    board.edge(TRIGGER)
    board.wait(lambda: (board.levels[PASS], board.levels[REJECT]) == (0, 1))
    station.verdict(2, good=False)
    gpio.changed(StationState(online=True, fault=True))
    board.wait(lambda: (board.levels[READY], board.levels[FAULT]) == (0, 0))
    assert board.levels[PASS] == 0


def test_a_refused_trigger_is_answered_in_its_place(station: Station, board: Board) -> None:
    pulses = lines(
        pass_=LineSettings(line=PASS, pulse_ms=20), reject=LineSettings(line=REJECT, pulse_ms=20), fault=None
    )
    gpio = station.open(pulses)
    gpio.changed(WORKING)
    for refused in (False, True, False):
        station.desk.code = ErrorCode.QUEUE_OVERFLOW if refused else None
        count = station.desk.answered
        board.edge(TRIGGER)
        station.until(lambda count=count: station.desk.answered == count + 1)
    station.verdict(1)
    # A pulse of ``pass`` that begins before the one before has ended would be one with it.
    board.wait(lambda: (REJECT, 1) in driven(board) and driven(board).count((PASS, 0)) == 2)
    station.verdict(2)
    board.wait(lambda: driven(board).count((PASS, 0)) == 3)  # the first level, and the end of each pulse
    begun = [offset for offset, level in driven(board) if level == 1 and offset in (PASS, REJECT)]
    assert begun == [PASS, REJECT, PASS]


def test_a_verdict_that_comes_while_a_later_part_waits_passes_on_no_held_line(
    station: Station, board: Board
) -> None:
    gpio = station.open(lines())
    gpio.changed(WORKING)
    for number in (1, 2):
        board.edge(TRIGGER)
        station.until(lambda number=number: station.desk.last == number)
    station.verdict(1)
    station.verdict(2)
    board.wait(lambda: board.levels[PASS] == 1)
    assert [level for _, offset, level in board.history if offset == PASS] == [0, 1]


def test_the_trigger_of_another_origin_takes_a_held_pass_back(station: Station, board: Board) -> None:
    gpio = station.open(lines())
    gpio.changed(StationState(online=True, ready=True, triggered=1))
    station.verdict(1, origin="modbus")
    gpio.changed(StationState(online=True, ready=True, triggered=1, parts=1))
    board.wait(lambda: board.levels[PASS] == 1)
    gpio.changed(StationState(online=True, ready=True, triggered=2, parts=1))
    board.wait(lambda: board.levels[PASS] == 0)
    gpio.missed(Missed(None, "modbus", time.time(), ErrorCode.NOT_READY))
    station.verdict(2, origin="modbus")
    board.wait(lambda: board.levels[PASS] == 1)


def test_a_later_trigger_of_another_origin_keeps_an_older_verdict_off_a_held_line(
    station: Station, board: Board
) -> None:
    """Also where ids begin again after the largest."""
    gpio = station.open(lines())
    gpio.changed(StationState(online=True, ready=True, triggered=2**31 - 1))
    gpio.changed(StationState(online=True, ready=True, triggered=1))
    station.verdict(2**31 - 1, origin="modbus")
    station.verdict(1, origin="modbus")
    board.wait(lambda: board.levels[PASS] == 1)
    assert [level for offset, level in driven(board) if offset == PASS] == [0, 1]
    # A state that is reported late, after the verdict on its newest part, takes nothing back.
    gpio.changed(StationState(online=True, ready=True, triggered=1, parts=2))
    gpio.changed(StationState(online=True, triggered=1, parts=2))
    board.wait(lambda: board.levels[READY] == 0)
    assert board.levels[PASS] == 1


def test_lost_and_old_edges_are_reported_and_rejected(station: Station, board: Board) -> None:
    gpio = station.open(lines(reject=LineSettings(line=REJECT, pulse_ms=1)))
    gpio.changed(WORKING)
    board.edge(TRIGGER, lost=2)
    station.until(lambda: len(station.unseen) == 2)
    station.until(lambda: station.desk.last == 1)
    board.edge(TRIGGER, time.perf_counter() - 30)
    station.until(lambda: len(station.unseen) == 3)
    assert {each.code for each in station.unseen} == {ErrorCode.QUEUE_OVERFLOW}
    assert time.time() - station.unseen[2].time == pytest.approx(30, abs=5)
    assert station.desk.last == 1
    board.wait(lambda: board.levels[REJECT] == 0)
    assert (PASS, 1) not in driven(board)


def test_lines_that_are_lost_are_taken_again(station: Station, board: Board) -> None:
    gpio = station.open(lines())
    gpio.changed(WORKING)
    board.wait(lambda: board.levels[READY] == 1)
    station.verdict(1)
    board.wait(lambda: board.levels[PASS] == 1)
    board.broken = errno.ENODEV
    board.edge(TRIGGER)
    station.until(lambda: any("cannot be driven: No such device." in text for text in station.trouble))
    station.until(lambda: any("cannot be read: No such device." in text for text in station.trouble))
    gpio.changed(StationState(online=True, ready=False, fault=True))
    board.broken = 0
    station.until(lambda: station.trouble[-1] == "")
    board.wait(lambda: [board.levels[line] for line in (READY, PASS, REJECT, FAULT)] == [0, 0, 1, 0])


def test_the_end_is_safe_and_a_due_reject_still_comes(station: Station, board: Board) -> None:
    gpio = station.open(lines(reject=LineSettings(line=REJECT, pulse_ms=5, delay_ms=100)))
    gpio.changed(WORKING)
    board.wait(lambda: board.levels[READY] == 1)
    station.verdict(1, good=False)
    gpio.close()
    gpio.close()
    changes = driven(board)
    assert changes.index((READY, 0), 4) < changes.index((REJECT, 1)) < len(changes) - 1
    assert board.levels == {READY: 0, PASS: 0, REJECT: 0, FAULT: 1}
    assert board.consumers == {}


@pytest.mark.parametrize(
    ("settings", "prepare", "words"),
    [
        (
            lines(),
            {"consumers": {PASS: "lamp"}},
            "line 1 of /dev/gpiochip0 is in use by 'lamp'.",
        ),
        (lines(ready=LineSettings(line=9)), {}, "has no line 9; it has 8, from 0 to 7."),
        (lines(ready=LineSettings(line="GPIO7")), {}, "has no line 'GPIO7'"),
        (lines(ready=LineSettings(line=PASS)), {}, "line 1 is also that of [gpio.ready]."),
        (lines(), {"broken": errno.ENOENT}, "[gpio] chip: no device at /dev/gpiochip0."),
        (lines(), {"broken": errno.ENOTTY}, "/dev/gpiochip0 is not a GPIO chip."),
        (lines(), {"broken": errno.EACCES}, "this user may not open /dev/gpiochip0."),
    ],
)
def test_what_cannot_be_used_is_named_once(
    board: Board, settings: GpioSettings, prepare: dict[str, object], words: str
) -> None:
    for name, value in prepare.items():
        setattr(board, name, value)
    (problem,) = check_gpio(settings)
    assert words in problem.message
    assert problem.fix.endswith(".") or "gpioinfo" in problem.fix
    with pytest.raises(DmddError) as raised:
        Gpio(settings, FakeDesk())
    assert raised.value.message == problem.message
    assert board.history == []  # checking drives nothing


def test_all_is_well(board: Board) -> None:
    board.names[7] = "GATE"
    assert check_gpio(lines(reject=LineSettings(line="GATE"))) == []
    assert board.history == []


def test_the_old_package_of_debian_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("gpiod")
    old.__file__ = "/usr/lib/python3/dist-packages/gpiod.so"
    monkeypatch.setitem(sys.modules, "gpiod", old)
    (problem,) = check_gpio(lines())
    assert "/usr/lib/python3/dist-packages/gpiod.so is version 1" in problem.message
    assert "pip install" in problem.fix
