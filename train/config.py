"""The configuration of a training run: every choice of the method, the two recipes and the paper's ablations.

The docstrings mark with "paper" what the paper fixes; what it leaves open has a value from our measurements
or from related work, and can be set.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, WrapValidator

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data_address import DataPlace, data_place
from dmdd_edge.errors import OptionError
from dmdd_edge.messages.validation import in_words

Recipe = Literal["edge", "paper"]
Branches = Literal["both", "normality", "abnormality"]
PmnPaths = Literal["none", "inner", "full"]
PmnConv = Literal["dense", "separable", "depthwise", "mixed"]
HeadKind = Literal["scaled", "sum", "msn"]
Foreground = Literal["auto", "grabcut", "otsu", "none"]
StageWeights = Literal["auto"] | tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat]
BranchWeight = Literal["auto"] | Annotated[float, Field(ge=0, le=5)]


class ModelConfig(BaseModel):
    """What shapes the network and so the exported graph.

    Attributes:
        backbone: one of ``BACKBONES`` or ``timm:<name>``.
        image_size: side S of the square input, in pixels.
        branches: the student's branches in use (paper: both; the others are ablation rows).
        pmn: paths of the Pyramid Modeling Network (paper: ``full``, inner and outer).
        pmn_conv: 3 x 3 convolutions of the PMN: ``dense``; ``separable``, depthwise and then 1 x 1;
            ``depthwise`` alone (the 1 x 1 convolutions between the stages mix the channels); ``mixed``,
            depthwise at the two fine stages, where 1 x 1 convolutions cost most, and separable at the others.
        residual: the student starts as the teacher's copy and learns what to change: decoupling
            convolutions start as the identity, the PMN adds to its input and starts with nothing to add.
            If False, both start at random and the PMN's output replaces its input (paper, as far as it says).
        frozen_norm: BatchNorm of the student's backbone keeps the pretrained statistics; those of a batch
            that is half synthetic anomalies do not fit the normal images seen later (paper: open).
        head: ``msn`` is the paper's segmentation network, trained on synthetic anomalies; ``sum`` adds the
            distance maps (the paper's row without MSN); ``scaled`` scales each map by its values on normal
            images and takes only the maps' weights from synthetic damage.
        abnormality_weight: weight of the abnormality branch's maps in the ``scaled`` head, 0..5, where the
            normality branch's is 1; ``auto`` chooses the anomaly map's by synthetic damage on held-out normal
            images, see ``scales``.
        stage_weights: weights of the four stages' maps in the ``scaled`` head, finest first; ``auto`` chooses
            the anomaly map's likewise.
        density: whether the ``scaled`` head may take maps for surfaces beside the branches': of the density
            of the teacher's features, see ``density``, and of another length of the branches' differences,
            see ``branch_lengths``. ``auto`` chooses by the same damage. Without such maps the network is the
            same as with ``off``.
        prototypes: whether the ``scaled`` head may use distances to usual features of the teacher, of few
            images to the nearest one in the score, see ``prototypes``, of many to that at the same place in
            score and map, see ``place_features``: ``auto`` chooses by the same damage.
        joined_score: whether the ``scaled`` head's score may be the peak of the maps' joined values, not
            the mean of their peaks, see ``head.ScaledHead``: ``auto`` chooses by the same damage.
        align: whether images of loose parts are rotated to one orientation, see ``alignment``;
            ``auto`` decides from the images.
        brightness: whether each image is made as bright as the good images, see ``brightness``; ``auto``
            decides from the images.
        denoise: gray levels by which the brightness of each pixel is smoothed at most, and with it fine
            color, see ``denoise``; 0 is off (paper: none).
        pyramid_upsampling: fusion paths over the distance maps before they are upsampled (paper: on).
        multi_perception: channel, spatial and global attention of the head (paper: on).
        head_stride: resolution of the head's attention, input size divided by this (paper: 1).
        smoothing: sigma of the Gaussian over the anomaly map, in pixels of the input; 0 is off (paper: none).
        top_k: how many of the largest map values make the score (paper: 100).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = "efficientnet_lite0"
    image_size: int = Field(256, ge=64, le=1024, multiple_of=32)
    branches: Branches = "both"
    pmn: PmnPaths = "full"
    pmn_conv: PmnConv = "mixed"
    residual: bool = True
    frozen_norm: bool = True
    head: HeadKind = "scaled"
    abnormality_weight: BranchWeight = "auto"
    stage_weights: StageWeights = "auto"
    density: Literal["off", "auto"] = "off"
    prototypes: Literal["off", "auto"] = "off"
    joined_score: Literal["off", "auto"] = "off"
    align: Literal["off", "auto"] = "off"
    brightness: Literal["off", "auto"] = "off"
    denoise: float = Field(0.0, ge=0.0, le=32.0)
    pyramid_upsampling: bool = True
    multi_perception: bool = True
    head_stride: Literal[1, 4] = 4
    smoothing: float = Field(2.0, ge=0.0, le=32.0)
    top_k: int = Field(100, ge=1, le=3840)


class SynthesisConfig(BaseModel):
    """How synthetic anomalies are made (paper: FAS, DRAEM's recipe restricted to the foreground).

    Attributes:
        fas: restrict anomalies to the foreground (paper: on; off is an ablation row).
        foreground: how the foreground is found; ``auto`` decides from the images.
        margin: how far beside the part anomalies may be too, in 256ths of the image's side (paper: 0). It
            helps a training of a few hundred steps to detect bent parts; after 1200 it has no effect.
        textures: folder of texture images; None for the built-in procedural bank.
        beta: range of the share of the original image kept under the mask.
        perlin_octave: the Perlin grid has 2^0 .. 2^perlin_octave cells per axis.
        perlin_threshold: Perlin values above it belong to the mask.
        own_textures: share of anomalies whose texture is another normal image of the category, turned and
            shifted, instead of a foreign one: misplaced parts of the part itself (paper: none).
        warps: share of anomalies that bend the part out of shape instead of blending a texture (paper: none).
        shades: share that makes it brighter or darker (paper: none).
        smears: share that removes its fine detail (paper: none).
        nuisances: share of the normal images that JPEG, light, blur or the like change before the anomaly is
            made on them (paper: none).
        match_grey: make the texture gray where the image is gray, so that color reveals nothing (paper: off).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fas: bool = True
    foreground: Foreground = "auto"
    margin: int = Field(0, ge=0, le=64)
    textures: Path | None = None
    beta: tuple[float, float] = (0.0, 0.8)
    perlin_octave: int = Field(5, ge=0, le=7)
    perlin_threshold: float = 0.5
    own_textures: float = Field(0.3, ge=0, le=1)
    warps: float = Field(0.2, ge=0, le=0.3)
    shades: float = Field(0.1, ge=0, le=0.3)
    smears: float = Field(0.1, ge=0, le=0.3)
    nuisances: float = Field(0.0, ge=0, le=1)
    match_grey: bool = True


class Parent(BaseModel):
    """What a run continues.

    Attributes:
        run: folder of the finished run whose weights are the start.
        add: folders of the new images.
        generation: how many runs are continued in a row, this one included; it gives each its own synthetic
            anomalies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Path
    add: tuple[Path, ...]
    generation: int = Field(1, ge=1)


def _place(value: Any, otherwise: Callable[[Any], DataPlace]) -> DataPlace:
    """A folder as a path, an address as a text; anything else is for pydantic to refuse."""
    return data_place(value) if isinstance(value, (str, Path)) else otherwise(value)


class TrainConfig(BaseModel):
    """Everything that decides a training run, stored with its checkpoint.

    Attributes:
        recipe: the recipe these values started from.
        data: data set root or folder of good images; or, as a text, the address of one in a store.
        category: category's name.
        weights: file with the backbone's weights; None for the backbone's own source.
        known_bad: folder with images of known-bad parts, which are never trained on; see ``known_bad``.
        batch_size: pairs of a normal and a synthetic anomalous image per step.
        steps: student steps; None when ``epochs`` or ``max_minutes`` decide, or, without those, the number
            of images (``length``).
        epochs: passes over the training images; None when ``steps`` or ``max_minutes`` decide.
        max_minutes: wall-clock limit for the whole of training, preparation included.
        lr: Adam's learning rate for the student (paper: 0.005).
        betas: Adam's betas.
        schedule: learning rate over the run; ``cosine`` ends at zero.
        aim_weight: weight of the AIM loss relative to NGM's (paper: 1). Both train the same stages: AIM
            wants to keep the response to a defect that NGM wants to remove.
        balanced_aim: anomalous and normal pixels have equal weight in the AIM loss (paper: open, so off).
        mask_threshold: a cell of the mask resized to a stage is anomalous above this share.
        head_lr: Adam's learning rate for the head.
        head_phase: when the head is trained: ``epoch`` after each epoch (paper), ``end`` after the student.
        head_steps: steps of the head under ``end``; under ``epoch`` it takes as many as the student.
        holdout: share of the normal images kept from training to set the threshold; None chooses by their
            number, see ``data.held_out``.
        score: of a tiled category: whether its map is compared with good parts at the same place; see
            ``place_choice``.
        seed: seed of every random number.
        amp: half-precision arithmetic; ``auto`` is float16 or bfloat16 on GPUs and off on CPUs.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: threads that synthesize anomalies.
        cache_mb: memory for the teacher's features of the normal images; None for half of what is free.
        parent: the run that this one continues; None for a training from the start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Recipe = "edge"
    data: Annotated[DataPlace, WrapValidator(_place)]
    category: str
    weights: Path | None = None
    known_bad: Path | None = None
    model: ModelConfig = ModelConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    preprocess: Preprocess = Preprocess()
    batch_size: int = Field(8, ge=1, le=4096)
    steps: int | None = Field(None, ge=1, le=10**9)
    epochs: float | None = Field(None, gt=0, le=1e6)
    max_minutes: float | None = Field(None, gt=0, le=1e6)
    lr: float = Field(2e-3, gt=0)
    betas: tuple[float, float] = (0.5, 0.999)
    schedule: Literal["cosine", "constant"] = "cosine"
    aim_weight: float = Field(0.1, ge=0, le=10)
    balanced_aim: bool = True
    mask_threshold: float = Field(0.3, ge=0, lt=1)
    head_lr: float = Field(2e-3, gt=0)
    head_phase: Literal["epoch", "end"] = "end"
    head_steps: int = Field(400, ge=0, le=10**9)
    holdout: float | None = Field(None, ge=0, lt=1)
    score: Literal["auto", "map", "place"] = "auto"
    seed: int = Field(0, ge=0, le=2**63 - 1)
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    device: str = "auto"
    workers: int = Field(2, ge=1, le=256)
    cache_mb: int | None = Field(None, ge=0, le=10**8)
    parent: Parent | None = None


#: What each recipe sets, as (model, synthesis, run) values. ``paper`` keeps to the paper; ``edge`` is ours.
RECIPES: dict[Recipe, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "edge": (
        {
            **dict.fromkeys(("density", "prototypes", "joined_score", "align", "brightness"), "auto"),
            "denoise": 2.0,
        },
        {},
        {},
    ),
    "paper": (
        {
            "head": "msn",
            "pmn_conv": "dense",
            "residual": False,
            "frozen_norm": False,
            "head_stride": 1,
            "smoothing": 0.0,
        },
        {"own_textures": 0.0, "warps": 0.0, "shades": 0.0, "smears": 0.0, "match_grey": False},
        {
            "batch_size": 16,
            "epochs": 250.0,
            "lr": 5e-3,
            "schedule": "constant",
            "aim_weight": 1.0,
            "balanced_aim": False,
            "mask_threshold": 0.5,
            "head_lr": 5e-3,
            "head_phase": "epoch",
        },
    ),
}

_LENGTHS = ("steps", "epochs", "max_minutes")


def make_config(
    recipe: Recipe,
    *,
    model: dict[str, Any] | None = None,
    synthesis: dict[str, Any] | None = None,
    **run: Any,
) -> TrainConfig:
    """A recipe with changes; a value of None keeps the recipe's.

    ``steps`` or ``epochs`` replace the recipe's length; ``max_minutes`` alone lets the clock decide it, and
    limits a length that is given too.

    Raises:
        DmddError: a value is outside its range or unknown.
    """
    model_values, synthesis_values, run_values = (dict(values) for values in RECIPES[recipe])
    run = {key: value for key, value in run.items() if value is not None}
    if any(name in run for name in _LENGTHS):
        for name in _LENGTHS:
            run_values.pop(name, None)
    if "steps" in run and "epochs" in run:
        raise OptionError("--steps and --epochs exclude each other.", fix="Give one of the two.")
    model_values.update({key: value for key, value in (model or {}).items() if value is not None})
    synthesis_values.update({key: value for key, value in (synthesis or {}).items() if value is not None})
    try:
        return TrainConfig(
            recipe=recipe,
            model=ModelConfig(**model_values),
            synthesis=SynthesisConfig(**synthesis_values),
            **{**run_values, **run},
        )
    except ValueError as error:
        raise OptionError(
            f"Invalid training configuration: {explain(error)}.",
            fix="See the ranges in the help: dmdd-edge train --help",
        ) from None


def explain(error: ValueError) -> str:
    """The fields that a validation rejects, with their values and the reasons, in one line."""
    details = getattr(error, "errors", None)
    if details is None:
        return str(error)
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc'])} is {item['input']!r}; it {in_words(item)}"
        for item in details()
    )
