"""The expected durations of a training's phases, so that one estimate includes all of them.

Seconds were measured with efficientnet_lite0 on one core. Other backbones and machines scale the networks'
phases by one factor, which ``phases.Phases`` measures during the run.
"""

from __future__ import annotations

from dmdd_edge.messages.phases import Cost
from dmdd_edge.train.coarse_gain import MOST_IMAGES
from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.made_damage import damage_tried
from dmdd_edge.train.other_cameras import images_changed
from dmdd_edge.train.place_choice import FEWEST
from dmdd_edge.train.robustness import images_tried
from dmdd_edge.train.scales import (
    BRANCH_WEIGHTS,
    CHANGED,
    COMPARING,
    DAMAGE,
    LEVELS,
    PROFILES,
    STATISTICS,
    WEIGHTS,
    damaged_images,
)
from dmdd_edge.train.tile_bank import HELD_OUT_TILES

#: Names of the phases, as people read them.
READING, FOREGROUND, TEACHER, STUDENT = "reading images", "foreground", "teacher features", "student"
HEAD_MAPS, HEAD = "distance maps for the head", "head"
COARSE = "level of the whole image's map"
COARSE_SCORE = "level of the whole image's score"
PLACES = "levels of places"
OUTLIERS, THRESHOLD = "search for images out of place", "threshold"
NUISANCES, TEST = "good images under nuisances", "evaluating images"
FIGURES = "figures and images"
REPORT = "report"

#: Seconds per image of 256 x 256: its foreground by GrabCut and by Otsu, the teacher, the distance maps,
#: one pair in a step of the student, one image in a step of the head.
_GRABCUT, _OTSU, _TEACHER, _MAPS, _PAIR, _HEAD_IMAGE = 0.05, 0.006, 0.027, 0.042, 0.26, 0.04
#: Likewise: synthesizing damage, one candidate of the weights, the search for outliers, evaluating an image,
#: its share of the figures.
_DAMAGE, _TRIAL, _OUTLIER, _EVALUATED, _FIGURES = 0.006, 0.0016, 0.042, 0.05, 0.02
#: Images on the page of a report and on the sheet of the hardest cases, at most.
_SHOWN, _HARDEST = 30, 12


def preparation(config: TrainConfig, images: int) -> list[Cost]:
    """Costs of the phases before the student's.

    Args:
        config: of the run.
        images: number of training images.
    """
    scale = images * _area(config)
    teacher = Cost(TEACHER, _TEACHER * scale)
    if config.preprocess.tiling is not None:
        return [teacher]  # the part is found while the images are read
    each = _OTSU if config.synthesis.foreground == "otsu" else _GRABCUT
    return [Cost(FOREGROUND, each * scale, "host"), teacher]


def training(
    config: TrainConfig,
    images: int,
    held_out: int,
    tests: int,
    steps: int | None,
    inputs: int = 1,
    files: int | None = None,
) -> list[Cost]:
    """Costs of the student's phase and of all later ones.

    Args:
        config: of the run.
        images: number of training images, or of tiles.
        held_out: number of held-out images.
        tests: number of test images.
        steps: of the student; None where the clock decides, so that its cost is unknown.
        inputs: of the network, for each evaluated image.
        files: number of files that are read; None where it is that of images.
    """
    area = _area(config)
    tiling = config.preprocess.tiling
    costs = [] if steps is None else [Cost(STUDENT, steps * config.batch_size * _PAIR * area)]
    if config.model.head == "scaled":
        normals = held_out or min(images, 32)
        if tiling is not None:
            normals = max(normals, HELD_OUT_TILES)
        shown = normals + damaged_images(config.model.image_size)
        tried = len(PROFILES) + len(BRANCH_WEIGHTS) - 1
        costs += [
            Cost(STATISTICS, _MAPS * images * area),
            Cost(LEVELS, _MAPS * images * area),
            Cost(DAMAGE, _DAMAGE * shown * area, "host"),
            Cost(WEIGHTS, _MAPS * shown * area),
            Cost(COMPARING, _TRIAL * tried * shown * area, "host"),
            Cost(CHANGED, _MAPS * images_changed(normals, config.model.image_size) * area),
        ]
    elif config.model.head == "msn" and config.head_phase == "end" and config.head_steps:
        pairs = 2 * config.batch_size
        costs += [
            Cost(HEAD_MAPS, _MAPS * pairs * head_batches(config, images) * area),
            Cost(HEAD, _HEAD_IMAGE * pairs * config.head_steps * area),
        ]
    each = _EVALUATED * inputs * area
    if tiling is not None and tiling.coarse:
        costs.append(Cost(COARSE, each * min(held_out or images, MOST_IMAGES)))
    if tiling is not None and config.score != "map" and held_out >= FEWEST:
        costs.append(Cost(PLACES, each * min(held_out, MOST_IMAGES)))
    costs.append(Cost(OUTLIERS, _OUTLIER * (images + held_out if files is None else files) * area))
    if held_out:
        costs.append(Cost(THRESHOLD, each * held_out))
        costs.append(Cost(NUISANCES, each * images_tried(held_out)))
    if tests:
        costs += [Cost(TEST, each * tests), _figures(config, tests, each)]
    elif held_out:  # damage is made on them, and the page of the report shows it
        tests = held_out + damage_tried()
        costs += [Cost(TEST, each * tests), _figures(config, tests, each), _report(config, tests, each)]
    return costs


def _figures(config: TrainConfig, tests: int, each: float) -> Cost:
    """The figures and the sheet of the hardest cases, whose maps are computed once more if they are large."""
    if config.preprocess.tiling is not None:
        return Cost(FIGURES, each * min(tests, _HARDEST))
    return Cost(FIGURES, _FIGURES * tests * _area(config), "host")


def _report(config: TrainConfig, tests: int, each: float) -> Cost:
    """The page; likewise."""
    shown = min(tests, _SHOWN)
    if config.preprocess.tiling is not None:
        return Cost(REPORT, each * shown)
    return Cost(REPORT, _FIGURES * shown * _area(config), "host")


def evaluating(config: TrainConfig, held_out: int, tests: int, inputs: int, report: bool) -> list[Cost]:
    """Costs of the phases of an evaluation.

    Args:
        config: of the run.
        held_out: number of held-out images.
        tests: number of test images.
        inputs: of the network, for each image.
        report: whether a page is written.
    """
    each = _EVALUATED * inputs * _area(config)
    costs = [Cost(THRESHOLD, each * held_out)] if held_out else []
    costs += [Cost(TEST, each * tests), _figures(config, tests, each)]
    return [*costs, _report(config, tests, each)] if report else costs


def head_batches(config: TrainConfig, images: int) -> int:
    """Number of batches whose distance maps train the head, when it is trained at the end."""
    return min(config.head_steps, max(4, -(-2 * images // config.batch_size)))


def _area(config: TrainConfig) -> float:
    """The input's area in units of 256 x 256 pixels."""
    return (config.model.image_size / 256) ** 2
