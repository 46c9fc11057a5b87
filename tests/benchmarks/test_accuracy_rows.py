"""Declarations, the results file and the tables of the accuracy study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accuracy.declaration import Experiment, check
from accuracy.experiments import SETS
from accuracy.heads import HEAD_ONLY
from accuracy.rows import append_row, latest, read_rows
from accuracy.table import parts_table, set_table

from dmdd_edge.evaluation.paper import paper_row
from dmdd_edge.messages.text import is_plain_name
from dmdd_edge.train.config import ModelConfig, make_config


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    file = tmp_path / "results" / "accuracy.jsonl"
    assert read_rows(file) == []
    for number in range(3):
        append_row(file, {"key": f"k{number % 2}", "n": number})
    assert [row["n"] for row in read_rows(file)] == [0, 1, 2]
    assert {key: row["n"] for key, row in latest(read_rows(file)).items()} == {"k0": 2, "k1": 1}


def test_a_line_torn_by_a_kill_costs_that_row_alone(tmp_path: Path) -> None:
    file = tmp_path / "accuracy.jsonl"
    append_row(file, {"key": "a", "n": 1})
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"key": "b", "n": ')
    assert [row["key"] for row in read_rows(file)] == ["a"]
    append_row(file, {"key": "b", "n": 2})
    assert [row["key"] for row in read_rows(file)] == ["a", "b"]
    assert file.read_bytes().startswith(whole)
    with pytest.raises(ValueError, match="JSON"):
        append_row(file, {"key": "c", "n": float("nan")})
    assert [row["key"] for row in read_rows(file)] == ["a", "b"]


def test_the_key_follows_what_was_declared_and_not_how_it_is_shown() -> None:
    plain = Experiment("a", "screw", 300)
    assert Experiment("a", "screw", 300, label="A", paper=(1, 2, 3)).key == plain.key
    others = [
        Experiment("a", "screw", 301),
        Experiment("a", "screw", 300, seed=1),
        Experiment("a", "screw", 300, model={"top_k": 50}),
        Experiment("a", "screw", 300, images=10),
        Experiment("a", "screw", 300, defective=0.0),
    ]
    assert len({plain.key, *(other.key for other in others)}) == 6
    longer = Experiment("b", "screw", 300, after="a").longer(900)
    assert (longer.name, longer.after, longer.steps) == ("b-900", "a-900", 900)


def test_a_name_stands_for_one_experiment() -> None:
    first = Experiment("a", "screw", 300)
    check({"x": [first], "y": [first, Experiment("b", "screw", 300, after="a")]})
    with pytest.raises(ValueError, match="'a'"):
        check({"x": [first], "y": [Experiment("a", "bottle", 300)]})
    with pytest.raises(ValueError, match="'nothing'"):
        check({"x": [Experiment("b", "screw", 300, after="nothing")]})


def test_what_is_declared_is_valid() -> None:
    """A typing error must not come to light in the middle of the night."""
    check(SETS)
    for experiment in (experiment for group in SETS.values() for experiment in group):
        assert is_plain_name(experiment.name)
        assert " " not in experiment.name
        config = make_config(
            experiment.recipe,  # type: ignore[arg-type]
            data=Path(experiment.data),
            category=experiment.category,
            steps=experiment.steps,
            seed=experiment.seed,
            model=dict(experiment.model),
            synthesis=dict(experiment.synthesis),
            **dict(experiment.run),
        )
        assert config.steps == experiment.steps
        if experiment.after is not None:
            assert set(experiment.model) <= HEAD_ONLY
            assert not experiment.synthesis
            assert not experiment.run


def test_the_papers_ablation_is_declared_whole() -> None:
    rows = SETS["ablation"]
    assert len({row.label for row in rows if row.paper is not None}) == 11
    assert sorted(row.category for row in rows) == ["bottle"] * 12 + ["screw"] * 12
    assert len({(row.steps, row.recipe, row.seed) for row in rows}) == 1  # equal budgets
    best = next(row for row in rows if row.label == "both, MSN")
    assert best.paper == (99.40, 98.85, 96.13)
    shape = ModelConfig(**{"head": "msn", **best.model})
    assert (shape.branches, shape.pmn, shape.head) == ("both", "full", "msn")
    for category in ("bottle", "screw"):
        assert paper_row(category) is not None


def _row(experiment: Experiment, image: float, pixel: float, pro: float | None) -> dict[str, Any]:
    figures = {"image_auroc": image, "pixel_auroc": pixel, "pro": pro}
    parts = {"hole": {"images": 3, **figures}}
    by_sum = {**figures, "pixel_auroc": pixel - 0.01}
    return {
        "key": experiment.key,
        "name": experiment.name,
        "steps": experiment.steps,
        "train_seconds": 90,
        "commit": "abc",
        "validation": None,
        "test": {"head": {**figures, "per_defect": parts}, "sum": {**by_sum, "per_defect": parts}},
    }


def test_a_table_has_the_means_and_the_papers_row() -> None:
    group = [Experiment(f"s{seed}", "screw", 300, seed=seed, label="screw") for seed in (0, 1, 2)]
    group.append(Experiment("not yet", "bottle", 300))
    rows = {row["key"]: row for row in map(_row, group[:3], (0.9, 0.92, 0.94), (0.98,) * 3, (0.5, 0.6, 0.7))}
    lines = set_table("seeds", group, rows).splitlines()
    assert lines[0] == "### seeds"
    assert len({line.count("|") for line in lines[2:8]}) == 1
    cells = [cell.strip() for cell in lines[4].split("|")]
    assert cells[1:5] == ["screw", "screw", "300", "0"]
    assert cells[8:13] == ["90.00", "98.00", "50.00", "97.00", "50.00"]
    mean = [cell.strip() for cell in lines[7].split("|")]
    assert mean[1:3] == ["**screw**", "mean of 3"]
    assert mean[8] == "**92.00** (90.00 to 94.00)"
    assert mean[10] == "**60.00** (50.00 to 70.00)"
    assert "1 of 4 are not measured yet" in lines[-1]


def test_means_over_categories_have_no_range_and_need_every_figure() -> None:
    pair = [Experiment(f"a-{c}", c, 300, label="a", paper=(99.4, 98.85, 96.13)) for c in ("bottle", "screw")]
    rows = {row["key"]: row for row in (_row(pair[0], 1.0, 0.99, None), _row(pair[1], 0.9, 0.98, 0.9))}
    lines = set_table("ablation", pair, rows).splitlines()
    mean = [cell.strip() for cell in lines[6].split("|")]
    assert mean[2] == "mean of 2 categories"
    assert mean[8:11] == ["**95.00**", "**98.50**", ""]
    assert mean[13:16] == ["99.40", "98.85", "96.13"]


def test_a_row_in_parts() -> None:
    text = parts_table(_row(Experiment("a", "screw", 300), 0.9, 0.98, 0.5))
    assert "| test | hole | 3 | 90.00 | 98.00 | 50.00 |" in text
    assert "| test | all |  | 90.00 | 98.00 | 50.00 | 90.00 | 97.00 | 50.00 |" in text
