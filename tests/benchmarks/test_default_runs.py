"""Rows of the default command: only of runs without options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import common
import pytest
from accuracy.default_runs import changed_options, row

from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.config import TrainConfig, make_config


def config(**values: Any) -> TrainConfig:
    return make_config("edge", data=Path("/somewhere/mvtec"), category="screw", **values)


def test_a_run_without_options_is_the_defaults() -> None:
    assert changed_options(config()) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": 3000}, ["steps"]),
        ({"seed": 1}, ["seed"]),
        ({"model": {"density": "off"}, "holdout": 0.2}, ["holdout", "model"]),
        ({"synthesis": {"nuisances": 0.5}}, ["synthesis"]),
    ],
)
def test_each_option_is_named(changes: dict[str, Any], named: list[str]) -> None:
    assert changed_options(config(**changes)) == named


def test_another_recipe_is_no_default() -> None:
    paper = make_config("paper", data=Path("/somewhere/mvtec"), category="screw")
    assert "recipe" in changed_options(paper)


def test_a_row_has_the_figures_of_the_set_and_of_each_defect() -> None:
    chosen = {
        "stages": [1.0, 1.0, 0.5, 0.0],
        "abnormality": 0.3,
        "density": 0.25,
        "prototypes": 0.0,
        "lengths": 0.5,
        "place": 0.5,
        "joined_score": True,
    }
    info = {
        "train": ["a", "b", "c"],
        "holdout": ["d"],
        "steps": 240,
        "train_seconds": 90.0,
        "map_weights": {**chosen, "tried": [], "images": 9},
    }
    metrics = {
        "image_auroc": 0.98765432,
        "pixel_auroc": 0.9,
        "pro": None,
        "image_ap": 0.5,
        "per_defect": {"dent": {"images": 5, "image_auroc": 0.12345678, "pixel_auroc": 0.9, "pro": None}},
        "at_threshold": {"found": 4, "defective": 5, "false_alarms": 1, "good": 6, "threshold": 0.7},
    }
    made = row(Run(Path("run"), config(), info, None), metrics, fitted=True)  # type: ignore[arg-type]  # no network
    assert made == {
        "category": "screw",
        "data_set": "mvtec",
        "trained": 3,
        "held_out": 1,
        "steps": 240,
        "seed": 0,
        "train_minutes": 1.5,
        "head_fitted_again": True,
        "image_auroc": 0.987654,
        "pixel_auroc": 0.9,
        "pro": None,
        "per_defect": {"dent": {"images": 5, "image_auroc": 0.123457, "pixel_auroc": 0.9, "pro": None}},
        "at_threshold": {"found": 4, "defective": 5, "false_alarms": 1, "good": 6},
        "chosen": chosen,
    }


def test_rows_that_are_not_measured_again_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "commit", lambda: "new")
    before = [{"category": "bottle", "pro": 0.1}, {"category": "screw", "pro": 0.2, "commit": "first"}]
    path = tmp_path / "default_runs.json"
    path.write_text(json.dumps({"commit": "old", "figures": {"runs": before}}))
    rows = [{"category": "alien", "pro": 0.4}, {"category": "bottle", "pro": 0.3}]
    assert common.merged(path, rows, ("category",)) == [
        {"category": "bottle", "pro": 0.3, "commit": "new"},
        {"category": "screw", "pro": 0.2, "commit": "first"},
        {"category": "alien", "pro": 0.4, "commit": "new"},
    ]
