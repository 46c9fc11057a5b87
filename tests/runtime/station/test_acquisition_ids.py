"""No acquisition id is given twice, whatever becomes of the station and of its disk."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.runtime.station import acquisition_ids
from dmdd_edge.runtime.station.acquisition_ids import (
    BLOCK,
    CLOCK_FIRST,
    CLOCK_RATE,
    LARGEST_ID,
    AcquisitionIds,
)

#: 100 seconds after the clock of ids began.
EARLY = 1_767_225_700.0


@pytest.fixture
def broken_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Make every write fail, or work again."""

    def refuse(*arguments: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    pwrite = os.pwrite
    return lambda broken: monkeypatch.setattr(os, "pwrite", refuse if broken else pwrite)


def reserve(ids: AcquisitionIds) -> None:
    """Reserve ids, if the disk lets them be."""
    with contextlib.suppress(OSError):
        ids.reserve()


def started(path: Path, seconds: float = 0.0) -> AcquisitionIds:
    """Ids of a station that has just been started."""
    ids = AcquisitionIds(path, clock=lambda: EARLY + seconds)
    reserve(ids)
    return ids


def take(ids: AcquisitionIds, count: int) -> list[int]:
    """So many ids, with room reserved whenever it is wanted."""
    given = []
    for _ in range(count):
        given.append(ids.take())
        reserve(ids)
    return given


def test_ids_count_from_one_and_go_on_after_a_clean_end(tmp_path: Path) -> None:
    ids = started(tmp_path / "ids")
    assert take(ids, 3 * BLOCK) == list(range(1, 3 * BLOCK + 1))
    ids.close()
    ids = started(tmp_path / "ids")
    assert take(ids, 2) == [3 * BLOCK + 1, 3 * BLOCK + 2]


def test_after_a_kill_there_is_a_gap_of_one_block_at_most(tmp_path: Path) -> None:
    last = 0
    for count in (1, 5, BLOCK // 2, BLOCK - 1, BLOCK, 3 * BLOCK, 1):
        given = take(started(tmp_path / "ids"), count)  # never closed
        assert last < given[0] <= last + BLOCK + 1
        assert given == list(range(given[0], given[0] + count))
        last = given[-1]


def test_it_asks_for_more_room_in_time_and_takes_without_the_disk(
    tmp_path: Path, broken_disk: Callable[[bool], None]
) -> None:
    woken: list[int] = []
    ids = AcquisitionIds(tmp_path / "ids", lambda: woken.append(1))
    ids.reserve()
    broken_disk(True)
    assert [ids.take() for _ in range(BLOCK // 2 - 1)] == list(range(1, BLOCK // 2))
    assert woken == []
    ids.take()
    assert woken == [1]


def test_a_disk_that_rejects_writes_makes_ids_continue_from_the_clock(
    tmp_path: Path, broken_disk: Callable[[bool], None]
) -> None:
    path = tmp_path / "ids"
    ids = started(path)
    take(ids, 10)
    broken_disk(True)
    # What is reserved is used up first, and then come 32 ids for each of the clock's seconds.
    given = take(ids, BLOCK - 10 + 3)
    first = CLOCK_FIRST + 100 * CLOCK_RATE
    assert given == [*range(11, BLOCK + 1), first, first + 1, first + 2]
    # A station that is killed and started while the disk is still broken.
    later = take(started(path, seconds=1), 40)
    assert later == list(range(first + CLOCK_RATE, first + CLOCK_RATE + 40))
    # The disk is back: what it keeps now is above all of them, also for the next start.
    broken_disk(False)
    ids = started(path, seconds=3)
    assert take(ids, 2) == [BLOCK + 1, BLOCK + 2]


def test_ids_of_the_clock_are_kept_as_soon_as_the_disk_is_back(
    tmp_path: Path, broken_disk: Callable[[bool], None]
) -> None:
    path = tmp_path / "ids"
    broken_disk(True)
    ids = started(path)
    first = CLOCK_FIRST + 100 * CLOCK_RATE
    assert take(ids, 2) == [first, first + 1]
    broken_disk(False)
    assert take(ids, 2) == [first + 2, first + 3]
    ids.close()
    assert take(started(path), 1) == [first + 4]


def test_a_clock_that_is_behind_does_not_repeat_what_this_process_gave(
    tmp_path: Path, broken_disk: Callable[[bool], None]
) -> None:
    broken_disk(True)
    now = [EARLY]
    ids = AcquisitionIds(tmp_path / "ids", clock=lambda: now[0])
    reserve(ids)
    given = []
    for seconds in (0, 0, 5, -50, -1000, 5, 6, 400 * 86400, 3, 6.5):
        now[0] = EARLY + seconds
        given.append(ids.take())
    assert len(set(given)) == len(given)
    first = CLOCK_FIRST + 100 * CLOCK_RATE
    assert given[:7] == [first, first + 1, first + 160, first + 161, first + 162, first + 163, first + 192]


@pytest.mark.parametrize("content", [b"nonsense" * 1024, os.urandom(8192), b"\1"])
def test_a_damaged_file_makes_ids_continue_from_the_clock(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ids"
    take(started(path), 10)
    path.write_bytes(content)
    ids = started(path)
    assert ids.damaged
    first = CLOCK_FIRST + 100 * CLOCK_RATE
    assert take(ids, 2) == [first, first + 1]
    ids.close()
    ids = started(path)  # mended
    assert not ids.damaged
    assert take(ids, 1) == [first + 2]


def test_one_damaged_slot_may_have_been_the_newer_one(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    given = take(started(path), 5 * BLOCK)
    content = bytearray(path.read_bytes())
    for offset in (9, 4096 + 9):
        path.write_bytes(bytes([*content[:offset], content[offset] ^ 1, *content[offset + 1 :]]))
        ids = started(path)
        assert ids.damaged
        assert ids.take() > max(given)


def test_who_takes_faster_than_the_disk_writes_waits_for_it(tmp_path: Path) -> None:
    ids = started(tmp_path / "ids")
    for _ in range(BLOCK):
        ids.take()
    wanted = threading.Event()
    ids._wake = wanted.set
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.append(ids.take()))
    thread.start()
    assert wanted.wait(60)
    ids.reserve()
    thread.join(60)
    assert taken == [BLOCK + 1]


def test_a_disk_that_does_not_answer_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = started(tmp_path / "ids")
    for _ in range(BLOCK):
        ids.take()
    monkeypatch.setattr(acquisition_ids, "LONGEST_WAIT", 0.01)
    assert ids.take() == CLOCK_FIRST + 100 * CLOCK_RATE


def test_after_the_largest_id_comes_one(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    ids = started(path)
    ids._given = ids._reserved = LARGEST_ID - 2
    ids.reserve()
    assert take(ids, 4) == [LARGEST_ID - 1, LARGEST_ID, 1, 2]
    ids.close()
    assert take(started(path), 1) == [3]


@pytest.mark.parametrize(
    ("newest", "seconds", "expected"),
    [
        (5, 1000, CLOCK_FIRST + 32_000),
        # The clock was set back: above the known one, and above what was reserved with it.
        (CLOCK_FIRST + 32_000, 10, CLOCK_FIRST + 32_000 + BLOCK + 1),
    ],
)
def test_an_id_that_is_known_from_elsewhere_is_not_given_again(
    tmp_path: Path, newest: int, seconds: float, expected: int
) -> None:
    path = tmp_path / "ids"
    path.write_bytes(b"damaged")
    ids = AcquisitionIds(path, clock=lambda: 1_767_225_600 + seconds, newest=newest, used=True)
    assert ids.damaged
    assert ids.take() == expected
    ids.close()
