"""`train --all`: which categories with which options, what is left of each, the report, and its worker."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dmdd_edge.cli import train_all, train_worker
from dmdd_edge.cli.main import app
from dmdd_edge.cli.train_progress import Interrupts
from dmdd_edge.cli.train_stage import left_of, note_bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.jobs.process import Post
from dmdd_edge.train.run_folder import check_run

Answer = Callable[[dict[str, Any]], list[dict[str, Any]]]


def trained(work: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a worker that succeeds."""
    metrics = {"category": work["training"]["category"], "train_seconds": 60.0} | dict.fromkeys(
        ("image_auroc", "pixel_auroc", "pro", "pro_per_image", "image_ap", "pixel_ap", "image_f1_max"), 0.75
    )
    row = {"decisions": None, "backbone": "resnet18", "image_size": 256, "per_defect": {}, "recipe": "edge"}
    result = {"run": "runs/x", "version": "v1", "metrics": metrics | row}
    return [{"event": "done", "result": result, "peak": 500.0}]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> tuple[list[dict[str, Any]], dict[str, Answer]]:
    """Workers that answer at once: what they were given, and the answers of those that do not succeed."""
    given: list[dict[str, Any]] = []
    answers: dict[str, Answer] = {}

    class Worker:
        def __init__(
            self, words: Sequence[str], work: dict[str, Any], environment: Mapping[str, str], post: Post
        ) -> None:
            given.append(json.loads(json.dumps(work)))
            self.post = post
            for event in answers.get(work["training"]["category"], trained)(work):
                post(event)
            post({"event": "ended", "code": 0, "text": ""})

        def stop(self) -> None:
            """It has ended."""

        kill = stop

    monkeypatch.setattr(train_all, "JobProcess", Worker)
    monkeypatch.setattr(train_all, "_gpus", lambda device: [])
    return given, answers


@pytest.fixture
def data(plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set with the categories left and right, in the current folder."""
    for name in ("left", "right"):
        shutil.copytree(plates / "plate", tmp_path / "set" / name)
    monkeypatch.chdir(tmp_path)
    return Path("set")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", "--all", *map(str, arguments)])


def refused(*arguments: object) -> DmddError:
    result = call(*arguments)
    assert isinstance(result.exception, DmddError), result.output
    return result.exception


def test_every_category_is_trained_with_the_options_of_the_command(workers: Any, data: Path) -> None:
    given, _ = workers
    result = call("--data", data, "--jobs", 1, "--steps", 7, "--models-dir", "bundles", "--json")
    assert result.exit_code == 0, result.output
    assert [work["training"]["category"] for work in given] == ["left", "right"]
    assert given[0]["training"] == {
        "category": "left", "data": "set", "steps": 7, "runs_dir": "runs",
        "resume": False, "overwrite": False,
    }  # fmt: skip
    assert given[0]["models_dir"] == "bundles"
    report = json.loads(result.stdout)
    assert report["counts"] == {"done": 2}
    assert report["categories"]["left"]["version"] == "v1"
    assert report["mean"]["pro"] == 0.75
    assert "mean of 2" in result.stderr
    assert result.stderr.splitlines()[-1].startswith(
        "next: dmdd-edge run --category left --models-dir bundles"
    )


def test_categories_of_an_address_are_listed_and_each_worker_copies_its_own(
    workers: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec", reason="no fsspec: pip install '.[fleet]'")
    monkeypatch.setenv("DMDD_DATA_CACHE", str(tmp_path / "cache"))
    address = data.absolute().as_uri()
    result = call("--data", f"{address}/", "--json")
    assert result.exit_code == 0, result.output
    assert [(work["training"]["category"], work["training"]["data"]) for work in workers[0]] == [
        ("left", address), ("right", address),
    ]  # fmt: skip
    assert not (tmp_path / "cache").exists()
    secret = refused("--data", "sftp://line:hunter2@nas/mvtec")
    assert "hunter2" not in str(secret)


def test_jobs_share_memory_and_threads(workers: Any, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, _ = workers
    monkeypatch.setattr(train_all, "core_groups", lambda: [(0,), (1,), (2,)])
    monkeypatch.setattr(train_all, "usable_cores", lambda: 3)
    monkeypatch.setattr(train_all, "free_memory_mb", lambda: 8000)
    result = call("--data", data, "--jobs", 9)
    assert result.exit_code == 0, result.output
    assert "3 at a time, 1 core each (not 9: there are 3 cores for them)" in result.stderr
    assert [work["training"]["cache_mb"] for work in given] == [8000 // 2 // 3] * 2
    assert [work["training"]["workers"] for work in given] == [1, 1]
    assert [work["cores"] for work in given] == [[0], [1]]


def test_a_list_gives_each_category_its_options_and_the_command_wins(workers: Any, data: Path) -> None:
    given, _ = workers
    Path("parts.toml").write_text(
        'data = "set"\nsteps = 5\nimage-size = 128\n[left]\nsteps = 9\nfalse_alarm_rate = 0.05\n'
        '[right]\nseed = 4\ntarget = "onnx"\n'
    )
    assert call("--categories", "parts.toml", "--image-size", 64).exit_code == 0
    left, right = given
    assert (left["training"]["steps"], left["training"]["image_size"], left["export"]) == (
        9, 64, {"false_alarm_rate": 0.05},
    )  # fmt: skip
    assert (right["training"]["steps"], right["training"]["seed"], right["export"]) == (
        5,
        4,
        {"target": "onnx"},
    )


@pytest.mark.parametrize(
    ("text", "says", "fix"),
    [
        ("[left]\nstep = 4\n", "parts.toml, line 2: 'step'", "steps"),
        ("[left]\nsteps = 0\n", "parts.toml, line 2: steps is 0", "at least 1"),
        ("[left]\nresume = true\n", "parts.toml, line 2: 'resume'", "Options of a category"),
        ("steps = 3\n[left]\nhead_steps = 2\n", "parts.toml, line 2: [left]: --head-steps", "--head msn"),
        ("[left]\n[lefd]\n", "parts.toml, line 2: [lefd]: set: no category 'lefd'", "Did you mean 'left'?"),
        ('[left]\n["../up"]\n', "parts.toml, line 2: [../up]: '../up' cannot name a run", "letters"),
        ("[left]\nimage_size = 100\n", "parts.toml, line 2: --image-size is 100", "Give 96 or 128"),
        ('[left]\nweights = "gone.pth"\n', "parts.toml, line 1: [left]: --weights gone.pth:", "path"),
    ],
)
def test_a_mistake_in_a_list_is_named_with_its_line(
    text: str, says: str, fix: str, workers: Any, data: Path
) -> None:
    Path("parts.toml").write_text(text)
    error = refused("--data", data, "--categories", "parts.toml")
    assert says in error.message
    assert fix in error.fix
    assert workers[0] == []


def test_a_folder_that_is_one_category_is_not_taken_for_several(workers: Any, data: Path) -> None:
    """Its folders of test images and of defects must not be trained on."""
    (Path("sorted") / "good").mkdir(parents=True)
    shutil.copy(next((data / "left/train/good").iterdir()), "sorted/good/1.png")
    shutil.copytree("sorted/good", "sorted/scratch")
    for folder in (data / "left", Path("sorted")):
        error = refused("--data", folder)
        assert error.message.startswith(f"{folder} is one category"), error.message
        assert "without --all" in error.fix
    assert workers[0] == []


def test_what_is_finished_needs_no_images_to_be_passed_over(
    workers: Any, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("parts.toml").write_text("[left]\n[gone]\n")
    monkeypatch.setattr(train_all, "left_of", lambda folder, models: "nothing")
    assert call("--data", data, "--categories", "parts.toml", "--resume").exit_code == 0
    assert workers[0] == []


def test_options_of_one_category_are_refused(data: Path) -> None:
    assert "--category is for one category" in refused("--data", data, "--category", "left").message
    assert "--known-bad" in refused("--data", data, "--known-bad", data).message
    assert "--resume and --overwrite" in refused("--data", data, "--resume", "--overwrite").message
    assert "data set is missing" in refused().message
    alone = CliRunner().invoke(app, ["train", "--data", str(data), "--jobs", "2"])
    assert isinstance(alone.exception, DmddError)
    assert alone.exception.message == "--jobs has no effect without --all."


def test_a_failed_category_stops_no_other_and_ends_with_its_reason(workers: Any, data: Path) -> None:
    given, answers = workers
    answers["left"] = lambda work: [{"event": "failed", "reason": "No images.", "fix": "Add images."}]
    result = call("--data", data, "--no-fas", "--seed", 3)
    assert isinstance(result.exception, DmddError)
    assert len(given) == 2
    assert "1 of 2 categories failed: left. 1 are done." in result.exception.message
    assert "left: failed: No images." in result.stderr
    assert "fix: Add images." in result.stderr
    words = shlex.split(result.exception.fix.partition("then: ")[2])
    assert words == ["dmdd-edge", "train", "--all", "--data", "set", "--seed", "3", "--no-fas", "--resume"]


def test_a_signal_ends_with_the_command_to_go_on(workers: Any, data: Path) -> None:
    _, answers = workers

    def interrupted(work: dict[str, Any]) -> list[dict[str, Any]]:
        signal.raise_signal(signal.SIGINT)
        return [{"event": "stopped"}]

    answers["left"] = interrupted
    result = call("--data", data)
    assert result.exit_code == 130
    assert "of 2 categories: 1 waiting, 1 stopped" in result.stderr
    assert result.stderr.splitlines()[-1] == "next: dmdd-edge train --all --data set --resume"


def test_runs_that_are_there_are_kept_and_resume_skips_what_is_finished(
    workers: Any, data: Path, tiny_outcome: Any
) -> None:
    given, _ = workers
    run = Path("runs/left")
    shutil.copytree(tiny_outcome.run.folder, run)
    error = refused("--data", data)
    assert "1 of 2 categories have a run already: left." in error.message
    assert left_of(run, Path("models")) == "export"
    note_bundle(run, "left", "v3")
    assert left_of(run, Path("models")) == "export"  # the bundle is gone
    note_bundle(run, "left", None)  # without a threshold, no bundle
    assert left_of(run, Path("models")) == "nothing"
    result = call("--data", data, "--resume", "--json")
    assert result.exit_code == 0, result.output
    assert [work["training"]["category"] for work in given] == ["right"]
    assert json.loads(result.stdout)["counts"] == {"done": 1, "skipped": 1}
    (run / "model.safetensors").unlink()
    (run / "state.safetensors").write_bytes(b"")
    assert left_of(run, Path("models")) == "training"
    assert left_of(Path("runs/none"), Path("models")) == "new"


def test_resume_forgets_no_category_when_another_gets_a_layout(
    workers: Any, plates: Path, tmp_path: Path, tiny_outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders of plain images are categories only as long as none is in a data set's layout."""
    monkeypatch.chdir(tmp_path)
    good = plates / "plate" / "train" / "good"
    for name in ("left", "right"):
        shutil.copytree(good, Path("set") / name)
        shutil.copytree(tiny_outcome.run.folder, Path("runs") / name)
        (Path("runs") / name / "model.safetensors").rename(Path("runs") / name / "state.safetensors")
    shutil.copytree(good, Path("set/left/train/good"))
    result = call("--data", "set", "--resume", "--json")
    assert result.exit_code == 0, result.output
    assert [work["training"]["category"] for work in workers[0]] == ["left", "right"]


def test_a_category_that_failed_on_its_images_is_trained_again(tmp_path: Path) -> None:
    folder = tmp_path / "left"
    folder.mkdir()
    (folder / "train.log").write_text("a first try\n")
    config: Any = object()
    assert check_run(folder, config, resume=False, overwrite=False) is config
    (folder / "notes.txt").write_text("of a person")
    with pytest.raises(DmddError, match="holds no run"):
        check_run(folder, config, resume=False, overwrite=False)


def test_the_worker_trains_and_does_only_what_is_left_afterwards(
    data: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[Path] = []

    def export(category: str, folder: Path, work: object, progress: object) -> str:
        exported.append(folder)
        return "v1"

    monkeypatch.setattr(train_worker, "_export", export)
    training = {
        "category": "left", "data": str(data), "runs_dir": "runs", "backbone": "timm:test_efficientnet",
        "weights": str(tiny_weights), "image_size": 64, "steps": 2, "batch_size": 2, "device": "cpu",
        "head": "sum", "resume": False, "overwrite": False,
    }  # fmt: skip
    work = {"training": training, "export": {}, "models_dir": "models", "cores": [], "threads": 1}
    events: list[dict[str, Any]] = []
    with Interrupts() as interrupts:
        result = train_worker.work_on(work, events.append, interrupts)
        assert result["version"] == "v1"
        assert result["metrics"] == json.loads(Path("runs/left/metrics.json").read_text())
        assert result["metrics"]["steps"] == 2
        shares = [event["share"] for event in events]
        assert shares == sorted(shares)
        assert 0.0 <= shares[0] < shares[-1] <= 0.85
        assert all(0 < event["memory"] <= event["peak"] * 1.01 for event in events)
        before = Path("runs/left/model.safetensors").stat().st_mtime_ns
        training["resume"] = True
        assert train_worker.work_on(work, events.append, interrupts) == result
    assert exported == [Path("runs/left")] * 2  # models/left/v1 is not there, so it is exported again
    assert Path("runs/left/model.safetensors").stat().st_mtime_ns == before
