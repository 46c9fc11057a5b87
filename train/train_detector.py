"""Train a detector: the function behind ``dmdd-edge train``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.arguments import check_instance, check_progress
from dmdd_edge.errors import TrainingError
from dmdd_edge.extras import need
from dmdd_edge.run_store.mirror import shown
from dmdd_edge.train.kept import Kept
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.plan import Plan, plan_training

if TYPE_CHECKING:
    from dmdd_edge.bundle.threshold import Threshold
    from dmdd_edge.run_store.runs import How
    from dmdd_edge.train.config import TrainConfig
    from dmdd_edge.train.schedule import Progress

_log = logging.getLogger("dmdd_edge")


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run; ``export_bundle`` turns it into a bundle.

    Attributes:
        folder: the run's folder.
        category: the category's name.
        metrics: the content of metrics.json; None without test images.
        made_damage: the figures on damage made on held-out good images; None with test images.
        threshold: from the held-out good images; None when none were held out.
        steps: training steps of the student.
        seconds: how long the training took.
        files: the figures, images and reports that were written for a person.
        outliers: training images that look unlike the others, a line each.
        config: everything that decides the run; internal.
        facts: the content of run.json; internal.
    """

    folder: Path
    category: str
    metrics: Mapping[str, Any] | None
    made_damage: Mapping[str, Any] | None
    threshold: Threshold | None
    steps: int
    seconds: float
    files: tuple[Path, ...]
    outliers: tuple[str, ...]
    config: TrainConfig = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        return f"<TrainedRun {self.category} at {self.folder}, {self.steps} steps>"


def train_detector(
    options: TrainOptions, progress: Listener | Callable[[str, float, float | None], None] | None = None
) -> TrainedRun:
    """Train a detector on images of good parts and evaluate it on its category's test images, if any.

        from pathlib import Path
        from dmdd_edge import TrainOptions, train_detector

        run = train_detector(TrainOptions(data=Path("images/screw"), steps=600))
        print(run.folder, run.threshold)

    The options are checked as a whole before torch is loaded, so a mistake is reported at once. Ctrl-C raises
    ``KeyboardInterrupt``; ``resume=True`` continues from the last checkpoint.

    Args:
        options: what to train, on what, and how.
        progress: called with a phase, the units done and their total (None where it is unknown); or a
            ``Listener``, which also gets the losses of every step and can stop the training.

    Raises:
        OptionError: an option is out of its range or contradicts another one.
        DataError: the data set is missing, or holds no good images that can be read.
        TrainingError: the run exists already, is in use, cannot be resumed, or has diverged.
        BackendError: torch is not installed, or the GPU is not available.
        StorageError: the run cannot be written.
    """
    check_instance("options", options, TrainOptions, "TrainOptions")
    check_progress(progress, Listener)
    return run_plan(plan_training(options), options, progress)


def run_plan(
    plan: Plan,
    options: TrainOptions,
    progress: Listener | Callable[[str, float, float | None], None] | None = None,
) -> TrainedRun:
    """Carry out a plan of ``plan_training``; the other arguments and the errors are ``train_detector``'s."""
    if plan.sent:
        raise TrainingError(
            f"{shown(plan.folder)} holds a finished run, which is sent now; nothing was trained.",
            "Evaluate or export it, or train it again with overwrite=True.",
        )
    listener = progress if isinstance(progress, Listener) else _Calls(progress)
    listener.preparing("loading torch", 0, None)
    with need("train"):
        from dmdd_edge.run_store.runs import kept
        from dmdd_edge.train.devices import choose_device
        from dmdd_edge.train.outliers import describe
        from dmdd_edge.train.report.writing import write_report
        from dmdd_edge.train.run_folder import open_run, run_lock
        from dmdd_edge.train.session import train

    choose_device(plan.config.device)
    how: How = "continue" if options.resume else "replace" if options.overwrite else "new"
    with run_lock(plan.folder), kept(plan.folder, how, listener.say) as keeper:
        if keeper is not None:
            listener = Kept(listener, keeper)
        config = open_run(plan.folder, plan.config, resume=options.resume, overwrite=options.overwrite)
        for note in plan.notes:
            listener.say(note)
        outcome = train(
            config,
            plan.folder,
            listener,
            resume=options.resume,
            tensorboard=options.tensorboard,
            began=plan.began,
        )
        files = list(outcome.images)
        if outcome.damage is not None:
            device = next(outcome.run.model.parameters()).device
            files.append(
                write_report(
                    plan.folder / "report.html",
                    outcome.run,
                    outcome.damage,
                    device,
                    partial(listener.preparing, "report"),
                )
            )
    facts = outcome.run.info
    return TrainedRun(
        folder=plan.folder,
        category=outcome.category.name,
        metrics=outcome.metrics,
        made_damage=None if outcome.damage is None else outcome.damage.metrics,
        threshold=outcome.threshold,
        steps=facts["steps"],
        seconds=facts["train_seconds"],
        files=tuple(files),
        outliers=tuple(describe(facts.get("outliers"))),
        config=outcome.run.config,
        facts=facts,
    )


class _Calls(Listener):
    """Calls a function with the progress of every phase; lines go to the log ``dmdd_edge``."""

    def __init__(self, progress: Callable[[str, float, float | None], None] | None) -> None:
        self._progress = progress

    def say(self, text: str) -> None:
        _log.info(text)

    def preparing(self, what: str, done: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(what, done, total)

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        if self._progress is not None and phase == "student":
            self._progress(phase, progress.step, progress.expected_steps)
