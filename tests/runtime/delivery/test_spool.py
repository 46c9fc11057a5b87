"""The spool: in order, bounded, and all there after whatever ended the process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.delivery import writer as writer_module
from dmdd_edge.runtime.delivery.records import encode_record
from dmdd_edge.runtime.delivery.spool import Spool

LIMIT = 64 << 10
SEGMENT = LIMIT // 16
BODY = b"x" * 100
LINE = len(encode_record("id-00000", BODY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool"


@pytest.fixture
def make_spool(folder: Path) -> Iterator[Callable[..., Spool]]:
    made: list[Spool] = []

    def make(limit: int = LIMIT, **options: object) -> Spool:
        made.append(Spool(folder, limit, **{"fsync": "never", **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for spool in made:
        spool.close()


def _id(number: int) -> str:
    return f"id-{number:05d}"


def _put(spool: Spool, numbers: range) -> None:
    for number in numbers:
        spool.put(_id(number), BODY)


def _take(spool: Spool, count: int) -> list[str]:
    messages = spool.peek(count)
    if messages:
        spool.acknowledge(messages[-1])
    return [message.id for message in messages]


def _take_all(spool: Spool) -> list[str]:
    taken: list[str] = []
    while ids := _take(spool, 7):
        taken += ids
    return taken


def _ids(numbers: range) -> list[str]:
    return [_id(number) for number in numbers]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def test_messages_come_out_in_order_and_stay_until_acknowledged(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool()
    assert spool.peek(3) == []
    _put(spool, range(5))
    first = spool.peek(2)
    assert [message.id for message in first] == ["id-00000", "id-00001"]
    assert first[0].body == BODY
    assert spool.peek(2) == first
    spool.acknowledge(first[0])
    assert spool.waiting == 4
    assert _take_all(spool) == _ids(range(1, 5))
    assert spool.waiting == 0


def test_what_is_left_over_comes_first_in_the_next_run(
    make_spool: Callable[..., Spool], folder: Path
) -> None:
    spool = make_spool()
    _put(spool, range(200))
    assert len(_files(folder)) > 3
    assert _take(spool, 50) == _ids(range(50))
    assert spool.close() == 150
    spool = make_spool()
    assert spool.waiting == 150
    _put(spool, range(200, 210))
    assert _take_all(spool) == _ids(range(50, 210))
    assert spool.close() == 0
    assert _files(folder) == []
    assert make_spool().waiting == 0


def test_only_the_owner_can_read_it(make_spool: Callable[..., Spool], folder: Path) -> None:
    _put(make_spool(), range(1))
    assert folder.stat().st_mode & 0o077 == 0
    assert _files(folder)[0].stat().st_mode & 0o077 == 0


def test_delivered_segments_are_removed_as_it_goes(make_spool: Callable[..., Spool], folder: Path) -> None:
    spool = make_spool()
    for start in range(0, 2000, 10):
        _put(spool, range(start, start + 10))
        assert _take(spool, 10) == _ids(range(start, start + 10))
        assert len(_files(folder)) <= 2
    assert spool.dropped == 0


def test_the_oldest_are_dropped_first_and_counted(make_spool: Callable[..., Spool], folder: Path) -> None:
    spool = make_spool()
    a_segment = SEGMENT // LINE
    fits = 16 * a_segment
    _put(spool, range(fits))
    assert spool.dropped == 0
    _put(spool, range(fits, fits + 2 * a_segment + 1))
    assert sum(path.stat().st_size for path in _files(folder)) <= LIMIT
    left = _take_all(spool)
    assert spool.dropped == fits + 2 * a_segment + 1 - len(left)
    assert left == _ids(range(spool.dropped, fits + 2 * a_segment + 1))
    assert 2 * a_segment <= spool.dropped <= 3 * a_segment


def test_messages_that_are_dropped_on_the_way_are_not_missed(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool()
    _put(spool, range(10))
    under_way = spool.peek(4)
    _put(spool, range(10, 2000))
    assert spool.dropped > 10
    spool.acknowledge(under_way[-1])
    rest = _take_all(spool)
    assert rest == _ids(range(spool.dropped, 2000))
    assert spool.waiting == 0


def test_a_smaller_limit_is_kept_at_once(make_spool: Callable[..., Spool], folder: Path) -> None:
    spool = make_spool(4 * LIMIT)
    _put(spool, range(1500))
    spool.close()
    spool = make_spool(LIMIT)
    assert sum(path.stat().st_size for path in _files(folder)) <= LIMIT
    assert spool.dropped > 0
    assert _take_all(spool) == _ids(range(spool.dropped, 1500))


def test_a_message_above_the_limit_is_dropped_alone(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool()
    _put(spool, range(3))
    spool.put("large", b"x" * LIMIT)
    _put(spool, range(3, 6))
    assert spool.dropped == 1
    assert _take_all(spool) == _ids(range(6))


def test_a_limit_that_holds_nothing_is_an_error(folder: Path) -> None:
    with pytest.raises(DmddError, match="--spool-limit is at least 64 KiB, not 1000 bytes"):
        Spool(folder, 1000)


def test_every_cut_of_the_last_file_leaves_the_whole_messages(
    make_spool: Callable[..., Spool], folder: Path, tmp_path: Path
) -> None:
    spool = make_spool()
    _put(spool, range(6))
    assert _take(spool, 2) == _ids(range(2))
    [file] = _files(folder)
    content = file.read_bytes()
    for length in range(len(content) + 1):
        copy = tmp_path / f"copy-{length}"
        shutil.copytree(folder, copy)
        os.truncate(copy / file.name, length)
        cut = Spool(copy, LIMIT, "never")
        whole = range(2, max(2, length // LINE))
        assert cut.waiting == len(whole)
        cut.put("new", BODY)
        assert _take_all(cut) == [*_ids(whole), "new"]
        cut.close()
        # Nothing comes twice, though the position may lie behind the end of the shortened file.
        again = Spool(copy, LIMIT, "never")
        assert again.waiting == 0
        again.close()
        shutil.rmtree(copy)


def test_a_lost_position_means_again_not_never(make_spool: Callable[..., Spool], folder: Path) -> None:
    spool = make_spool()
    _put(spool, range(5))
    _take(spool, 3)
    spool.close()
    (folder / "position").unlink()
    assert _take_all(make_spool()) == _ids(range(5))


def test_a_damaged_message_is_counted_and_the_rest_is_delivered(
    make_spool: Callable[..., Spool], folder: Path
) -> None:
    spool = make_spool()
    _put(spool, range(5))
    spool.close()
    [file] = _files(folder)
    content = bytearray(file.read_bytes())
    content[2 * LINE + 40] ^= 1
    file.write_bytes(content)
    spool = make_spool()
    assert _take_all(spool) == ["id-00000", "id-00001", "id-00003", "id-00004"]
    assert (spool.damaged, spool.waiting) == (1, 0)


def test_a_file_that_somebody_removed_is_counted_as_dropped(
    make_spool: Callable[..., Spool], folder: Path
) -> None:
    spool = make_spool()
    _put(spool, range(100))
    in_first = spool._segments[0].waiting
    _files(folder)[0].unlink()
    assert _take_all(spool) == _ids(range(in_first, 100))
    assert spool.dropped == in_first


def test_a_second_holder_is_turned_away(make_spool: Callable[..., Spool], folder: Path) -> None:
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
    assert f"in use by process {os.getpid()}." in other.stderr
    spool.close()
    make_spool()


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DmddError, match=r"file/spool cannot be used") as caught:
        Spool(tmp_path / "file" / "spool", LIMIT)
    assert "--spool" in caught.value.fix


class FullDisk:
    """Stands in for ``os`` in the writer: takes some more bytes, then no more."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def write(self, file: int, data: bytes) -> int:
        if not self.free:
            raise OSError(28, "No space left on device")
        written = os.write(file, data[: self.free])  # a full disk takes a part of the last one
        self.free -= written
        return written


def test_a_full_disk_is_survived_in_memory(
    make_spool: Callable[..., Spool], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool(memory_limit=30 * len(BODY))
    disk = FullDisk(free=3 * LINE + 20)
    monkeypatch.setattr(writer_module, "os", disk)
    _put(spool, range(10))
    assert "No space" in spool.fault or "bytes were written" in spool.fault
    assert [path.stat().st_size for path in _files(folder)] == [3 * LINE]
    assert (spool.waiting, spool.dropped) == (10, 0)
    # Read across the border of disk and memory, acknowledged in part.
    assert [message.id for message in spool.peek(6)] == _ids(range(6))
    assert _take(spool, 4) == _ids(range(4))
    # Memory is bounded too: 2 are read ahead, 4 wait, 26 more fit, and of the rest the oldest go.
    _put(spool, range(10, 40))
    assert spool.dropped == 4
    assert spool.waiting == 32
    # The disk takes messages again: in order, those of the memory first.
    disk.free = 1 << 20
    spool._retry_at = 0.0
    _put(spool, range(40, 42))
    assert spool.fault == ""
    spool.close()
    assert _take_all(make_spool()) == [*_ids(range(4, 6)), *_ids(range(10, 42))]


def test_what_the_full_disk_never_took_is_dropped_at_the_end_and_counted(
    make_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool()
    monkeypatch.setattr(writer_module, "os", FullDisk(free=2 * LINE))
    _put(spool, range(5))
    assert spool.close() == 2
    assert spool.dropped == 3


def test_a_line_whose_rest_cannot_be_cut_off_ends_its_file(
    make_spool: Callable[..., Spool], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stubborn(FullDisk):
        def ftruncate(self, file: int, size: int) -> None:
            raise OSError(5, "Input/output error")

    spool = make_spool()
    disk = Stubborn(free=LINE + 50)
    monkeypatch.setattr(writer_module, "os", disk)
    _put(spool, range(3))
    disk.free = 1 << 20
    spool._retry_at = 0.0
    _put(spool, range(3, 5))
    assert [path.stat().st_size for path in _files(folder)] == [LINE + 50, 4 * LINE]
    assert _take(spool, 1) == ["id-00000"]
    spool.close()
    spool = make_spool()
    assert _take_all(spool) == _ids(range(1, 5))
    assert spool.damaged == 0


_ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from dmdd_edge.runtime.delivery.spool import Spool
folder = Path(sys.argv[1])
spool = Spool(folder / "spool", 1 << 20, "second")
ballast = folder / "ballast"
def number(count, start):
    for n in range(start, start + count):
        spool.put(f"id-{n:05d}", b"x" * 1000)
number(50, 0)
try:
    ballast.write_bytes(b"x" * (1 << 20))
except OSError:
    pass
number(100, 50)
assert spool.fault, "the disk never filled"
assert spool.waiting == 150
ballast.unlink()
spool._retry_at = 0.0
number(50, 150)
assert spool.fault == "", spool.fault
assert spool.close() == 200
spool = Spool(folder / "spool", 1 << 20, "second")
seen = []
while messages := spool.peek(30):
    seen += [message.id for message in messages]
    spool.acknowledge(messages[-1])
assert seen == [f"id-{n:05d}" for n in range(200)], seen
print("all there")
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=512k none "{tmp_path}"'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    inside = f'{mount} && exec "$0" -c "$1" "{tmp_path}"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", inside, sys.executable, _ON_A_SMALL_DISK],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "all there\n", done.stderr


@pytest.mark.parametrize("policy", ["never", "second", "always"])
def test_the_disk_is_waited_for_as_the_policy_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    synced: list[int] = []
    done = threading.Event()

    class Watched(FullDisk):
        def fsync(self, file: int) -> None:
            os.fsync(file)
            synced.append(os.fstat(file).st_size)
            done.set()

    monkeypatch.setattr(writer_module, "os", Watched(free=1 << 20))
    spool = Spool(folder, LIMIT, policy)  # type: ignore[arg-type]
    _put(spool, range(3))
    if policy == "always":
        assert synced == [LINE, 2 * LINE, 3 * LINE]
    elif policy == "second":
        assert done.wait(30)
        assert synced[-1] == 3 * LINE
    spool.close()
    if policy == "never":
        assert synced == []
    assert max(synced, default=3 * LINE) == 3 * LINE


def test_one_puts_while_another_delivers(make_spool: Callable[..., Spool]) -> None:
    spool = make_spool(1 << 20)
    taken: list[str] = []
    ended = threading.Event()

    def deliver() -> None:
        while not (ended.is_set() and spool.waiting == 0):
            taken.extend(_take(spool, 13))

    thread = threading.Thread(target=deliver)
    thread.start()
    _put(spool, range(5000))
    ended.set()
    thread.join(60)
    assert taken == _ids(range(5000))
