"""What is said of a training that was cut short, and what may follow one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.cli.train_remarks import next_after_training, short_training


@pytest.mark.parametrize(
    ("limits", "steps", "said"),
    [
        ({"steps": 5}, 5, ""),  # what was asked for
        (
            {"steps": None, "max_minutes": 0.1},
            0,
            "--max-minutes 0.1 ended the training after 0 steps: too few",
        ),
        (
            {"steps": None, "max_minutes": 0.1},
            1,
            "--max-minutes 0.1 ended the training after 1 step: too few",
        ),
        ({"steps": None, "max_minutes": 5.0}, 900, ""),
        (
            {"steps": 1200, "max_minutes": 5.0},
            900,
            "--max-minutes 5 ended the training after 900 steps of 1200.",
        ),
        ({"steps": 4, "max_minutes": 5.0}, 4, ""),
    ],
)
def test_a_time_limit_that_cut_training_short_is_named(
    limits: dict[str, Any], steps: int, said: str, tiny_config: Callable[..., Any]
) -> None:
    found = short_training(tiny_config(**limits), steps)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_a_run_without_a_threshold_is_not_sent_to_export(
    tiny_config: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config()
    next_after_training(tmp_path / config.category, config, {"holdout": []})
    said = capsys.readouterr().err
    assert "dmdd-edge export" not in said
    assert "train again with --holdout 0.1 and --overwrite" in said
    next_after_training(tmp_path / config.category, config, {"holdout": ["a.png"]})
    assert f"next: dmdd-edge export --category {config.category}" in capsys.readouterr().err
