"""The weights that a continued run starts from: teacher and student of the run before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from dmdd_edge.train import checkpoint as files
from dmdd_edge.train.config import Parent, TrainConfig
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.run_folder import run_lock

_STUDENT, _HEAD, _ALIGNMENT, _BRIGHTNESS = "student.", "head.", "alignment.", "brightness."


def start_from_parent(config: TrainConfig, parent: Parent, folder: Path) -> DMDD:
    """The model with the weights of the run that is continued; its head is fitted again.

    The weights are copied into the folder first, so that a resumed run does not need the old one. A head that
    is trained starts from the old one's; one that is fitted to the images, with its density, lengths and
    prototypes, starts afresh.

    Args:
        config: of the new run.
        parent: the run that is continued.
        folder: of the new run.

    Raises:
        DmddError: the old run is unfinished, in use or damaged.
    """
    teacher, start = folder / files.TEACHER, folder / files.START
    if not start.is_file():
        with run_lock(parent.run, shared=True):
            weights = files.read_tensors(parent.run / files.MODEL)[0]
            files.write_tensors(teacher, files.read_tensors(parent.run / files.TEACHER)[0])
        prefixes = (_STUDENT, _HEAD, _ALIGNMENT, _BRIGHTNESS)
        kept = {name: value for name, value in weights.items() if name.startswith(prefixes)}
        files.write_tensors(start, kept)
    model = DMDD(config.model, pretrained=False, check=False)
    files.fill(model.teacher, files.read_tensors(teacher)[0])
    weights = files.read_tensors(start)[0]
    files.fill(model.student, _below(_STUDENT, weights))
    if any(True for _ in model.head.parameters()):
        files.fill(model.head, _below(_HEAD, weights))
    return model


def load_alignment(model: DMDD, folder: Path) -> str | None:
    """Align as the run before, so that its student sees what it knows.

    Args:
        model: gets that run's alignment, if it had one.
        folder: of the new run.

    Returns:
        why images are not aligned; None where they are.
    """
    found = _load(_ALIGNMENT, model.add_alignment, folder)
    return None if found else "the run before did not rotate them"


def load_brightness(model: DMDD, folder: Path) -> str | None:
    """Make images as bright as the run before did.

    Args:
        model: gets that run's brightness, if it had one.
        folder: of the new run.

    Returns:
        why their brightness is not changed; None where it is.
    """
    found = _load(_BRIGHTNESS, model.add_brightness, folder)
    return None if found else "the run before did not change it"


def _load(prefix: str, add: Callable[[], nn.Module], folder: Path) -> bool:
    """Add the model's part of this prefix as the run before had it; False where it had no such part."""
    weights = folder / files.MODEL
    stored = files.read_tensors(weights if weights.is_file() else folder / files.START)[0]
    kept = _below(prefix, stored)
    if kept:
        files.fill(add(), kept)
    return bool(kept)


def _below(prefix: str, weights: files.Tensors) -> files.Tensors:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
