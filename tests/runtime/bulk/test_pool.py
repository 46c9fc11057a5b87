"""Processes that work on shards: what is left when they end in the middle."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bulk.pool import Pool
from dmdd_edge.runtime.bulk.processes import Processes
from dmdd_edge.runtime.bulk.shard import Shard
from dmdd_edge.runtime.bulk.worker import Task
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.run import ThresholdOptions
from tests.runtime.bulk.fake_worker import answer

TASK = Task("models/screw", "images", "cpu", BackendOptions(), ThresholdOptions())


def worked(names: list[str], size: int, jobs: int = 1, stop_after: int = 1000) -> tuple[dict[int, str], Pool]:
    """What is said of each image, by index; each index once."""
    found: dict[int, str] = {}
    shards = (Shard(first, names[first : first + size]) for first in range(0, len(names), size))
    with Pool(TASK, lambda ready: None, lambda: len(found) >= stop_after, Processes(answer)) as pool:
        pool.first_ready()
        pool.use(TASK, jobs)
        for event in pool.work(shards):
            if event.done is not None:
                for index, text in enumerate(event.done.data.decode().split("\n"), event.first):
                    assert index not in found
                    found[index] = text
    return found, pool


def test_a_process_that_is_killed_in_the_middle_is_replaced(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(20)]
    names[7] = f"once:{tmp_path / 'killed'}"
    found, pool = worked(names, 5, jobs=2)
    assert [found[index] for index in range(20)] == names
    assert (pool.lost, pool.processes) == (1, 2)


def test_an_image_that_ends_every_process_is_named_and_the_others_have_their_rows() -> None:
    names = ["0.png", "1.png", "always", "3.png", "4.png", "5.png"]
    found, pool = worked(names, 3)
    ended = found.pop(2)
    assert ended == "The process that worked on it ended twice: ended by SIGKILL."
    assert found == {0: "0.png", 1: "1.png", 3: "3.png", 4: "4.png", 5: "5.png"}
    # Twice as a part of its shard, and twice alone, so that it is certain which image it is.
    assert pool.lost == 4


def test_an_error_that_a_user_can_fix_ends_the_work() -> None:
    with pytest.raises(DmddError, match="The GPU is gone"):
        worked(["0.png", "refuse"], 1)


def test_ctrl_c_does_not_reach_the_processes() -> None:
    with Pool(TASK, lambda ready: None, lambda: False, Processes(answer)) as pool:
        pool.first_ready()
        (before,) = multiprocessing.active_children()
        os.kill(before.pid, signal.SIGINT)
        events = [event for event in pool.work(iter([Shard(0, ["0.png", "1.png"])])) if event.done]
        (after,) = multiprocessing.active_children()
    assert [event.done.images for event in events] == [2]
    assert after.pid == before.pid


def test_no_further_shard_begins_after_a_stop() -> None:
    found, _ = worked([f"{number}.png" for number in range(100)], 10, stop_after=10)
    assert 10 <= len(found) <= 30
