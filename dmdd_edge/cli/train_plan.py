"""What a ``train`` is asked to do, checked as a whole before torch is loaded and anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.errors import DmddError

if TYPE_CHECKING:
    import typer

    from dmdd_edge.data.datasets import Category
    from dmdd_edge.train.config import TrainConfig

#: Options by where they are in the configuration.
_MODEL = ("backbone", "image_size", "branches", "pmn", "head", "pyramid_upsampling", "multi_perception")
_SYNTHESIS = ("textures", "foreground", "fas")
_RUN = (
    "weights", "steps", "epochs", "max_minutes", "batch_size", "lr", "head_steps", "holdout", "seed", "amp",
    "device", "workers", "cache_mb",
)  # fmt: skip
_PREPROCESS = ("roi", "rotate", "ignore_mask", "bits")
#: What may change when a run is resumed: where files are and how this machine works, not what is learnt.
_MAY_CHANGE = ("data", "textures", "weights", "device", "workers", "cache_mb")
#: So many training images are looked at for the size that the region of interest must fit.
_LOOKED_AT = 9
#: Options whose name on the command line is not made of their name here.
_SPELLED = {"pyramid_upsampling": "--pu", "multi_perception": "--mm"}


@dataclass(frozen=True)
class Plan:
    """A training that can begin.

    Attributes:
        folder: of the run.
        config: what is trained.
        notes: what a user should know before it starts.
    """

    folder: Path
    config: TrainConfig
    notes: tuple[str, ...] = ()


def plan_training(values: Mapping[str, Any], given: frozenset[str]) -> Plan:
    """Check what can be checked without torch: data, names, device, region, numbers and the run's folder.

    Args:
        values: the options of ``train``, by their parameter's name.
        given: those that the user gave; the others have their defaults.

    Raises:
        DmddError: whatever is wrong.
    """
    from dmdd_edge.messages.text import is_plain_name
    from dmdd_edge.train.devices import check_device_name
    from dmdd_edge.train.run_folder import check_run
    from dmdd_edge.workspace import find_run, run_folder

    resume, overwrite = values["resume"], values["overwrite"]
    if resume and overwrite:
        raise DmddError(
            "--resume and --overwrite are both given.",
            "Give --resume to go on with the run, or --overwrite to train it again from the start.",
        )
    check_device_name(values["device"])
    if values["category"] is not None and not is_plain_name(values["category"]):
        # Joined to the data set's folder, a path would lead out of it.
        raise DmddError(
            f"--category {values['category']!r} cannot name a category.", "Give the name of its folder."
        )
    _check_files(values)
    notes: tuple[str, ...] = ()
    config: TrainConfig | None = None
    if resume:
        folder = find_run(values["category"], values["run"], values["runs_dir"])
        stored = check_run(folder, None, resume=True, overwrite=False)
        config, notes = _resumed(stored, values, given)
    elif values["data"] is not None:
        config, folder = _new(values)
    else:
        folder = run_folder(values["category"] or "run", values["run"], values["runs_dir"])
    return Plan(folder, check_run(folder, config, resume=resume, overwrite=overwrite), notes)


def given_options(context: typer.Context) -> frozenset[str]:
    """The parameters of a command that the user gave on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source and source.name == "COMMANDLINE")


def _check_files(values: Mapping[str, Any]) -> None:
    weights, textures, backbone = values["weights"], values["textures"], values["backbone"]
    if weights is not None and not weights.is_file():
        raise DmddError(f"--weights {weights}: there is no such file.", "Check the path.")
    if textures is not None and not textures.is_dir():
        raise DmddError(f"--textures {textures}: there is no such folder.", "Check the path.")
    from dmdd_edge.train.config import BACKBONES

    if backbone not in BACKBONES and not backbone.startswith("timm:"):
        from dmdd_edge.messages.suggest import did_you_mean

        raise DmddError(
            f"--backbone {backbone!r} is unknown.",
            f"{did_you_mean(backbone, BACKBONES)} Choose {', '.join(BACKBONES)} or timm:NAME.".lstrip(),
        )


def _new(values: Mapping[str, Any]) -> tuple[TrainConfig, Path]:
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.train.config import make_config
    from dmdd_edge.workspace import run_folder

    # What needs no look at the images first: a data set may be on a slow share.
    config = make_config(
        values["recipe"],
        data=values["data"].resolve(),
        category=values["category"] or "",
        model={name: values[name] for name in _MODEL},
        synthesis={name: values[name] for name in _SYNTHESIS},
        **{name: values[name] for name in _RUN},
    )
    if values["run"] is not None:
        run_folder("", values["run"], values["runs_dir"])
    found = load_category(values["data"], values["category"])
    folder = run_folder(found.name, values["run"], values["runs_dir"])
    config = config.model_copy(update={"category": found.name})
    if values["bits"] != 16 or any(values[name] for name in ("roi", "rotate", "ignore_mask")):
        config = config.model_copy(update={"preprocess": _preprocess(values, found, config.model.image_size)})
    return config, folder


def _preprocess(values: Mapping[str, Any], category: Category, size: int) -> Any:
    from dmdd_edge.data.preprocess import Preprocess

    shape, name = _usual_shape(category)
    return Preprocess.from_options(
        *(values[name] for name in _PREPROCESS), source_shape=shape, source_name=name, size=size
    )


def _usual_shape(category: Category) -> tuple[tuple[int, ...], str | None]:
    """The shape that most of a few training images have, and the first image of it; one may be odd."""
    from dmdd_edge.data.datasets import read_images

    few = category.train[:: -(-len(category.train) // _LOOKED_AT)]
    first: dict[tuple[int, ...], str] = {}
    shapes: Counter[tuple[int, ...]] = Counter()
    for path, image in read_images(few, lambda path, reason: None):
        shapes[image.shape] += 1
        first.setdefault(image.shape, str(path))
    if not shapes:
        return (0, 0), None
    shape = shapes.most_common(1)[0][0]
    return shape, first[shape]


def _resumed(
    stored: TrainConfig, values: Mapping[str, Any], given: frozenset[str]
) -> tuple[TrainConfig, tuple[str, ...]]:
    """The stored configuration with what may change; any other option that differs is refused."""
    from dmdd_edge.data.datasets import load_category

    before = _by_option(stored)
    asked = {name: values[name] for name in (*before, *_PREPROCESS) if name in given}
    if "data" in asked:
        asked["data"] = asked["data"].resolve()
    if wanted := [name for name in _PREPROCESS if asked.pop(name, None)]:
        category = load_category(asked.get("data", stored.data), stored.category)
        if _preprocess(values, category, stored.model.image_size) != stored.preprocess:
            asked |= {name: values[name] for name in wanted}
            before |= dict.fromkeys(wanted, "another region, rotation, mask or number of bits")
    different = {name: value for name, value in asked.items() if value != before[name]}
    fixed = [name for name in different if name not in _MAY_CHANGE]
    if fixed:
        listed = ", ".join(f"{_spell(name)} {different[name]} (the run has {before[name]})" for name in fixed)
        raise DmddError(
            f"an unfinished run cannot change: {listed}.",
            "Leave these out to go on with it, or train again with --overwrite or --run NAME.",
        )
    update = {name: value for name, value in different.items() if name != "textures"}
    if "textures" in different:
        update["synthesis"] = stored.synthesis.model_copy(update={"textures": different["textures"]})
    notes = tuple(
        f"resuming with {_spell(name)} {value} (it was {before[name]})" for name, value in different.items()
    )
    return stored.model_copy(update=update), notes


def _by_option(config: TrainConfig) -> dict[str, Any]:
    """The values of a configuration by the option that sets each."""
    return {
        "data": config.data,
        "recipe": config.recipe,
        **{name: getattr(config.model, name) for name in _MODEL},
        **{name: getattr(config.synthesis, name) for name in _SYNTHESIS},
        **{name: getattr(config, name) for name in _RUN},
    }


def _spell(name: str) -> str:
    return _SPELLED.get(name, "--" + name.replace("_", "-"))
