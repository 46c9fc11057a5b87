"""Runs in a store: what a kill at any moment leaves, who may write, and what a store that vanishes costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec", reason="no fsspec: pip install '.[fleet]'")

from dmdd_edge.errors import DmddError, FleetError, OptionError
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.run_store import keeper, lease, runs
from dmdd_edge.run_store.mirror import CACHE_VARIABLE, models_place, runs_place, shown
from dmdd_edge.run_store.runs import bring, kept, open_place, remove_run, settle, stored_runs
from dmdd_edge.run_store.state import wholes

ADDRESS = "memory://plant/runs"
OLD = {"config.json": b"{}", "teacher.safetensors": b"t" * 50, "state.safetensors": b"old" * 9}
NEW = {
    "config.json": b"{}",
    "teacher.safetensors": b"t" * 50,
    "model.safetensors": b"m" * 70,
    "images/a b.png": b"p",
}


@pytest.fixture(autouse=True)
def empty_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    monkeypatch.setattr(keeper, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(runs, "PATIENCE", 0.0)
    monkeypatch.setattr(lease, "LOOK", 0.0)
    yield
    MemoryFileSystem.store.clear()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Work on a machine of this name; gives the folder of its run."""

    def choose(name: str) -> Path:
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / name))
        return open_place(ADDRESS) / "bottle"

    return choose


def write(folder: Path, files: dict[str, bytes]) -> None:
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.unlink()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def send(folder: Path, files: dict[str, bytes], how: Any = "new") -> None:
    with kept(folder, how, print):
        write(folder, files)


def test_another_machine_gets_what_one_has_sent_and_the_first_gets_it_back(
    machine: Callable[[str], Path],
) -> None:
    folder = machine("a")
    send(folder, OLD)
    assert shown(folder) == f"{ADDRESS}/bottle"
    folder = machine("b")
    assert stored_runs(ADDRESS) == ["bottle"]
    bring(folder)
    assert content(folder) == OLD
    send(folder, NEW, "continue")
    folder = machine("a")
    assert settle(folder) is False
    assert content(folder) == NEW
    # Of a run that is done, the store keeps no more than its files, its list, and no lease.
    names = FsspecStore(ADDRESS).names("bottle", below=True)
    assert len(names) == len(NEW) + 1
    remove_run(folder)
    assert stored_runs(ADDRESS) == []
    assert not folder.exists()


def test_a_kill_at_any_moment_leaves_the_old_state_or_the_new_one(
    machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    send(machine("a"), OLD)
    before = dict(MemoryFileSystem.store)
    found: list[dict[str, bytes]] = []
    for moment in range(100):
        MemoryFileSystem.store.clear()
        MemoryFileSystem.store.update(before)
        writer = machine(f"writer{moment}")
        settle(writer)
        left = moment

        class Killed(BaseException):
            pass

        def counted(name: str) -> Any:
            original = getattr(FsspecStore, name)

            def call(store: FsspecStore, path: str, *more: Any, **options: Any) -> Any:
                nonlocal left
                if left <= 0:
                    raise FleetError("killed.")  # from here on nothing reaches the store
                left -= 1
                return original(store, path, *more, **options)

            return call

        with monkeypatch.context() as patched:
            for name in ("create", "remove"):
                patched.setattr(FsspecStore, name, counted(name))
            ended = True
            try:
                send(writer, NEW, "continue")
            except DmddError:
                ended = False
        reader = machine(f"reader{moment}")
        bring(reader)
        found.append(content(reader))
        assert found[-1] in (OLD, NEW)
        # The writer's machine, restarted, sends what it has; a third one then finds that.
        monkeypatch.setattr(lease, "SILENT", 0.0)
        settle(machine(f"writer{moment}"))
        third = machine(f"third{moment}")
        bring(third)
        assert content(third) in ((NEW,) if found[-1] == NEW else (OLD, NEW))
        if ended and left > 0:
            break
    assert OLD in found
    assert found[-1] == NEW
    assert 6 < len(found) < 100


def test_a_run_has_one_writer_and_one_that_is_silent_is_replaced(
    machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FsspecStore(ADDRESS)
    first = lease.acquire(store, "bottle", "mirror a", print)
    monkeypatch.setattr("dmdd_edge.run_store.lease.time.sleep", lambda seconds: first.beat(store))
    with pytest.raises(lease.TakenError, match="is in use by process"):
        lease.acquire(store, "bottle", "mirror b", print)
    monkeypatch.setattr(lease, "SILENT", 0.0)
    second = lease.acquire(store, "bottle", "mirror b", print)
    assert second.number > first.number
    # The first one wakes up: it may neither give a sign of life nor send.
    with pytest.raises(lease.TakenError, match="has taken the run"):
        first.beat(store)
    second.check(store)
    second.release()
    lease.acquire(store, "bottle", "mirror c", print).release()
    with pytest.raises(lease.TakenError, match="has taken the run"):
        first.check(store)


def test_a_writer_that_was_replaced_sends_nothing_any_more(
    machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeping = machine("a")

    def sleep_and_send() -> None:
        with kept(sleeping, "new", print):
            write(sleeping, OLD)
            monkeypatch.setattr(lease, "SILENT", 0.0)
            send(machine("b"), NEW)
            machine("a")

    with pytest.raises(lease.TakenError):
        sleep_and_send()
    other = machine("c")
    bring(other)
    assert content(other) == NEW


def test_a_store_that_vanishes_costs_nothing_and_the_same_command_sends_what_is_left(
    machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    folder, gone = machine("a"), True
    original = FsspecStore.create

    def create(store: FsspecStore, path: str, *more: Any, **options: Any) -> bool:
        if gone and "lease" not in path:
            raise FleetError("the store is off.")
        return original(store, path, *more, **options)

    monkeypatch.setattr(FsspecStore, "create", create)

    def train() -> None:
        with kept(folder, "new", lines.append) as sending:
            assert sending is not None
            write(folder, NEW)
            sending.saved("the checkpoint of step 1")

    with pytest.raises(DmddError, match=r"not sent yet: the store is off\. The run is complete in") as error:
        train()
    assert str(folder) in error.value.message
    assert f"dmdd-edge train --run bottle --runs-dir {ADDRESS} --resume" in error.value.fix
    assert any("is not sent yet: the store is off. It is in" in line for line in lines)
    assert stored_runs(ADDRESS) == ["bottle"]  # of this machine alone
    assert wholes(FsspecStore(ADDRESS), "bottle") == []
    gone = False
    assert settle(folder) is True
    assert settle(folder) is False
    other = machine("b")
    bring(other)
    assert content(other) == NEW


def test_a_damaged_file_of_the_newest_state_gives_the_one_before(
    machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr(keeper, "KEPT_AT_END", 2)
    folder = machine("a")
    send(folder, OLD)
    send(folder, NEW, "continue")
    path = next(path for path in MemoryFileSystem.store if path.endswith("model.safetensors"))
    MemoryFileSystem.store[path].seek(3)
    MemoryFileSystem.store[path].write(b"?")
    other = machine("b")
    bring(other)
    assert content(other) == OLD


def test_secrets_in_addresses_are_refused() -> None:
    for read, option in ((runs_place, "--runs-dir"), (models_place, "--models-dir")):
        with pytest.raises(OptionError, match=option) as error:
            read("sftp://line:hunter2@nas/runs")
        assert "hunter2" not in str(error.value)
        with pytest.raises(OptionError, match="web server"):
            read("https://host/runs")
        assert read("runs/here") == Path("runs/here")
    assert json.dumps(runs_place("s3://plant/runs/")) == '"s3://plant/runs"'
