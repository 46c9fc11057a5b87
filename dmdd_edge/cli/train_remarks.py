"""Remarks on a finished training, and the command that follows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.cli.console import console, next_step
from dmdd_edge.messages.commands import command, run_options

if TYPE_CHECKING:
    from dmdd_edge.train.config import TrainConfig

#: After fewer steps a student hardly imitates its teacher.
_FEW_STEPS = 100


def short_training(config: TrainConfig, steps: int) -> str:
    """How far a time limit shortened a training, in a sentence; empty when that does not matter.

    Args:
        config: of the run.
        steps: of the student, done.
    """
    if config.max_minutes is None:
        return ""
    done = f"--max-minutes {config.max_minutes:g} ended the training after {steps} step{'s' * (steps != 1)}"
    if config.steps is not None and steps >= config.steps:
        return ""
    if steps < _FEW_STEPS:
        return (
            f"{done}: too few for a detector to rely on. Give more minutes, or "
            "no limit: the number of images then sets the steps."
        )
    return f"{done} of {config.steps}." if config.steps is not None else ""


def next_after_training(folder: Path, config: TrainConfig, info: Mapping[str, Any], **more: object) -> None:
    """Print the next command, the export; or, for a run without a threshold, why it cannot be exported.

    Args:
        folder: of the run.
        config: of the run.
        info: its facts.
        more: further options of the export.
    """
    if info["holdout"]:
        next_step(command("export", **run_options(folder, config.category), **more))
        return
    console.print(
        "no threshold: --holdout 0 keeps no good images to set it, so this run can be evaluated but not "
        "exported. To export it, train again with --holdout 0.1 and --overwrite.",
        style="yellow",
    )
