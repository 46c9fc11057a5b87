"""The spool's disk: full, failing, and synced as the policy says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.runtime.delivery.spool import Spool
from dmdd_edge.runtime.durable import appender as appender_module
from dmdd_edge.runtime.durable import syncing as syncing_module
from tests.runtime.delivery.delivery_results import wait_until
from tests.runtime.delivery.spool_messages import BODY, LIMIT, LINE, ids, put_all, spool_files, take, take_all


class FullDisk:
    """Replaces ``os`` in the writer: takes some more bytes, then no more."""

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
    monkeypatch.setattr(appender_module, "os", disk)
    put_all(spool, range(10))
    assert "No space" in spool.fault
    assert [path.stat().st_size for path in spool_files(folder)] == [3 * LINE]
    assert (spool.waiting, spool.dropped) == (10, 0)
    # Read across the border of disk and memory, acknowledged in part.
    assert [message.id for message in spool.peek(6)] == ids(range(6))
    assert take(spool, 4) == ids(range(4))
    # Memory is bounded too: 2 are read ahead, 4 wait, 26 more fit, and of the rest the oldest go.
    put_all(spool, range(10, 40))
    assert spool.dropped == 4
    assert spool.waiting == 32
    # The disk takes messages again: in order, those of the memory first.
    disk.free = 1 << 20
    spool._retry_at = 0.0
    put_all(spool, range(40, 42))
    assert spool.fault == ""
    spool.close()
    assert take_all(make_spool()) == [*ids(range(4, 6)), *ids(range(10, 42))]


def test_what_was_read_from_memory_comes_once_though_it_goes_to_the_disk(
    make_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool()
    disk = FullDisk(free=0)
    monkeypatch.setattr(appender_module, "os", disk)
    put_all(spool, range(6))
    under_way = spool.peek(4)
    disk.free = 1 << 20
    spool._retry_at = 0.0
    put_all(spool, range(6, 8))
    assert spool.peek(4) == under_way
    assert take_all(spool) == ids(range(8))
    assert spool.waiting == 0


def test_what_the_full_disk_never_took_is_dropped_at_the_end_and_counted(
    make_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool()
    monkeypatch.setattr(appender_module, "os", FullDisk(free=2 * LINE))
    put_all(spool, range(5))
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
    monkeypatch.setattr(appender_module, "os", disk)
    put_all(spool, range(3))
    disk.free = 1 << 20
    spool._retry_at = 0.0
    put_all(spool, range(3, 5))
    assert [path.stat().st_size for path in spool_files(folder)] == [LINE + 50, 4 * LINE]
    assert take(spool, 1) == ["id-00000"]
    spool.close()
    spool = make_spool()
    assert take_all(spool) == ids(range(1, 5))
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

    class Watched(FullDisk):
        def fsync(self, file: int) -> None:
            os.fsync(file)
            synced.append(os.fstat(file).st_size)

    monkeypatch.setattr(syncing_module, "os", Watched(free=0))
    spool = Spool(folder, LIMIT, policy)  # type: ignore[arg-type]
    put_all(spool, range(3))
    if policy == "always":
        assert synced == [LINE, 2 * LINE, 3 * LINE]
    elif policy == "second":
        wait_until(lambda: synced[-1:] == [3 * LINE])
    spool.close()
    if policy == "never":
        assert synced == []
    assert max(synced, default=3 * LINE) == 3 * LINE
