"""Counts, ids and the recipe in force outlast restarts and kills; a bad disk does not stop a station."""

from __future__ import annotations

import errno
import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.result import Result, Status, Timings
from dmdd_edge.runtime.station import counters as module
from dmdd_edge.runtime.station.counters import Counters
from dmdd_edge.runtime.station.counts import InspectionCounts, PartCounts
from dmdd_edge.runtime.station.model import InspectionResult, PartResult, Trigger
from tests.runtime.forked import Forked
from tests.runtime.station.constant_bundles import wait_until

#: A station that gives ids as fast as they are read, and counts each.
STATION = """
import sys
from pathlib import Path
from dmdd_edge.runtime.station.counters import Counters
counters = Counters(Path(sys.argv[1]), print)
counters.in_force(7)
while True:
    print(counters.next_acquisition(), flush=True)
    counters.missed()
"""


def inspection(name: str, status: Status | None) -> InspectionResult:
    if status is None:
        return InspectionResult(name, "top", None, None, "no frame")
    result = Result(
        source="top", index=0, status=status, time=0.0, score=0.5, normalized_score=0.5, threshold=0.5,
        is_anomalous=status == "anomalous", anomaly_map=np.zeros((2, 2), np.float32), regions=(),
        timings=Timings(0, 0, 0, 0), dropped=0,
    )  # fmt: skip
    return InspectionResult(name, "top", None, result)


def part(recipe: int, status: Status, late: bool = False, **inspections: Status | None) -> PartResult:
    trigger = Trigger(1, 1, recipe, "modbus", 0.0, 0.0)
    found = tuple(inspection(name, status) for name, status in inspections.items())
    return PartResult(trigger, f"product {recipe}", status, late, found, 5.0)


def test_everything_comes_back_after_a_clean_end(tmp_path: Path) -> None:
    said: list[str] = []
    counters = Counters(tmp_path / "state", said.append)
    assert counters.recipe == 0
    counters.in_force(2)
    for each in (
        part(1, "good", lid="good", seal="good"),
        part(1, "good", late=True, lid="good", seal="good"),
        part(2, "anomalous", lid="anomalous", seal=None),
        part(2, "unreliable", lid="good", seal="unreliable"),
    ):
        counters.part(each)
    counters.missed()
    assert [counters.next_acquisition() for _ in range(3)] == [1, 2, 3]
    for _ in range(2):
        total = counters.counts
        assert (total.parts, total.passed, total.anomalous, total.unreliable, total.late) == (4, 1, 1, 1, 1)
        assert total.missed == 1
        assert counters.recipes == {
            1: PartCounts(parts=2, passed=1, late=1),
            2: PartCounts(parts=2, anomalous=1, unreliable=1),
        }
        assert counters.inspections == {
            "lid": InspectionCounts(good=3, anomalous=1),
            "seal": InspectionCounts(good=2, unreliable=1, failed=1),
        }
        counters.close()
        counters.close()
        counters = Counters(tmp_path / "state", said.append)
        assert counters.recipe == 2
    assert counters.next_acquisition() == 4
    counters.close()
    assert said == []


@pytest.mark.slow
def test_twenty_kills_neither_repeat_an_id_nor_lose_more_than_a_second(
    tmp_path: Path, forked: Forked
) -> None:
    moments = random.Random(5)
    seen: list[int] = []
    for _ in range(20):
        process = forked.start([str(tmp_path / "state")], tmp_path, STATION)
        assert process.stdout is not None
        wanted = moments.choice([1, 10, 1500, moments.randrange(1, 8000)])
        given = [int(process.stdout.readline()) for _ in range(wanted)]
        process.kill()
        given += [int(line) for line in process.stdout.read().split(b"\n")[:-1]]
        process.wait(60)
        seen += given
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen)
    counters = Counters(tmp_path / "state", print)
    assert counters.next_acquisition() > seen[-1]
    assert counters.recipe == 7
    assert 0 < counters.counts.missed <= len(seen)
    counters.close()


def test_counts_reach_the_kernel_within_a_second_without_a_clean_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.02)
    counters = Counters(tmp_path, print)
    syncs: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (syncs.append(handle), fsync(handle)))
    for _ in range(3):
        counters.part(part(1, "good", lid="good"))
    path = tmp_path / "counts"
    wait_until(lambda: path.exists() and b'"parts":3' in path.read_bytes())
    assert syncs == []  # the disk is not worn by each part
    counters.close()
    assert syncs


def test_two_stations_cannot_have_one_folder(tmp_path: Path) -> None:
    counters = Counters(tmp_path / "state", print)
    with pytest.raises(DmddError, match=r"Another station uses .*state: ids of parts would be given twice"):
        Counters(tmp_path / "state", print)
    counters.close()
    Counters(tmp_path / "state", print).close()


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(DmddError, match=r"file.* cannot be made") as caught:
            Counters(folder, print)
        assert "state_dir" in caught.value.fix


def test_damaged_counts_are_said_and_ids_go_on(tmp_path: Path) -> None:
    counters = Counters(tmp_path, print)
    counters.part(part(1, "good"))
    first = counters.next_acquisition()
    counters.close()
    content = (tmp_path / "counts").read_bytes()
    (tmp_path / "counts").write_bytes(content.replace(b'"parts":1', b'"parts":2'))
    said: list[str] = []
    counters = Counters(tmp_path, said.append)
    assert said == [f"{tmp_path / 'counts'} is damaged or cannot be read; counts begin at 0."]
    assert counters.counts.parts == 0
    assert counters.next_acquisition() == first + 1
    counters.close()
    (tmp_path / "ids").write_bytes(b"nonsense" * 1024)
    said.clear()
    counters = Counters(tmp_path, said.append)
    assert said == [f"{tmp_path / 'ids'} is damaged or cannot be read: ids of parts continue from the clock."]
    assert counters.next_acquisition() > first + 1
    counters.close()


def test_a_disk_that_rejects_writes_is_said_once_and_so_is_its_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.01)
    said: list[str] = []
    counters = Counters(tmp_path, said.append)
    pwrite, tries = os.pwrite, []

    def refuse(*arguments: object) -> int:
        tries.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    given = [counters.next_acquisition() for _ in range(3000)]
    counters.part(part(1, "good"))
    wait_until(lambda: len(tries) > 3)
    counters.part(part(1, "good"))
    assert len(set(given)) == 3000
    assert given == sorted(given)
    assert "no space is left on the disk" in counters.problem
    assert len(said) == 1
    assert counters.counts.parts == 2
    monkeypatch.setattr(os, "pwrite", pwrite)
    wait_until(lambda: not counters.problem)
    assert said[1:] == [f"{tmp_path} can be written again."]
    after = counters.next_acquisition()
    counters.close()
    counters = Counters(tmp_path, said.append)
    assert counters.counts.parts == 2
    assert counters.next_acquisition() > after > given[-1]
    counters.close()
    assert len(said) == 2


def test_a_read_only_folder_does_not_stop_a_station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = Counters(tmp_path, print)
    counters.part(part(1, "good"))
    counters.in_force(3)
    before = counters.next_acquisition()
    counters.close()
    open_ = os.open

    def read_only(path: str, flags: int, *mode: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, "Read-only file system", path)
        return open_(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    said: list[str] = []
    counters = Counters(tmp_path, said.append)
    assert (counters.counts.parts, counters.recipe) == (1, 3)
    given = [counters.next_acquisition() for _ in range(5)]
    assert before < given[0]
    assert given == sorted(set(given))
    assert len(said) == 1
    assert "read-only" in said[0]
    counters.close()


def test_more_inspections_than_the_record_holds_leave_the_sums(tmp_path: Path) -> None:
    counters = Counters(tmp_path, print)
    counters.part(part(1, "good", **{f"inspection {number}": "good" for number in range(2000)}))
    counters.close()
    counters = Counters(tmp_path, print)
    assert counters.counts.parts == 1
    assert counters.inspections == {}
    counters.close()


@pytest.mark.parametrize("left", [None, b"", bytes(8192)], ids=["missing", "empty", "zeros"])
def test_a_lost_file_of_ids_is_noticed_by_the_counts(tmp_path: Path, left: bytes | None) -> None:
    state, said = tmp_path / "state", list[str]()
    given = []
    for _ in range(2):
        counters = Counters(state, said.append)
        given.append(counters.next_acquisition())
        made = part(1, "good")
        counters.part(replace(made, trigger=replace(made.trigger, acquisition_id=given[-1])))
        counters.close()
        (state / "ids").unlink()
        if left is not None:
            (state / "ids").write_bytes(left)
    assert given[0] == 1
    assert given[1] >= 2**30, "from the clock"
    assert said == [f"{state / 'ids'} is damaged or cannot be read: ids of parts continue from the clock."]


def test_an_older_file_of_ids_that_comes_back_is_noticed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    counters = Counters(state, print)
    counters.close()
    older = (state / "ids").read_bytes()
    counters = Counters(state, print)
    given = {counters.next_acquisition() for _ in range(2000)}
    made = part(1, "good")
    counters.part(replace(made, trigger=replace(made.trigger, acquisition_id=max(given))))
    counters.close()
    (state / "ids").write_bytes(older)
    counters = Counters(state, print)
    assert not given & {counters.next_acquisition() for _ in range(2000)}
    counters.close()


def test_suspect_parts_are_counted_and_kept(tmp_path: Path) -> None:
    first = Counters(tmp_path, print)
    first.part(part(1, "suspect", lid="suspect", seal="good"))
    first.part(part(1, "good", lid="good"))
    first.close()
    second = Counters(tmp_path, print)
    try:
        assert (second.counts.parts, second.counts.passed, second.counts.suspect) == (2, 1, 1)
        assert second.recipes[1] == PartCounts(parts=2, passed=1, suspect=1)
        assert second.inspections["lid"] == InspectionCounts(good=1, suspect=1)
    finally:
        second.close()


def test_counts_without_suspect_parts_are_written_as_before() -> None:
    names = ["anomalous", "late", "parts", "passed", "unreliable"]
    assert sorted(PartCounts(parts=1).model_dump()) == names
    assert "suspect" in PartCounts(suspect=1).model_dump()
    assert sorted(InspectionCounts().model_dump()) == ["anomalous", "failed", "good", "unreliable"]
