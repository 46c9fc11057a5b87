"""Trainings whose runs are in a store: continued, evaluated and listed on machines without a copy of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("fsspec", reason="no fsspec: pip install '.[fleet]'")

from dmdd_edge.cli.main import app
from dmdd_edge.cli.train_stage import BUNDLE
from dmdd_edge.errors import DmddError
from dmdd_edge.run_store import keeper, runs
from dmdd_edge.run_store.mirror import CACHE_VARIABLE
from dmdd_edge.run_store.runs import kept, open_place, outline_of
from dmdd_edge.train.listener import Listener, Stopped
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.run_folder import FACTS, METRICS, MODEL, STATE, read_json, run_lock, state_of
from dmdd_edge.train.train_detector import train_detector
from dmdd_edge.workspace import find_run

ADDRESS = "memory://plant/runs"


@pytest.fixture(autouse=True)
def empty_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    monkeypatch.setattr(runs, "PATIENCE", 0.0)
    monkeypatch.setattr(keeper, "FIRST_WAIT", 0.0)
    yield
    MemoryFileSystem.store.clear()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda name: monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / name))


class Stop(Listener):
    """Stops a training after its third step."""

    steps = 0

    def step(self, *values: Any) -> None:
        self.steps += 1

    def stop_asked(self) -> bool:
        return self.steps >= 3


@pytest.mark.slow
def test_a_stopped_training_continues_elsewhere_to_the_same_result_and_is_evaluated_there(
    machine: Callable[[str], None], plates: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    def options(place: str | Path, **more: Any) -> TrainOptions:
        return TrainOptions(
            data=plates, category="plate", runs_dir=place, backbone="timm:test_efficientnet",
            weights=tiny_weights, image_size=64, batch_size=2, steps=6, head="sum", device="cpu", seed=3,
            workers=1, holdout=0.3, **more,
        )  # fmt: skip

    plain = train_detector(options(tmp_path / "plain"))
    machine("first")
    with pytest.raises(Stopped):
        train_detector(options(ADDRESS), Stop())
    machine("second")
    with outline_of(open_place(ADDRESS) / "plate") as drawn:
        assert state_of(drawn) == "unfinished"
    with pytest.raises(DmddError, match=rf"^{ADDRESS}/plate already holds a run \(unfinished\)"):
        train_detector(options(ADDRESS))
    run = train_detector(TrainOptions(category="plate", runs_dir=ADDRESS, resume=True))
    assert (run.folder / MODEL).read_bytes() == (plain.folder / MODEL).read_bytes()
    assert run.metrics is not None
    assert plain.metrics is not None
    assert run.metrics["image_auroc"] == plain.metrics["image_auroc"]

    machine("third")
    result = CliRunner().invoke(app, ["evaluate", "--all", "--runs-dir", ADDRESS, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert f"dmdd-edge export --category plate --runs-dir {ADDRESS}" in result.stderr
    machine("fourth")
    folder = find_run("plate", None, ADDRESS)
    assert state_of(folder) == "finished"
    assert not (folder / STATE).exists()
    assert read_json(folder / METRICS)["image_auroc"] == plain.metrics["image_auroc"]


def test_train_all_sees_in_the_store_what_is_left(
    machine: Callable[[str], None], tiny_outcome: Any, plates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dmdd_edge.cli import train_all

    def send(name: str, *, bundle: bool) -> None:
        folder = open_place(ADDRESS) / name
        with run_lock(folder), kept(folder, "new", print):
            folder.mkdir()
            for path in tiny_outcome.run.folder.iterdir():
                if path.is_file():
                    (folder / path.name).write_bytes(path.read_bytes())
            if bundle:
                (folder / BUNDLE).write_text(json.dumps({"category": name, "version": None}))

    started: list[str] = []

    class Worker:
        def __init__(self, words: Any, work: dict[str, Any], environment: Any, post: Any) -> None:
            assert work["training"]["runs_dir"] == ADDRESS
            started.append(work["training"]["category"])
            post({"event": "done", "result": {"version": "v1"}, "peak": 500.0})
            post({"event": "ended", "code": 0, "text": ""})

    monkeypatch.setattr(train_all, "JobProcess", Worker)
    monkeypatch.setattr(train_all, "_gpus", lambda device: [])
    machine("lab")
    send("plate", bundle=True)
    machine("another")
    words = ["train", "--all", "--data", str(plates), "--runs-dir", ADDRESS]
    words += ["--models-dir", "memory://plant/models"]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, DmddError)
    assert "1 of 1 category have a run already: plate." in result.exception.message
    result = CliRunner().invoke(app, [*words, "--resume", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["counts"] == {"skipped": 1}
    assert report["categories"]["plate"]["run"] == f"{ADDRESS}/plate"
    assert started == []
    result = CliRunner().invoke(app, [*words, "--overwrite", "--json"])
    assert result.exit_code == 0, result.output
    assert started == ["plate"]
    with outline_of(open_place(ADDRESS) / "plate") as drawn:
        assert state_of(drawn) == "none"
    assert read_json(drawn / FACTS) == {}
