"""Output to a stream that is full, stands still or is gone."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dmdd_edge.messages import outlet as module
from dmdd_edge.messages.outlet import Outlet, write_all


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):  # the test closed it
            os.close(descriptor)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.01)


def _read_all(descriptor: int) -> bytes:
    found = b""
    while chunk := os.read(descriptor, 1 << 16):
        found += chunk
    return found


def _notice(lines: int) -> bytes:
    return b"%d left out\n" % lines


def test_pieces_arrive_in_order(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], 10, "new")
    for number in range(5):
        outlet.put(b"%d\n" % number)
        outlet.flush()
    assert outlet.close(10)
    os.close(pipe[1])
    assert _read_all(pipe[0]) == b"0\n1\n2\n3\n4\n"


def test_a_pipe_that_nobody_reads_stops_nobody_and_the_gap_is_counted(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], 4, "new", _notice)
    line = b"x" * 4095 + b"\n"  # 16 of them fill a pipe
    for _ in range(1000):
        outlet.put(line)
        outlet.flush()
    assert not outlet.wait(0)
    assert outlet.error is None
    assert outlet.still_for > 0
    found = b""
    while not found.endswith(b"left out\n"):  # now somebody reads
        found += os.read(pipe[0], 1 << 16)
    *whole, notice, end = found.split(b"\n")
    assert (notice, end) == (b"%d left out" % outlet.lost, b"")
    assert outlet.lost == 1000 - len(whole)
    assert {len(text) for text in whole} == {4095}
    outlet.put(b"goes on\n")
    assert outlet.close(10)
    assert os.read(pipe[0], 100) == b"goes on\n"


def test_what_a_full_disk_refused_is_written_later(tmp_path: Path) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    outlet = Outlet(descriptor, 10, "new")
    outlet.put(b"first\n")
    outlet.put(b"second\n")
    assert not outlet.wait(10)
    assert outlet.error is not None
    assert outlet.error.errno == errno.ENOSPC
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(file, descriptor)
    assert outlet.close(10)
    assert (tmp_path / "log").read_bytes() == b"first\nsecond\n"
    assert outlet.lost == 0
    os.close(file)
    os.close(descriptor)


def test_the_oldest_go_but_not_the_rest_of_one_that_is_half_written(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], 3, "old")
    outlet.put(b"a" * 100_000 + b"\n")  # more than a pipe holds
    for number in range(5):
        outlet.put(b"%d\n" % number)
    assert outlet.waiting == 3
    assert outlet.lost == 3
    found = b""
    while not found.endswith(b"\n4\n"):
        found += os.read(pipe[0], 1 << 16)
    assert found == b"a" * 100_000 + b"\n3\n4\n"


def test_at_the_end_a_stream_that_takes_nothing_is_not_waited_for(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], 10, "new")
    outlet.put(b"x" * 100_000)
    assert not outlet.close(0.01)
    os.close(pipe[0])
    gone = Outlet(pipe[1], 10, "new")
    gone.put(b"x")
    assert not gone.close(1e6)  # an error ends the wait at once
    assert not outlet.close(1e6)  # its thread ends too, before the number of the pipe is used again
    assert isinstance(gone.error, BrokenPipeError)


def test_a_forked_process_writes_too(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], 10, "new")
    outlet.put(b"parent\n")
    assert outlet.wait(10)
    child = os.fork()
    if not child:
        outlet.put(b"child\n")
        outlet.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(pipe[0], 100) == b"parent\nchild\n"


def test_write_all_waits_where_the_descriptor_does_not(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    child = os.fork()
    if not child:
        os.close(pipe[1])
        os._exit(0 if _read_all(pipe[0]) == b"y" * 300_000 else 1)
    write_all(pipe[1], b"y" * 300_000)
    os.close(pipe[1])
    assert os.waitpid(child, 0)[1] == 0
