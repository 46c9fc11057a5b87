"""A training whose images are in a store: the run names the address, and every machine finds its own copy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.data_address import local_place
from dmdd_edge.messages.reporter import Reporter
from dmdd_edge.train.checkpoint import load_run, read_facts
from dmdd_edge.train.evaluate_all import evaluate_all
from dmdd_edge.train.listener import Listener, Stopped
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.places import moved
from dmdd_edge.train.plan import plan_training
from dmdd_edge.train.run_folder import FACTS, read_config
from dmdd_edge.train.session import train


def test_a_run_names_the_address_and_is_evaluated_and_continued_elsewhere(
    store: str, tiny_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "left"
    outcome = train(
        tiny_config(data=store, category="left"), folder, Listener(), resume=False, tensorboard=False
    )
    assert read_config(folder).data == store
    facts = json.loads((folder / FACTS).read_text())
    assert facts["root"] == f"{store}/left"
    assert all(name.startswith("train/good/") for name in facts["train"])
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".json"}
    assert not [name for name, data in kept.items() if str(tmp_path / "cache").encode() in data]

    monkeypatch.setenv("DMDD_DATA_CACHE", str(tmp_path / "elsewhere"))
    root = local_place(f"{store}/left")
    assert root.is_relative_to(tmp_path / "elsewhere")
    assert Path(read_facts(folder)["train"][0]).is_relative_to(root)
    assert outcome.metrics is not None
    overview, _ = evaluate_all(tmp_path / "runs", store, None, "cpu", Reporter(), lambda name, done: None)
    assert overview.failed == {}
    assert overview.rows["left"]["image_auroc"] == outcome.metrics["image_auroc"]
    assert moved(load_run(folder), None).info["root"] == str(root)
    assert json.loads((folder / FACTS).read_text())["root"] == f"{store}/left"

    lot = shutil.copytree(root / "test" / "good", tmp_path / "lot")
    made = plan_training(TrainOptions(continue_run=str(folder), add=(lot,), steps=2, run="more"))
    assert made.config.data == store


@pytest.mark.slow
def test_an_interrupted_run_is_resumed_from_its_address(
    store: str, tiny_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "left"

    class Stop(Listener):
        def stop_asked(self) -> bool:
            return True

    with pytest.raises(Stopped):
        train(tiny_config(data=store, category="left"), folder, Stop(), resume=False, tensorboard=False)
    monkeypatch.setenv("DMDD_DATA_CACHE", str(tmp_path / "elsewhere"))
    made = plan_training(TrainOptions(category="left", runs_dir=tmp_path / "runs", resume=True))
    assert made.config.data == store
    outcome = train(made.config, folder, Listener(), resume=True, tensorboard=False)
    assert outcome.category.root == local_place(f"{store}/left")
    assert outcome.metrics is not None
