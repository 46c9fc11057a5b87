"""The plan of a training, checked as a whole before torch is loaded and before anything is written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.errors import OptionError
from dmdd_edge.options.model import option_fields
from dmdd_edge.train.options import TrainOptions

if TYPE_CHECKING:
    from dmdd_edge.data.datasets import Category
    from dmdd_edge.data.preprocess import Preprocess
    from dmdd_edge.train.config import TrainConfig

#: Options by the part of the configuration that holds them.
_MODEL = ("backbone", "image_size", "branches", "pmn", "head", "pyramid_upsampling", "multi_perception")
_SYNTHESIS = ("textures", "foreground", "fas", "nuisances")
_RUN = (
    "weights", "steps", "epochs", "max_minutes", "batch_size", "lr", "head_steps", "holdout", "seed", "amp",
    "device", "workers", "cache_mb",
)  # fmt: skip
_PREPROCESS = ("roi", "rotate", "ignore_mask", "bits")
#: What may change when a run is resumed: where files are and how this machine works, not what is learned.
_MAY_CHANGE = ("data", "textures", "weights", "device", "workers", "cache_mb")
#: The number of training images that are read for the size that the region of interest must fit.
_SAMPLES = 9


@dataclass(frozen=True)
class Plan:
    """A training that can start.

    Attributes:
        folder: of the run.
        config: of the run.
        notes: what a user should know before it starts.
        began: value of ``time.monotonic()`` from which a time limit counts.
    """

    folder: Path
    config: TrainConfig
    notes: tuple[str, ...]
    began: float


def plan_training(options: TrainOptions) -> Plan:
    """Check all that can be checked without torch: data, names, device, region, numbers and the run's folder.

    Raises:
        OptionError: an option is unknown, out of its range, or contradicts another one.
        DataError: the data set is missing or holds no good images.
        TrainingError: there is a run already, or no run to resume.
    """
    from dmdd_edge.messages.text import is_plain_name
    from dmdd_edge.train.run_folder import check_run
    from dmdd_edge.workspace import find_run, run_folder

    began = time.monotonic()
    resume, overwrite, category = options.resume, options.overwrite, options.category
    if resume and overwrite:
        raise OptionError(
            "--resume and --overwrite are both given.",
            "Give --resume to continue the run, or --overwrite to train it again from the start.",
        )
    if category is not None and not is_plain_name(category):
        # Joined to the data set's folder, a path would lead out of it.
        raise OptionError(f"--category {category!r} cannot name a category.", "Give the name of its folder.")
    _check_files(options)
    notes: tuple[str, ...] = ()
    config: TrainConfig | None = None
    if resume:
        folder = find_run(category, options.run, options.runs_dir)
        stored = check_run(folder, None, resume=True, overwrite=False)
        config, notes = _resumed(stored, options)
    elif options.data is not None:
        config, folder = _new(options, options.data)
    else:
        folder = run_folder(category or "run", options.run, options.runs_dir)
    config = check_run(folder, config, resume=resume, overwrite=overwrite)
    return Plan(folder, config, notes, began)


def _check_files(options: TrainOptions) -> None:
    weights, textures = options.weights, options.textures
    if weights is not None and not weights.is_file():
        raise OptionError(f"--weights {weights}: no such file.", "Check the path.")
    if textures is not None and not textures.is_dir():
        raise OptionError(f"--textures {textures}: no such folder.", "Check the path.")


def _new(options: TrainOptions, data: Path) -> tuple[TrainConfig, Path]:
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.train.config import make_config
    from dmdd_edge.workspace import run_folder

    values = options.values()
    # What needs no look at the images comes first: a data set may be on a slow share.
    config = make_config(
        options.recipe,
        data=data.resolve(),
        category=options.category or "",
        model={name: values[name] for name in _MODEL},
        synthesis={name: values[name] for name in _SYNTHESIS},
        **{name: values[name] for name in _RUN},
    )
    if options.run is not None:
        run_folder("", options.run, options.runs_dir)
    category = load_category(data, options.category)
    folder = run_folder(category.name, options.run, options.runs_dir)
    config = config.model_copy(update={"category": category.name})
    if options.bits != 16 or options.roi or options.rotate or options.ignore_mask:
        preprocess = _preprocess(values, category, config.model.image_size)
        config = config.model_copy(update={"preprocess": preprocess})
    return config, folder


def _preprocess(values: Mapping[str, Any], category: Category, size: int) -> Preprocess:
    from dmdd_edge.data.preprocess import Preprocess

    shape, name = _usual_shape(category)
    return Preprocess.from_options(
        *(values[name] for name in _PREPROCESS), source_shape=shape, source_name=name, size=size
    )


def _usual_shape(category: Category) -> tuple[tuple[int, ...], str | None]:
    """The most frequent shape among a few training images, and the first image with it; one may be odd."""
    from dmdd_edge.data.datasets import read_images

    few = category.train[:: -(-len(category.train) // _SAMPLES)]
    first: dict[tuple[int, ...], str] = {}
    shapes: Counter[tuple[int, ...]] = Counter()
    for path, image in read_images(few, lambda path, reason: None):
        shapes[image.shape] += 1
        first.setdefault(image.shape, str(path))
    if not shapes:
        return (0, 0), None
    shape = shapes.most_common(1)[0][0]
    return shape, first[shape]


def _resumed(stored: TrainConfig, options: TrainOptions) -> tuple[TrainConfig, tuple[str, ...]]:
    """The stored configuration with what may change; any other option that differs is refused."""
    from dmdd_edge.data.datasets import load_category

    values, given = options.values(), options.given()
    spelled = {field.name: field.spelling for field in option_fields(TrainOptions)}
    before = _by_option(stored)
    wanted = {name: values[name] for name in (*before, *_PREPROCESS) if name in given}
    if "data" in wanted:
        wanted["data"] = wanted["data"].resolve()
    if regions := [name for name in _PREPROCESS if wanted.pop(name, None)]:
        category = load_category(wanted.get("data", stored.data), stored.category)
        if _preprocess(values, category, stored.model.image_size) != stored.preprocess:
            wanted |= {name: values[name] for name in regions}
            before |= dict.fromkeys(regions, "another region, rotation, mask or number of bits")
    different = {name: value for name, value in wanted.items() if value != before[name]}
    fixed = [name for name in different if name not in _MAY_CHANGE]
    if fixed:
        listed = ", ".join(
            f"{spelled[name]} {different[name]} ({_of_run(stored, name, before[name])})" for name in fixed
        )
        raise OptionError(
            f"An unfinished run cannot change: {listed}.",
            "Leave these out to continue it, or train again with --overwrite or --run NAME.",
        )
    update = {name: value for name, value in different.items() if name != "textures"}
    if "textures" in different:
        update["synthesis"] = stored.synthesis.model_copy(update={"textures": different["textures"]})
    notes = tuple(
        f"resuming with {spelled[name]} {value} ({_was(before[name])})" for name, value in different.items()
    )
    return stored.model_copy(update=update), notes


def _was(value: Any) -> str:
    return "it was not set" if value is None else f"it was {value}"


def _of_run(stored: TrainConfig, name: str, value: Any) -> str:
    """What a run has for an option, in words."""
    if value is not None:
        return f"the run has {value}"
    if name == "steps" and stored.epochs is None and stored.max_minutes is None:
        return f"the run chose {_chosen_steps(stored)} itself"
    return "the run does not set it"


def _chosen_steps(stored: TrainConfig) -> str:
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.errors import DmddError
    from dmdd_edge.train.data import holdout_count
    from dmdd_edge.train.length import automatic_steps

    try:
        images = len(load_category(stored.data, stored.category).train)
    except DmddError:
        return "a number"
    return str(automatic_steps(images - holdout_count(images, stored.holdout), stored.batch_size))


def _by_option(config: TrainConfig) -> dict[str, Any]:
    """The values of a configuration by the option that sets each."""
    return {
        "data": config.data,
        "recipe": config.recipe,
        **{name: getattr(config.model, name) for name in _MODEL},
        **{name: getattr(config.synthesis, name) for name in _SYNTHESIS},
        **{name: getattr(config, name) for name in _RUN},
    }
