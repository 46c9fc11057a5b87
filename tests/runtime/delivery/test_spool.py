"""The spool: in order, bounded, and all there after whatever ended the process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.delivery import spool as spool_module
from dmdd_edge.runtime.delivery.records import read_records
from dmdd_edge.runtime.delivery.spool import Spool
from tests.runtime.delivery.spool_messages import (
    BODY,
    LIMIT,
    LINE,
    SEGMENT,
    ids,
    put_all,
    spool_files,
    take,
    take_all,
)


def test_messages_come_out_in_order_and_stay_until_acknowledged(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool()
    assert spool.peek(3) == []
    put_all(spool, range(5))
    first = spool.peek(2)
    assert [message.id for message in first] == ["id-00000", "id-00001"]
    assert first[0].body == BODY
    assert spool.peek(2) == first
    spool.acknowledge(first[0])
    assert spool.waiting == 4
    assert take_all(spool) == ids(range(1, 5))
    assert spool.waiting == 0


def test_what_is_left_over_comes_first_in_the_next_run(
    make_spool: Callable[..., Spool], folder: Path
) -> None:
    spool = make_spool()
    put_all(spool, range(200))
    assert len(spool_files(folder)) > 3
    assert take(spool, 50) == ids(range(50))
    assert spool.close() == 150
    spool = make_spool()
    assert spool.waiting == 150
    put_all(spool, range(200, 210))
    assert take_all(spool) == ids(range(50, 210))
    assert spool.close() == 0
    assert spool_files(folder) == []
    assert make_spool().waiting == 0


def test_only_the_owner_can_read_it(make_spool: Callable[..., Spool], folder: Path) -> None:
    put_all(make_spool(), range(1))
    assert folder.stat().st_mode & 0o077 == 0
    assert spool_files(folder)[0].stat().st_mode & 0o077 == 0


def test_delivered_segments_are_removed_as_it_goes(make_spool: Callable[..., Spool], folder: Path) -> None:
    spool = make_spool()
    for start in range(0, 2000, 10):
        put_all(spool, range(start, start + 10))
        assert take(spool, 10) == ids(range(start, start + 10))
        assert len(spool_files(folder)) <= 2
    assert spool.dropped == 0


def test_the_oldest_are_dropped_first_and_counted(make_spool: Callable[..., Spool], folder: Path) -> None:
    spool = make_spool()
    a_segment = SEGMENT // LINE
    fits = 16 * a_segment
    put_all(spool, range(fits))
    assert spool.dropped == 0
    put_all(spool, range(fits, fits + 2 * a_segment + 1))
    assert sum(path.stat().st_size for path in spool_files(folder)) <= LIMIT
    left = take_all(spool)
    assert spool.dropped == fits + 2 * a_segment + 1 - len(left)
    assert left == ids(range(spool.dropped, fits + 2 * a_segment + 1))
    assert 2 * a_segment <= spool.dropped <= 3 * a_segment


def test_messages_that_are_dropped_on_the_way_are_not_missed(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool()
    put_all(spool, range(10))
    under_way = spool.peek(4)
    put_all(spool, range(10, 2000))
    assert spool.dropped > 10
    spool.acknowledge(under_way[-1])
    rest = take_all(spool)
    assert rest == ids(range(spool.dropped, 2000))
    assert spool.waiting == 0


def test_what_is_dropped_while_it_is_read_does_not_come(
    make_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool()
    put_all(spool, range(10))
    read = read_records

    def slowly(*arguments: Any) -> Any:
        records = read(*arguments)
        monkeypatch.undo()
        put_all(spool, range(10, 2000))  # pushes out what has just been read
        return records

    monkeypatch.setattr(spool_module, "read_records", slowly)
    assert take_all(spool) == ids(range(spool.dropped, 2000))
    assert spool.dropped > 10


def test_a_smaller_limit_is_kept_at_once(make_spool: Callable[..., Spool], folder: Path) -> None:
    spool = make_spool(4 * LIMIT)
    put_all(spool, range(1500))
    spool.close()
    spool = make_spool(LIMIT)
    assert sum(path.stat().st_size for path in spool_files(folder)) <= LIMIT
    assert spool.dropped > 0
    assert take_all(spool) == ids(range(spool.dropped, 1500))


def test_a_message_above_the_limit_is_dropped_alone(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool()
    put_all(spool, range(3))
    spool.put("large", b"x" * LIMIT)
    put_all(spool, range(3, 6))
    assert spool.dropped == 1
    assert take_all(spool) == ids(range(6))


def test_a_limit_that_holds_nothing_is_an_error(folder: Path) -> None:
    with pytest.raises(DmddError, match="--spool-limit must be at least 64 KiB, not 1000 bytes"):
        Spool(folder, 1000)


def test_every_cut_of_the_last_file_leaves_the_whole_messages(
    make_spool: Callable[..., Spool], folder: Path, tmp_path: Path
) -> None:
    spool = make_spool()
    put_all(spool, range(4))
    assert take(spool, 1) == ids(range(1))
    [file] = spool_files(folder)
    content = file.read_bytes()
    for length in (*range(0, 2 * LINE, 5), *range(2 * LINE, len(content) + 1)):
        copy = tmp_path / f"copy-{length}"
        shutil.copytree(folder, copy)
        os.truncate(copy / file.name, length)
        cut = Spool(copy, LIMIT, "never")
        whole = range(1, max(1, length // LINE))
        assert cut.waiting == len(whole)
        cut.put("new", BODY)
        assert take_all(cut) == [*ids(whole), "new"]
        assert (cut.damaged, cut.dropped) == (0, 0)  # a torn message was never taken
        cut.close()
        # Nothing comes twice, though the position may be after the end of the shortened file.
        again = Spool(copy, LIMIT, "never")
        assert again.waiting == 0
        again.close()
        shutil.rmtree(copy)


def test_a_lost_position_means_again_not_never(make_spool: Callable[..., Spool], folder: Path) -> None:
    spool = make_spool()
    put_all(spool, range(5))
    take(spool, 3)
    spool.close()
    (folder / "position").unlink()
    assert take_all(make_spool()) == ids(range(5))


def test_a_damaged_message_is_counted_and_the_rest_is_delivered(
    make_spool: Callable[..., Spool], folder: Path
) -> None:
    spool = make_spool()
    put_all(spool, range(5))
    spool.close()
    [file] = spool_files(folder)
    content = bytearray(file.read_bytes())
    content[2 * LINE + 40] ^= 1
    file.write_bytes(content)
    spool = make_spool()
    assert take_all(spool) == ["id-00000", "id-00001", "id-00003", "id-00004"]
    assert (spool.damaged, spool.waiting) == (1, 0)


def test_a_file_that_somebody_removed_is_counted_as_dropped(
    make_spool: Callable[..., Spool], folder: Path
) -> None:
    spool = make_spool()
    put_all(spool, range(100))
    in_first = spool._segments[0].waiting
    spool_files(folder)[0].unlink()
    assert take_all(spool) == ids(range(in_first, 100))
    assert spool.dropped == in_first


def test_a_second_holder_is_rejected(make_spool: Callable[..., Spool], folder: Path) -> None:
    spool = make_spool()
    with pytest.raises(DmddError, match=f"in use by process {os.getpid()}") as caught:
        Spool(folder, LIMIT)
    assert "--spool" in caught.value.fix
    code = (
        "import sys; from pathlib import Path; from dmdd_edge.runtime.delivery.spool import Spool\n"
        f"Spool(Path(sys.argv[1]), {LIMIT})"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert f"in use by process {os.getpid()} on " in other.stderr
    spool.close()
    make_spool()


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DmddError, match=r"file/spool cannot be used") as caught:
        Spool(tmp_path / "file" / "spool", LIMIT)
    assert "--spool" in caught.value.fix


def test_one_puts_while_another_delivers(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool(1 << 20)
    taken: list[str] = []
    ended = threading.Event()

    def deliver() -> None:
        while not (ended.is_set() and spool.waiting == 0):
            taken.extend(take(spool, 13))

    thread = threading.Thread(target=deliver)
    thread.start()
    put_all(spool, range(5000))
    ended.set()
    thread.join(60)
    assert taken == ids(range(5000))
