"""Actors that decide shards, of a stand-in for Ray: what is left when they end, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bulk import actors as module
from dmdd_edge.runtime.bulk.actors import Actors, ShardActor
from dmdd_edge.runtime.bulk.pool import Pool
from dmdd_edge.runtime.bulk.shard import Shard
from dmdd_edge.runtime.bulk.worker import Done, Failed, Ready, Task
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.run import ThresholdOptions
from tests.fake_ray import Died, FakeRay


class NamesDecider:
    """The rows are the names; a name can end its actor."""

    def __init__(self, task: Task) -> None:
        self.ready = Ready({}, "none", [])

    def decide(self, shard: Shard, stopping: Callable[[], bool], at: Callable[[int, int], None]) -> Done:
        names = []
        for index, name in enumerate(shard.names, shard.first):
            if index in shard.fatal:
                names.append(shard.fatal[index])
                continue
            at(index, len(names))
            if name == "refuse":
                raise DmddError("The GPU is gone.", "Check it.")
            if name == "always":
                raise Died
            if name.startswith("once:") and not Path(name[5:]).exists():
                Path(name[5:]).touch()
                raise Died
            names.append(name)
            if stopping():
                break
        return Done(len(names), "\n".join(names).encode(), {})


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setattr(module, "Decider", NamesDecider)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0.png").touch()
    return Task(str(tmp_path), str(tmp_path / "images"), "cpu", BackendOptions(), ThresholdOptions())


def worked(task: Task, names: list[str], size: int, jobs: int = 1) -> tuple[dict[int, str], Pool]:
    """What is said of each image, by index; each index once."""
    found: dict[int, str] = {}
    shards = (Shard(first, names[first : first + size]) for first in range(0, len(names), size))
    crew = Actors(FakeRay(), {"num_cpus": 1})
    with Pool(task, lambda ready: None, lambda: False, crew) as pool:
        pool.first_ready()
        pool.use(task, jobs)
        for event in pool.work(shards):
            if event.done is not None:
                for index, text in enumerate(event.done.data.decode().split("\n"), event.first):
                    assert index not in found
                    found[index] = text
    return found, pool


def test_an_actor_that_is_lost_is_replaced(task: Task, tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(20)]
    names[7] = f"once:{tmp_path / 'killed'}"
    found, pool = worked(task, names, 5, jobs=2)
    assert [found[index] for index in range(20)] == names
    assert (pool.lost, pool.processes) == (1, 2)


def test_an_image_that_ends_every_actor_is_named(task: Task) -> None:
    names = ["0.png", "1.png", "always", "3.png", "4.png"]
    found, pool = worked(task, names, 3)
    assert found.pop(2) == ("The actor that worked on it ended twice: its machine or its process was lost.")
    assert found == {0: "0.png", 1: "1.png", 3: "3.png", 4: "4.png"}
    assert pool.lost == 4


def test_an_error_that_a_user_can_fix_ends_the_work(task: Task) -> None:
    with pytest.raises(DmddError, match="The GPU is gone"):
        worked(task, ["0.png", "refuse"], 1)


def test_an_actor_ends_the_shard_that_is_asked_for_and_no_later_one(task: Task) -> None:
    ray = FakeRay()
    actor = ShardActor(ray.remote(list).remote(), "a")
    actor._board = type("Board", (), {"post": type("P", (), {"remote": staticmethod(lambda *_: None)})})
    assert isinstance(actor.load(task), Ready)
    names = [f"{number}.png" for number in range(5)]
    actor.ask(1)
    first: Any = actor.decide(1, Shard(0, names))
    second: Any = actor.decide(2, Shard(5, names))
    assert (first.images, second.images) == (1, 5)


def test_a_folder_that_is_empty_there_is_refused(task: Task) -> None:
    (Path(task.source) / "0.png").unlink()
    refused = ShardActor(None, "a").load(task)
    assert isinstance(refused, Failed)
    assert f"{task.source} is empty on" in refused.message
    Path(task.source).rmdir()
    elsewhere = Task("/not/here", task.source, "cpu", task.how, task.thresholds)
    gone = ShardActor(None, "a").load(elsewhere)
    assert isinstance(gone, Failed)
    assert "does not see /not/here of this machine" in gone.message
