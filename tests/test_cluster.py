"""Jobs and archived images on a real Ray cluster of this machine, of which a node and an actor are killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cluster.connection import alive_nodes, check_nodes, connected
from dmdd_edge.errors import BackendError
from dmdd_edge.jobs.cluster_job import Job
from dmdd_edge.jobs.cluster_room import room_for
from dmdd_edge.jobs.cluster_schedule import ClusterSchedule
from dmdd_edge.jobs.standing import Standing, counts
from dmdd_edge.messages.reporter import Reporter
from dmdd_edge.runtime.bulk.again import judge_archive
from dmdd_edge.runtime.options.judge import JudgeOptions
from dmdd_edge.runtime.signals import StopRequest
from tests.ray_nodes import ray_nodes, raylet_pid
from tests.runtime.conftest import images, make_bundle  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow

pytest.importorskip("ray", reason="no ray: pip install '.[cluster]'")
pq = pytest.importorskip("pyarrow.parquet", reason="no pyarrow: pip install '.[judge]'")

#: A job that does one step, then waits for the file ``go``, and continues where an earlier process ended.
_JOB = """
import json, os, sys, threading, time
from pathlib import Path

work = json.loads(sys.stdin.readline())
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
folder = Path(work["folder"])
state = folder / f"{work['name']}.json"
steps = json.loads(state.read_text()) if state.exists() else []
began = len(steps)
(folder / f"{work['name']}.pid").write_text(str(os.getpid()))
while len(steps) < 5:
    while steps and not (folder / "go").exists():
        time.sleep(0.02)
    steps.append(len(steps))
    state.write_text(json.dumps(steps))
    print(json.dumps({"event": "progress", "phase": "steps", "share": len(steps) / 5}), flush=True)
result = {"steps": steps, "began": began, "threads": os.environ["OMP_NUM_THREADS"]}
if work["name"] == "c":
    print(json.dumps({"event": "failed", "reason": "No images.", "fix": "Add some."}), flush=True)
else:
    print(json.dumps({"event": "done", "result": result, "peak": 10.0}), flush=True)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head without cores and two nodes with one each, whose jobs find a module ``a_job``."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "a_job.py").write_text(_JOB)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([before] if before else [])])
    nodes = ray_nodes()
    try:
        found = nodes.__enter__()
    except RuntimeError as error:
        pytest.skip(str(error))
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    try:
        yield found
    finally:
        nodes.__exit__(None, None, None)


def lives(noted: Path) -> bool:
    """Whether the process of a job lives."""
    try:
        return Path(f"/proc/{noted.read_text()}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_jobs_of_a_lost_node_continue_elsewhere(cluster: Any, tmp_path: Path) -> None:
    standings = [Standing(name) for name in "abcd"]
    jobs = {name: Job(name, "a_job", {"name": name, "folder": str(tmp_path)}, 1) for name in "abcd"}
    lost: list[int] = []

    def lose_a_node() -> bool:
        """Kill a node when both have done a step; the others continue when a job has ended with its node."""
        if not lost and len(list(tmp_path.glob("*.json"))) == 2:
            lost.append(raylet_pid(next(iter(cluster.worker_nodes))))
            os.kill(lost[0], signal.SIGKILL)
        elif lost and not all(map(lives, tmp_path.glob("*.pid"))):
            (tmp_path / "go").touch()
        return False

    with connected(cluster.address) as ray:
        nodes = alive_nodes(ray)
        assert [node.cpus for node in nodes].count(1.0) == 2
        check_nodes(ray, nodes, [str(tmp_path)])
        with pytest.raises(BackendError, match=f"does not see {tmp_path / 'not_here'}"):
            check_nodes(ray, nodes, [str(tmp_path / "not_here")])
        room = room_for(nodes, 4)
        assert (room.cpus, room.at_once) == (1, 2)
        ClusterSchedule(ray, standings, jobs, room, at_once=4, estimate=10.0).run(lose_a_node)
    assert counts(standings) == {"done": 3, "failed": 1}
    assert standings[2].reason == "No images."
    done = [standing for standing in standings if standing.state == "done"]
    assert all(standing.result["steps"] == [0, 1, 2, 3, 4] for standing in done)
    assert all(standing.result["threads"] == "1" for standing in done)
    # The one of the lost node began again after the step that it had done.
    moved = [standing for standing in standings if standing.moves]
    assert [standing.moves for standing in moved] == [1]
    assert moved[0].result["began"] >= 1


class Killer(Reporter):
    """Kills the actor as soon as some images have rows."""

    def __init__(self, raylets: list[int]) -> None:
        super().__init__()
        self.killed: list[int] = []
        self._raylets = raylets

    def update(self, phase: str, done: float = 0.0, total: float | None = None, note: str = "") -> None:
        if phase == "deciding" and done and not self.killed:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                parent = int(path.with_name("stat").read_text().rpartition(")")[2].split()[1])
                if parent in self._raylets and b"ShardActor" in path.read_bytes():
                    self.killed.append(int(path.parent.name))
                    os.kill(self.killed[0], signal.SIGKILL)


def test_images_are_decided_once_each_though_an_actor_is_killed(
    cluster: Any,
    images: Path,  # noqa: F811
    make_bundle: Callable[..., Bundle],  # noqa: F811
    tmp_path: Path,
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for number in range(60):
        (archive / f"{number:02d}.png").symlink_to(images / ("good/0.png" if number % 4 else "bad/0.png"))
    (archive / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    killer = Killer([raylet_pid(node) for node in cluster.worker_nodes])
    options = JudgeOptions(
        model=make_bundle().path,
        source=str(archive),
        into=tmp_path / "r.parquet",
        backend="cpu",
        ray=cluster.address,
        jobs=1,
    )
    outcome = judge_archive(options, killer, StopRequest())
    assert len(killer.killed) == 1
    assert (outcome.complete, outcome.lost, outcome.member) == (True, 1, "actor")
    assert outcome.counts == {"good": 45, "suspect": 0, "anomalous": 15, "unreliable": 0, "error": 1}
    rows = [row for path in outcome.into.glob("*.parquet") for row in pq.ParquetFile(path).read().to_pylist()]
    assert sorted(row["index"] for row in rows) == list(range(61))
    assert {row["source"] for row in rows} == {str(path) for path in archive.iterdir()}
    record = json.loads(pq.read_metadata(next(outcome.into.glob("*.parquet"))).metadata[b"dmdd_edge"])
    assert record["threshold"] == 0.5
