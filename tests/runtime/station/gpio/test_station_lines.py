"""A whole station with its lines on a chip in memory: from the edge to the level."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

pytest.importorskip("gpiod")

from dmdd_edge.runtime.station.gpio import Gpio
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.settings import GpioSettings, LineSettings, StationSettings
from tests.runtime.station.gpio.fake_chip import Board, chip_in_memory
from tests.runtime.station.running import Camera, Running, frame, opened, running, wait_until
from tests.runtime.station.test_engine import plain as plain_station

plain = plain_station
READY, PASS, REJECT, TRIGGER = range(4)
LINES = GpioSettings(
    ready=LineSettings(line=READY),
    pass_=LineSettings(line=PASS),
    reject=LineSettings(line=REJECT),
    trigger=LineSettings(line=TRIGGER),
)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    return chip_in_memory(monkeypatch)


@contextmanager
def with_lines(station: Running) -> Iterator[Gpio]:
    desk = station.desk
    with closing(Gpio(LINES, desk, desk.refused, desk.output)) as gpio:
        station.desk.events.observe(gpio)
        yield gpio


def levels(board: Board) -> tuple[int, ...]:
    return tuple(board.levels[line] for line in (READY, PASS, REJECT))


def test_an_edge_becomes_a_part_and_its_verdict_a_level(plain: StationSettings, board: Board) -> None:
    camera = Camera()
    with running(plain, {"top": camera}) as station, with_lines(station):
        board.wait(lambda: levels(board) == (1, 0, 1))
        stamp = time.perf_counter()
        board.edge(TRIGGER, stamp)
        board.wait(lambda: levels(board) == (1, 1, 0))
        [part] = station.verdicts(1)
        assert part.trigger.origin == "gpio"
        assert part.trigger.since == pytest.approx(stamp, abs=1e-6)
        camera.level = 200
        board.edge(TRIGGER)
        station.verdicts(2)
        board.wait(lambda: levels(board) == (1, 0, 1))
        camera.level = 30
        for number in (3, 4):
            board.edge(TRIGGER)
            station.verdicts(number)
            board.wait(lambda: levels(board) == (1, 1, 0))
    assert levels(board) == (0, 0, 1)


def test_no_part_passes_before_the_station_is_warm(plain: StationSettings, board: Board) -> None:
    with opened(plain, {"top": Camera()}) as station, with_lines(station):
        board.edge(TRIGGER)
        board.wait(lambda: not board.events)
        station.start()
        board.wait(lambda: levels(board) == (1, 0, 1))
        assert [missed.code for missed in station.notes.misses] == [ErrorCode.NOT_READY]
    assert [level for _, line, level in board.history if line == PASS] == [0]


def test_a_trigger_of_the_plc_takes_back_what_a_held_line_says(plain: StationSettings, board: Board) -> None:
    camera = Camera()
    with running(plain, {"top": camera}) as station, with_lines(station):
        board.wait(lambda: levels(board) == (1, 0, 1))
        station.trigger()
        station.verdicts(1)
        board.wait(lambda: levels(board)[1:] == (1, 0))
        camera.answers = None  # it keeps the next part waiting
        station.trigger()
        board.wait(lambda: levels(board)[1:] == (0, 1))
        camera.requests[0].give(frame())
        station.verdicts(2)
        board.wait(lambda: levels(board)[1:] == (1, 0))


def test_lines_that_are_lost_are_a_fault_as_long_as_they_are(plain: StationSettings, board: Board) -> None:
    with running(plain, {"top": Camera()}) as station, with_lines(station):
        board.wait(lambda: levels(board) == (1, 0, 1))
        board.broken = errno.ENODEV
        station.trigger()
        wait_until(lambda: station.desk.state().fault, "the fault")
        state = station.desk.state()
        assert state.code is ErrorCode.OUTPUT_FAILED
        assert state.message.startswith("The 24 V outputs of /dev/gpiochip0 cannot be driven: ")
        station.desk.clear_error()
        assert station.desk.state().fault
        board.broken = 0
        wait_until(lambda: not station.desk.state().fault, "the end of the fault")
        station.trigger()
        board.wait(lambda: levels(board) == (1, 1, 0))


def test_an_edge_that_is_read_too_late_is_a_missed_part(plain: StationSettings, board: Board) -> None:
    with running(plain, {"top": Camera()}) as station, with_lines(station):
        board.edge(TRIGGER, time.perf_counter() - 60)
        wait_until(lambda: bool(station.notes.misses), "the missed part")
        [missed] = station.notes.misses
        assert (missed.origin, missed.code) == ("gpio", ErrorCode.QUEUE_OVERFLOW)
        assert station.desk.state().missed == 1
        assert station.notes.parts == []
