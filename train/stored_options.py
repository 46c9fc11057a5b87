"""The options of a training against the configuration of a run: what they set, and what they would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from dmdd_edge.data_address import settled
from dmdd_edge.errors import OptionError
from dmdd_edge.options.model import option_fields
from dmdd_edge.train.options import TrainOptions

if TYPE_CHECKING:
    from dmdd_edge.data.datasets import Category
    from dmdd_edge.data.geometry import Fit
    from dmdd_edge.data.preprocess import Preprocess
    from dmdd_edge.data.tiles import Tiling
    from dmdd_edge.train.config import TrainConfig

#: Options by the part of the configuration that holds them.
MODEL = (
    "backbone",
    "image_size",
    "branches",
    "pmn",
    "head",
    "align",
    "brightness",
    "denoise",
    "pyramid_upsampling",
    "multi_perception",
)
SYNTHESIS = ("textures", "foreground", "fas", "nuisances")
RUN = (
    "weights", "known_bad", "steps", "epochs", "max_minutes", "batch_size", "lr", "head_steps", "holdout",
    "score", "seed", "amp", "device", "workers", "cache_mb",
)  # fmt: skip
PREPROCESS = ("roi", "rotate", "ignore_mask", "bits")
#: What needs a look at the images.
OF_IMAGES = (*PREPROCESS, "tile", "fit")
#: The number of training images that are read for the size that the region of interest must fit.
_SAMPLES = 9


def changes(
    stored: TrainConfig, options: TrainOptions, may_change: Collection[str], refused: tuple[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that were given and differ from what a run was trained with.

    Args:
        stored: the configuration of the run.
        options: as given.
        may_change: the fields that are allowed to.
        refused: the begin of the message on any other one, and its fix.

    Returns:
        the new and the old value of each.

    Raises:
        OptionError: an option differs that may not.
    """
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.train.tile_choice import choose_tiling

    values, given = options.values(), options.given()
    spelled = {field.name: field.spelling for field in option_fields(TrainOptions)}
    before = _by_option(stored)
    wanted = {name: values[name] for name in (*before, *PREPROCESS) if name in given}
    if "tile" in wanted:
        category = load_category(wanted.get("data", stored.data), stored.category)
        tiling = choose_tiling(values, stored.preprocess, category.train, stored.model.image_size)[0]
        wanted["tile"] = None if tiling is None else tiling.tile
    if "data" in wanted:
        wanted["data"] = settled(wanted["data"])
    if regions := [name for name in PREPROCESS if wanted.pop(name, None)]:
        category = load_category(wanted.get("data", stored.data), stored.category)
        kept = stored.preprocess
        if _preprocess(values, category, stored.model.image_size, kept.fit, kept.tiling) != kept:
            wanted |= {name: values[name] for name in regions}
            before |= dict.fromkeys(regions, "another region, rotation, mask or number of bits")
    different = {name: value for name, value in wanted.items() if value != before[name]}
    fixed = [name for name in different if name not in may_change]
    if fixed:
        listed = ", ".join(
            f"{spelled[name]} {different[name]} ({_of_run(stored, name, before[name])})" for name in fixed
        )
        raise OptionError(f"{refused[0]}: {listed}.", refused[1])
    return different, {name: before[name] for name in different}


def changed(stored: TrainConfig, different: Mapping[str, Any]) -> TrainConfig:
    """The configuration with other values of some options of the run or of the textures."""
    update = {name: value for name, value in different.items() if name != "textures"}
    if "textures" in different:
        update["synthesis"] = stored.synthesis.model_copy(update={"textures": different["textures"]})
    return stored.model_copy(update=update)


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

    if stored.preprocess.tiling is not None:
        return "a number"  # of the tiles, which are drawn from the images
    try:
        images = len(load_category(stored.data, stored.category).train)
    except DmddError:
        return "a number"
    return str(automatic_steps(images - holdout_count(images, stored.holdout), stored.batch_size))


def preprocess_of(values: Mapping[str, Any], category: Category, size: int) -> tuple[Preprocess, list[str]]:
    """The region, rotation, mask, bits, fit and tiles that options give, and remarks on them.

    Raises:
        DmddError: they do not fit the images.
    """
    from dmdd_edge.train.tile_choice import choose_tiling

    plain = _preprocess(values, category, size)
    tiling, lines = choose_tiling(values, plain, category.train, size)
    if tiling is None and values["fit"] is None:
        return plain, lines
    return _preprocess(values, category, size, values["fit"] or "stretch", tiling), lines


def _preprocess(
    values: Mapping[str, Any],
    category: Category,
    size: int,
    fit: Fit = "stretch",
    tiling: Tiling | None = None,
) -> Preprocess:
    from dmdd_edge.data.preprocess import Preprocess

    regions = [values[name] for name in PREPROCESS]
    shape, name = _usual_shape(category) if any(regions[:3]) else ((0, 0), None)
    return Preprocess.from_options(
        *regions, fit=fit, tiling=tiling, source_shape=shape, source_name=name, size=size
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


def _by_option(config: TrainConfig) -> dict[str, Any]:
    """The values of a configuration by the option that sets each."""
    tiling = config.preprocess.tiling
    return {
        "data": config.data,
        "recipe": config.recipe,
        "fit": config.preprocess.fit,
        "tile": None if tiling is None else tiling.tile,
        "overlap": None if tiling is None else tiling.overlap,
        "coarse": tiling is not None and tiling.coarse,
        **{name: getattr(config.model, name) for name in MODEL},
        **{name: getattr(config.synthesis, name) for name in SYNTHESIS},
        **{name: getattr(config, name) for name in RUN},
    }
