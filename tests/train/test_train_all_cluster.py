"""`train --all --ray`: what machines of a cluster are given, and what is refused; Ray is a stand-in."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dmdd_edge.cli import train_all_cluster
from dmdd_edge.cli.main import app
from dmdd_edge.errors import DmddError
from dmdd_edge.jobs import cluster_schedule
from dmdd_edge.jobs.cluster_job import Job
from tests.fake_ray import FakeRay

FIGURES = ("image_auroc", "pixel_auroc", "pro", "pro_per_image", "image_ap", "pixel_ap", "image_f1_max")


@pytest.fixture
def data(plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set with the categories left and right, in the current folder."""
    for name in ("left", "right"):
        shutil.copytree(plates / "plate", tmp_path / "set" / name)
    monkeypatch.chdir(tmp_path)
    return Path("set")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Job], list[list[str]]]:
    """A cluster of two machines: the jobs that they were given, and the paths that they were to see."""
    given: list[Job] = []
    checked: list[list[str]] = []

    def job(board: Any, job: Job) -> Generator[None, None, Any]:
        given.append(job)
        board.begin.remote(job.name, {"event": "began", "run": "1", "place": "box2", "node": "n2"})
        yield
        if job.name == "right" and job.work["training"].get("seed") == 9:
            return {"event": "failed", "reason": "No images.", "fix": "Add images."}
        metrics: dict[str, Any] = {
            "category": job.name,
            "train_seconds": 60.0,
            **dict.fromkeys(FIGURES, 0.75),
        }
        row = {
            "decisions": None,
            "backbone": "resnet18",
            "image_size": 256,
            "per_defect": {},
            "recipe": "edge",
        }
        return {"event": "done", "result": {"version": "v1", "metrics": metrics | row}, "peak": 500.0}

    @contextmanager
    def connected(address: str) -> Iterator[FakeRay]:
        assert address == "head:6379"
        yield FakeRay()

    def check(ray: object, nodes: object, paths: list[str]) -> None:
        assert all(Path(path).exists() for path in paths)
        checked.append(paths)

    monkeypatch.setattr(cluster_schedule, "run_job", job)
    monkeypatch.setattr(train_all_cluster, "connected", connected)
    monkeypatch.setattr(train_all_cluster, "check_nodes", check)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return given, checked


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", "--all", "--ray", "head:6379", *map(str, arguments)])


def test_machines_are_given_absolute_paths_and_continue_what_is_there(
    cluster: Any, data: Path, tmp_path: Path
) -> None:
    given, checked = cluster
    result = call("--data", data, "--steps", 7, "--models-dir", "bundles", "--json")
    assert result.exit_code == 0, result.output
    assert "2 categories on 2 machines, 2 at a time, 1 core each" in result.stderr
    assert "left: started on box2" in result.stderr
    work = {job.name: job.work for job in given}["left"]
    assert work["training"] == {
        "category": "left", "data": str(tmp_path / "set"), "steps": 7, "runs_dir": str(tmp_path / "runs"),
        "resume": True, "overwrite": False,
    }  # fmt: skip
    assert (work["models_dir"], work["threads"], work["cores"]) == (str(tmp_path / "bundles"), 1, [])
    token, models, read = checked[0]
    assert Path(token).parent == tmp_path / "runs"
    assert not Path(token).exists()
    assert (models, read) == (str(tmp_path / "bundles"), str(tmp_path / "set"))
    report = json.loads(result.stdout)
    assert report["counts"] == {"done": 2}
    assert report["categories"]["left"]["node"] == "box2"


def test_the_address_of_a_data_set_travels_and_no_machine_needs_to_see_a_folder(
    cluster: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec", reason="no fsspec: pip install '.[fleet]'")
    monkeypatch.setenv("DMDD_DATA_CACHE", str(tmp_path / "cache"))
    given, checked = cluster
    address = data.absolute().as_uri()
    result = call("--data", address, "--models-dir", "bundles")
    assert result.exit_code == 0, result.output
    assert [(job.name, job.work["training"]["data"]) for job in given] == [
        ("left", address), ("right", address),
    ]  # fmt: skip
    assert checked[0][1:] == [str(tmp_path / "bundles")]
    assert not [path for job in given for path in job.paths if str(tmp_path / "set") in path]


def test_a_failed_category_ends_with_the_command_that_continues_on_the_cluster(
    cluster: Any, data: Path
) -> None:
    result = call("--data", data, "--seed", 9, "--jobs", 1)
    assert isinstance(result.exception, DmddError)
    assert "right: failed: No images." in result.stderr
    words = shlex.split(result.exception.fix.partition("then: ")[2])
    assert words[-1] == "--resume"
    assert words[words.index("--ray") + 1] == "head:6379"


def test_what_the_cluster_cannot_do_is_refused_before(cluster: Any, data: Path) -> None:
    def refused(*arguments: object) -> str:
        result = call("--data", data, *arguments)
        assert isinstance(result.exception, DmddError), result.output
        return result.exception.message

    assert "no GPU, and --device wants one" in refused("--device", "cuda")
    assert "--job-gpus has no effect with --device cpu" in refused("--device", "cpu", "--job-gpus", 1)
    assert "No machine of the cluster has 4 cores" in refused("--job-cpus", 4)
    assert cluster[0] == []
    alone = CliRunner().invoke(app, ["train", "--data", str(data), "--ray", "auto"])
    assert isinstance(alone.exception, DmddError)
    assert alone.exception.message == "--ray has no effect without --all."
    without = CliRunner().invoke(app, ["train", "--all", "--data", str(data), "--job-cpus", "2"])
    assert isinstance(without.exception, DmddError)
    assert without.exception.message == "--job-cpus has no effect without --ray."


def test_runs_that_are_replaced_go_before_anything_starts(
    cluster: Any, data: Path, tiny_outcome: Any
) -> None:
    given, _ = cluster
    run = Path("runs/left")
    shutil.copytree(tiny_outcome.run.folder, run)
    result = call("--data", data)
    assert isinstance(result.exception, DmddError)
    assert "have a run already: left." in result.exception.message
    result = call("--data", data, "--overwrite")
    assert result.exit_code == 0, result.output
    assert not run.exists()
    assert {job.name for job in given} == {"left", "right"}
    assert all(job.work["training"]["overwrite"] is False for job in given)
