"""The training of one category: preparation, the student's phase, the head's phase, the finished run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dmdd_edge.data.datasets import Category
from dmdd_edge.train import checkpoint as files
from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.continuation import read_continuation
from dmdd_edge.train.head_phase import train_head
from dmdd_edge.train.levels import measure_levels
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.preparation import Prepared, prepare
from dmdd_edge.train.run_folder import COMPLETE
from dmdd_edge.train.scales import MapChoice
from dmdd_edge.train.state import TrainingState, seconds_spent, start_state
from dmdd_edge.train.steps import describe_split
from dmdd_edge.train.student_phase import cache_features, train_student


@dataclass
class Trainer:
    """Trains one category into a run's folder.

    Args:
        config: the run's configuration.
        category: its images.
        folder: where the run is written; must exist and hold the configuration when resumed.
        listener: receives progress.
        resume: continue from the folder's last checkpoint.
        began: ``time.monotonic()`` from which a time limit counts; by default when the preparation begins.
    """

    config: TrainConfig
    category: Category
    folder: Path
    listener: Listener = field(default_factory=Listener)
    resume: bool = False
    began: float | None = None

    def run(self) -> files.Run:
        """Train to the end and write the run.

        Returns:
            the finished run, as ``load_run`` gives it.

        Raises:
            DmddError: the images, the weights, the device or the disk cannot be used, or training diverged.
            Stopped: the listener requested it; the checkpoint is written.
        """
        return self.train(self.prepare())

    def prepare(self) -> Prepared:
        """Everything before the first step; for errors see ``run``."""
        return prepare(self.config, self.category, self.folder, self.listener, resume=self.resume)

    def train(self, prepared: Prepared) -> files.Run:
        """Everything after the preparation; for result and errors see ``run``."""
        if self.resume and (self.folder / files.MODEL).is_file():
            return _trained_before(prepared)
        features = cache_features(prepared)
        state = start_state(prepared, began=self.began, resume=self.resume)
        train_student(prepared, state, features)
        choice = train_head(prepared, state, features)
        return _finish(prepared, state, choice)


def _trained_before(prepared: Prepared) -> files.Run:
    """A run that ended after its model was written: only what follows the training remains."""
    folder, model = prepared.folder, prepared.model
    files.load_trainable(model, files.read_tensors(folder / files.MODEL)[0])
    _drop_unfinished(folder)
    facts = files.read_facts(folder)
    return files.Run(folder, files.finished_config(prepared.config, facts, folder), facts, model.eval())


def _finish(prepared: Prepared, state: TrainingState, choice: MapChoice | None) -> files.Run:
    """Write the run's facts and its model; the model last, since its presence says that training is done."""
    config, category, images, model = prepared.config, prepared.category, prepared.images, prepared.model
    model.eval()
    seconds = seconds_spent(prepared, state)
    facts: dict[str, Any] = {
        "layout": category.layout,
        "root": str(category.root.absolute()),
        "data_set": {**category.summary(), "doubts": images.doubts},
        "train": [str(path.absolute()) for path in images.train_paths],
        "holdout": [str(path.absolute()) for path in images.holdout_paths],
        "skipped": [[str(path.absolute()), reason] for path, reason in category.skipped],
        "alignment": {"aligned": prepared.not_aligned is None, "reason": prepared.not_aligned},
        "brightness": {"changed": prepared.own_brightness is None, "reason": prepared.own_brightness},
        "foreground": {"method": prepared.foreground.method, "failed": prepared.foreground.failed},
        "steps": state.progress.step,
        "train_seconds": round(seconds, 1),
        "seconds": {name: round(value, 2) for name, value in prepared.watch.seconds.items()},
        "device": str(prepared.device),
        "amp": state.precision.name,
        "parameters": files.count_parameters(model.student) + files.count_parameters(model.head),
        "map_weights": None if choice is None else choice.facts(),
        **measure_levels(prepared),
        "created_with": versions(),
        COMPLETE: False,
    }
    if config.parent is not None:
        continued = read_continuation(prepared.folder, config)
        facts |= {name: continued[name] for name in ("parent", "added")}
    files.write_facts(prepared.folder, facts)
    files.write_tensors(prepared.folder / files.MODEL, files.trainable_state(model))
    _drop_unfinished(prepared.folder)
    prepared.listener.saved("the trained model")
    prepared.listener.note(describe_split(facts["seconds"], seconds))
    return files.Run(prepared.folder, files.finished_config(config, facts, prepared.folder), facts, model)


def _drop_unfinished(folder: Path) -> None:
    """Remove what only an unfinished run needs."""
    for name in (files.STATE, files.START):
        (folder / name).unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Versions of what shapes a run's result."""
    import timm
    import torchvision

    from dmdd_edge._version import __version__

    return {
        "dmdd_edge": __version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
    }
