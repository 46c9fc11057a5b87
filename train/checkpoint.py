"""A run's folder: configuration, facts, weights, the state to resume from. JSON and safetensors, no pickle.

=====================  ==========================================================================
file                   content
=====================  ==========================================================================
config.json            the configuration (``TrainConfig``)
run.json               facts: training and held-out files, layout, versions, time, foreground; files are
                       relative to ``root``, the category's folder
teacher.safetensors    the teacher's weights, so that the run needs no download again
model.safetensors      student, PMN and head; present when the run is finished
state.safetensors      student, head, optimizer and progress of an unfinished run
images.json            of an unfinished run: its images by their use
continued.json         of a continued run: its images by their use, and the run that it continues
start.safetensors      of an unfinished continued run: the weights that it starts from
levels.npz             what held-out images show at each place, where maps are compared with that
metrics.json           figures on the test images
train.log              the log
=====================  ==========================================================================

Every file is written to a temporary name and renamed, so a crash at any moment leaves the old or the new one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dmdd_edge.errors import TrainingError
from dmdd_edge.outside_files import open_regular
from dmdd_edge.storage import write_atomically
from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.held_out_levels import HeldOutLevels
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.place_features import PlaceFeatures
from dmdd_edge.train.places import located, portable
from dmdd_edge.train.run_folder import CONFIG as CONFIG
from dmdd_edge.train.run_folder import FACTS as FACTS
from dmdd_edge.train.run_folder import IMAGES as IMAGES
from dmdd_edge.train.run_folder import MODEL as MODEL
from dmdd_edge.train.run_folder import START as START
from dmdd_edge.train.run_folder import STATE as STATE
from dmdd_edge.train.run_folder import TEACHER as TEACHER
from dmdd_edge.train.run_folder import check_finished, facts_beside
from dmdd_edge.train.run_folder import read_config as read_config
from dmdd_edge.train.run_folder import read_json as read_json
from dmdd_edge.train.run_folder import write_json as write_json
from dmdd_edge.train.threads import keep_to_quota

#: Tensors by name.
Tensors = dict[str, Tensor]

#: Seconds until a checkpoint that could not be written is tried once more.
RETRY_SECONDS = 5.0


@dataclass
class Run:
    """A finished training run.

    Attributes:
        folder: of the run.
        config: its configuration.
        info: its facts (``run.json``): ``train``, ``holdout`` (absolute paths of files), ``layout``,
            ``train_seconds``, ...
        model: the detector in evaluation mode.
    """

    folder: Path
    config: TrainConfig
    info: dict[str, Any]
    model: DMDD


def load_run(folder: Path) -> Run:
    """Load a finished run.

    Raises:
        DmddError: the folder holds no run, an unfinished one, or files that do not match each other.
    """
    keep_to_quota()
    config = check_finished(folder)
    model = DMDD(config.model, pretrained=False, check=False)  # the training has checked the backbone
    teacher = read_tensors(folder / TEACHER)[0]
    fill(model.teacher, teacher)
    load_trainable(model, read_tensors(folder / MODEL)[0])
    facts = _finished_facts(folder)
    return Run(folder, finished_config(config, facts, folder), facts, model.eval())


def finished_config(config: TrainConfig, facts: Mapping[str, Any], folder: Path) -> TrainConfig:
    """The configuration of a finished run: with the levels that its training measured.

    Those of the coarse pass are among the facts, those of places in a separate file.

    Raises:
        TrainingError: that file is missing or damaged.
    """
    tiling = config.preprocess.tiling
    found: dict[str, Any] = {
        name: facts[name] for name in ("coarse_gain", "coarse_score_gain") if name in facts
    }
    if facts.get("place", {}).get("by_place"):
        found["levels"] = HeldOutLevels.read(folder).levels()
    if not found or tiling is None:
        return config
    tiled = tiling.model_copy(update=found)
    preprocess = config.preprocess.model_copy(update={"tiling": tiled})
    return config.model_copy(update={"preprocess": preprocess})


def read_facts(folder: Path) -> dict[str, Any]:
    """A run's facts with absolute paths; {} without facts."""
    return located(read_json(folder / FACTS))


def write_facts(folder: Path, info: dict[str, Any]) -> None:
    """Write a run's facts, as ``read_facts`` gives them, with the files relative to their ``root``."""
    write_json(folder / FACTS, portable(info))


def _finished_facts(folder: Path) -> dict[str, Any]:
    """The facts of a finished run; those that evaluation and export need are checked."""
    facts = read_json(folder / FACTS)
    kinds: dict[str, Any] = {"train": list, "holdout": list, "steps": int, "created_with": dict}
    kinds["train_seconds"] = (int, float)
    if "root" in facts:
        kinds["root"] = str
    for name, kind in kinds.items():
        value = facts.get(name)
        fits = isinstance(value, kind) and (kind is not list or all(isinstance(part, str) for part in value))
        if not fits:
            raise TrainingError(
                f"{folder / FACTS}: the field `{name}` is missing or wrong.", "Train again with --overwrite."
            )
    return located(facts)


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any] | None = None) -> None:
    """Write tensors, and facts as JSON in the file's header, whole or not at all."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save(plain, metadata={"facts": json.dumps(facts or {})}))


def write_state(
    folder: Path, tensors: dict[str, Tensor], facts: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Write a run's checkpoint; a write that fails is tried once more.

    Args:
        folder: of the run.
        tensors, facts: as for ``write_tensors``.
        say: called with a line when the first try fails.

    Raises:
        DmddError: it cannot be written.
    """
    path = folder / STATE
    try:
        write_tensors(path, tensors, facts)
        return
    except OSError as error:
        say(f"The checkpoint {path} cannot be written: {error.strerror or error}. Retrying.")
    time.sleep(RETRY_SECONDS)
    try:
        write_tensors(path, tensors, facts)
    except OSError as error:
        raise TrainingError(
            f"The checkpoint {path} cannot be written: {error.strerror or error}.",
            fix="Free space on that disk or make it writable, then continue with --resume.",
        ) from None


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``write_tensors`` wrote: tensors and facts.

    Raises:
        DmddError: the file is missing or damaged.
    """
    try:
        with open_regular(path):
            pass  # the library would wait for a pipe
        with safe_open(str(path), framework="pt") as file:
            facts = facts_beside(file.metadata())
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}.", fix="Train again with --overwrite.") from None


def trainable_state(model: DMDD) -> dict[str, Tensor]:
    """Tensors of student, PMN and head; the teacher has its separate file."""
    return {name: value for name, value in model.state_dict().items() if not name.startswith("teacher.")}


def load_trainable(model: DMDD, state: dict[str, Tensor]) -> None:
    """Fill student, PMN and head; of its optional parts those in the state are kept.

    Raises:
        DmddError: tensors are missing, superfluous or of another shape.
    """
    if model.lengths is not None and not any(name.startswith("lengths.") for name in state):
        model.drop_lengths()
    if model.density is not None and not any(name.startswith("density.") for name in state):
        model.drop_density()
    if model.prototypes is not None and not any(name.startswith("prototypes.") for name in state):
        model.drop_prototypes()
    model.alignment = None
    if any(name.startswith("alignment.") for name in state):
        model.add_alignment()
    model.brightness = None
    if any(name.startswith("brightness.") for name in state):
        model.add_brightness()
    if "prototypes.mean" in state and model.prototypes is not None:
        model.prototypes = PlaceFeatures(state["prototypes.mean"].shape)
    if isinstance(model.head, ScaledHead) and "head.share" in state:
        model.head.keep_score_share()
    if isinstance(model.head, ScaledHead) and "head.joined" in state:
        model.head.join_score()
    _require_fit(trainable_state(model), state)
    model.load_state_dict(state, strict=False)


def fill(module: nn.Module, state: Tensors) -> None:
    """Fill a module.

    Raises:
        DmddError: tensors are missing, superfluous or of another shape.
    """
    _require_fit(module.state_dict(), state)
    module.load_state_dict(state)


def _require_fit(expected: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    if expected.keys() != state.keys() or any(expected[name].shape != state[name].shape for name in expected):
        raise TrainingError(
            "The checkpoint does not match its configuration.", fix="Train again with --overwrite."
        )


def optimizer_tensors(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's state as named tensors."""
    return {
        f"{prefix}.{index}.{key}": torch.as_tensor(value)
        for index, entry in optimizer.state_dict()["state"].items()
        for key, value in entry.items()
    }


def load_optimizer(prefix: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Fill an optimizer from named tensors."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        head, _, rest = name.partition(".")
        if head == prefix:
            index, key = rest.split(".", 1)
            state.setdefault(int(index), {})[key] = value
    content = optimizer.state_dict()
    content["state"] = state
    optimizer.load_state_dict(content)


def count_parameters(module: nn.Module) -> int:
    """Number of parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())
