"""What changes while a run is trained: optimizers and progress, as they are saved and resumed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dmdd_edge.errors import TrainingError
from dmdd_edge.train import checkpoint as files
from dmdd_edge.train.preparation import Prepared
from dmdd_edge.train.schedule import Progress
from dmdd_edge.train.steps import Precision

#: Share of a --max-minutes budget kept for the head and the test images while nothing is measured; its
#: smallest and largest seconds.
_RESERVE = (0.08, 15.0, 120.0)


@dataclass
class TrainingState:
    """The changing part of a training; with the model's weights it is all that a checkpoint keeps.

    Attributes:
        optimizer: of the student.
        head_optimizer: of the head; None for a head without parameters.
        precision: mixed precision with its loss scale.
        progress: of the student's phase.
        spent: seconds that earlier parts of a resumed run took.
    """

    optimizer: torch.optim.Adam
    head_optimizer: torch.optim.Adam | None
    precision: Precision
    progress: Progress
    spent: float = 0.0


def start_state(prepared: Prepared, *, began: float | None, resume: bool) -> TrainingState:
    """The state from which training begins or resumes.

    Args:
        prepared: its model is filled from the checkpoint when resumed.
        began: ``time.monotonic()`` from which a time limit counts; by default the preparation's begin.
        resume: continue from the folder's checkpoint, if there is one.

    Raises:
        DmddError: the checkpoint cannot be read or does not fit.
    """
    config, model = prepared.config, prepared.model
    head = list(model.head.parameters())
    budget = 60.0 * (config.max_minutes or 0.0)
    reserve = min(max(_RESERVE[0] * budget, _RESERVE[1]), _RESERVE[2])
    state = TrainingState(
        optimizer=torch.optim.Adam(model.student.parameters(), config.lr, betas=config.betas),
        head_optimizer=torch.optim.Adam(head, config.head_lr, betas=config.betas) if head else None,
        precision=Precision(config.amp, prepared.device),
        progress=Progress.plan(
            config, len(prepared.images.train), prepared.started if began is None else began, reserve
        ),
    )
    if resume and (prepared.folder / files.STATE).is_file():
        _restore(prepared, state)
        state.progress.started -= state.spent
        state.progress.keep(reserve)
        prepared.listener.say(f"resuming after step {state.progress.step}")
    return state


def _restore(prepared: Prepared, state: TrainingState) -> None:
    tensors, facts = files.read_tensors(prepared.folder / files.STATE)
    prefix = "model."
    weights = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    files.load_trainable(prepared.model, weights)
    files.load_optimizer("student", state.optimizer, tensors)
    if state.head_optimizer is not None:
        files.load_optimizer("head", state.head_optimizer, tensors)
    state.precision.scaler.load_state_dict(facts["scaler"])
    progress = state.progress
    progress.step, progress.fraction = facts["step"], facts["fraction"]
    progress.seconds_per_step = facts["seconds_per_step"]
    state.spent = facts["spent"]


def save_state(prepared: Prepared, state: TrainingState) -> None:
    """Write the checkpoint.

    Raises:
        DmddError: it cannot be written.
    """
    tensors = {f"model.{name}": value for name, value in files.trainable_state(prepared.model).items()}
    tensors |= files.optimizer_tensors("student", state.optimizer)
    if state.head_optimizer is not None:
        tensors |= files.optimizer_tensors("head", state.head_optimizer)
    facts: dict[str, Any] = {
        "step": state.progress.step,
        "fraction": state.progress.fraction,
        "seconds_per_step": state.progress.seconds_per_step,
        "spent": seconds_spent(prepared, state),
        "scaler": state.precision.scaler.state_dict(),
    }
    files.write_state(prepared.folder, tensors, facts, prepared.listener.say)
    prepared.listener.saved(f"the checkpoint of step {state.progress.step}")


def seconds_spent(prepared: Prepared, state: TrainingState) -> float:
    """Seconds that the run took so far, those before a resume included."""
    return state.spent + time.monotonic() - prepared.started


def report_step(
    prepared: Prepared, state: TrainingState, phase: str, losses: dict[str, torch.Tensor], rate: float
) -> None:
    """Tell the listener of a step.

    Args:
        prepared, state: of the training.
        phase: ``student`` or ``head``.
        losses: of the step.
        rate: images per second; 0 where it is not measured.

    Raises:
        DmddError: a loss is not finite.
    """
    values = {name: float(value) for name, value in losses.items()}
    if not all(np.isfinite(list(values.values()))):
        raise TrainingError(
            f"Training diverged at step {state.progress.step}: {values}.",
            fix=f"Lower --lr (now {prepared.config.lr}) or choose --amp off, then train with --overwrite.",
        )
    prepared.listener.step(phase, state.progress, values, rate)
