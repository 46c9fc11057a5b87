"""The options of a training, for the command line and for Python; loads neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from dmdd_edge.data_address import data_place
from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options, Rule
from dmdd_edge.run_store.mirror import runs_place
from dmdd_edge.train.devices import check_device_name
from dmdd_edge.train.option_values import (
    BACKBONES,
    check_backbone,
    check_bits,
    check_image_size,
    check_rotation,
)
from dmdd_edge.train.tile_options import TileOptions

_METHOD = "Method (the paper's ablation rows)"
_CHANGES = "Changes that training makes to images"
_DATA = "Images"
_LENGTH = "Length and speed"


@dataclass(frozen=True, kw_only=True)
class RunsDirOption(Options):
    """Where training runs are."""

    runs_dir: Annotated[
        str | Path,
        Option(
            "Folder of the runs, or its address in a store, such as s3://plant/runs. Default: runs.",
            parse=runs_place,
        ),
    ] = Path("runs")


@dataclass(frozen=True, kw_only=True)
class DeviceOption(Options):
    """What torch computes on."""

    device: Annotated[
        str,
        Option(
            "What torch computes on: auto, cpu, cuda or cuda:NUMBER.",
            check=check_device_name,
            suggested=("auto", "cpu", "cuda"),
        ),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Options):
    """The images to learn from, and how they are prepared."""

    data: Annotated[
        str | Path | None,
        Option(
            "Data set (layout of MVTec AD, VisA, BTAD or MPDD) or a folder of good images; or its address in "
            "a store, such as s3://plant/mvtec.",
            panel=_DATA,
            parse=data_place,
        ),
    ] = None
    category: Annotated[
        str | None,
        Option(
            "Category in the data set. For a folder of your own parts, a name that you choose.",
            panel=_DATA,
            folders_of=("data",),
        ),
    ] = None
    textures: Annotated[
        Path | None,
        Option("Texture images for the synthesis (DTD or any folder). Default: built-in.", panel=_DATA),
    ] = None
    known_bad: Annotated[
        Path | None,
        Option(
            "Images of known-bad parts: never trained on; training says which the threshold finds. Eight or "
            "more may choose the weights of the maps.",
            panel=_DATA,
        ),
    ] = None
    roi: Annotated[
        str | None, Option("Region of interest in source pixels.", metavar="X,Y,W,H", panel=_DATA)
    ] = None
    rotate: Annotated[
        int, Option("Degrees clockwise: 0, 90, 180, 270.", panel=_DATA, check=check_rotation)
    ] = 0
    ignore_mask: Annotated[Path | None, Option("Image whose white pixels are ignored.", panel=_DATA)] = None
    bits: Annotated[
        int,
        Option("Bits that the camera's 16-bit files use: 10, 12, 14 or 16.", panel=_DATA, check=check_bits),
    ] = 16
    fit: Annotated[
        Literal["stretch", "pad", "crop"] | None,
        Option(
            "How an image that is not square becomes a square input: stretch, pad (the whole image, with "
            "ignored borders), crop (its middle). Default: stretch.",
            metavar="HOW",
            panel=_DATA,
        ),
    ] = None
    holdout: Annotated[
        float | None,
        Option(
            "Share of the good images kept to set the threshold. Default: 0.1; of fewer than 200 up to 0.25.",
            panel=_DATA,
            minimum=0,
        ),
    ] = None


def _has_msn(values: Mapping[str, Any]) -> bool:
    head = values["head"] or ("msn" if values["recipe"] == "paper" else "scaled")
    return bool(values["resume"] or values["continue_run"]) or head == "msn"


@dataclass(frozen=True, kw_only=True)
class ContinueOptions(Options):
    """The run to continue, and the images to continue it with."""

    continue_run: Annotated[
        str | None,
        Option(
            "Finished run, its name or its folder, to continue with the images of --add in a new run.",
            name="--continue",
            metavar="RUN",
            panel=_DATA,
        ),
    ] = None
    add: Annotated[
        tuple[Path, ...],
        Option("Folder of more good images, for --continue; may be given several times.", panel=_DATA),
    ] = ()

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("add",),
            lambda values: values["continue_run"] is not None,
            "has no effect without --continue",
            "add --continue RUN",
        ),
    )

    def check(self) -> None:
        """Raise an ``OptionError`` for a run to continue without new images."""
        super().check()
        if self.continue_run is not None and not self.add:
            raise OptionError(
                "--continue needs new images.", "Add --add DIR, a folder with more images of good parts."
            )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(RunsDirOption, DeviceOption, ContinueOptions, TileOptions, ImageOptions):
    """The options of ``train_detector`` and of ``dmdd-edge train``, whose help describes each of them.

    ``data`` is needed unless ``resume`` or ``continue_run`` is set. None leaves the choice to the recipe.

    Raises:
        OptionError: a value is out of its range or unknown, or an option has no effect beside the others.
    """

    backbone: Annotated[
        str,
        Option(
            "efficientnet_lite0, _lite1 or _lite2, resnet18, wide_resnet50_2 or timm:<name>.",
            check=check_backbone,
            suggested=BACKBONES,
        ),
    ] = "efficientnet_lite0"
    weights: Annotated[
        Path | None, Option("File with the backbone's weights, for sites without internet.")
    ] = None
    recipe: Annotated[
        Literal["edge", "paper"],
        Option(
            "edge: short training and a light network for edge devices. paper: the published method, 250 "
            "passes; give --backbone wide_resnet50_2 too."
        ),
    ] = "edge"
    image_size: Annotated[
        int | None,
        Option(
            "Side of the network's input in pixels, a multiple of 32 from 64 to 1024. Default: 256.",
            check=check_image_size,
            minimum=64,
            maximum=1024,
            range_in_help=False,
        ),
    ] = None
    steps: Annotated[
        int | None,
        Option(
            "Training steps. Default: chosen from the number of images.",
            panel=_LENGTH,
            minimum=1,
            range_in_help=False,
        ),
    ] = None
    epochs: Annotated[
        float | None,
        Option("Passes over the images. Default: unset; with --recipe paper 250.", panel=_LENGTH, above=0),
    ] = None
    max_minutes: Annotated[
        float | None, Option("Time limit, preparation included.", panel=_LENGTH, above=0)
    ] = None
    batch_size: Annotated[
        int | None,
        Option(
            "Image pairs per step. Default: 8; with --recipe paper 16.",
            panel=_LENGTH,
            minimum=1,
            maximum=4096,
            range_in_help=False,
        ),
    ] = None
    lr: Annotated[
        float | None,
        Option("Learning rate. Default: 0.002; with --recipe paper 0.005.", panel=_LENGTH, above=0),
    ] = None
    head_steps: Annotated[
        int | None,
        Option(
            "Steps of the head, only for --head msn. Default: 400.",
            panel=_LENGTH,
            minimum=0,
            range_in_help=False,
        ),
    ] = None
    seed: Annotated[int, Option("Seed of every random number.", minimum=0, range_in_help=False)] = 0
    amp: Annotated[
        Literal["auto", "off", "bf16", "fp16"],
        Option("Half precision: auto, off, bf16, fp16.", panel=_LENGTH),
    ] = "auto"
    workers: Annotated[
        int,
        Option(
            "Threads that synthesize anomalies.", panel=_LENGTH, minimum=1, maximum=256, range_in_help=False
        ),
    ] = 2
    cache_mb: Annotated[
        int | None,
        Option(
            "MiB of memory for features of the good images. Default: half of what is free.",
            panel=_LENGTH,
            minimum=0,
            range_in_help=False,
        ),
    ] = None
    foreground: Annotated[
        Literal["auto", "grabcut", "otsu", "none"] | None,
        Option(
            "Where synthetic anomalies are drawn, the part or everywhere: auto, grabcut, otsu, none. "
            "Default: auto.",
            metavar="HOW",
            panel=_CHANGES,
        ),
    ] = None
    align: Annotated[
        Literal["auto", "off"] | None,
        Option(
            "Rotate each image so that a long part always has the same orientation: auto (where the images "
            "need it), off. Not with --tile. Default: auto; with --recipe paper off.",
            metavar="HOW",
            panel=_CHANGES,
        ),
    ] = None
    brightness: Annotated[
        Literal["auto", "off"] | None,
        Option(
            "Make each image as bright as the good images, by a factor of 0.8 to 1.25, so that other light "
            "is not taken for a defect: auto (where it can be measured), off. Not with --tile. Default: "
            "auto; with --recipe paper off.",
            metavar="HOW",
            panel=_CHANGES,
        ),
    ] = None
    denoise: Annotated[
        float | None,
        Option(
            "Gray levels by which each pixel is smoothed at most, so that noise of the sensor and traces of "
            "JPEG are not taken for a defect. Above 0, fine color is smoothed too, wholly. Default: 2; with "
            "--recipe paper 0.",
            metavar="LEVELS",
            panel=_CHANGES,
            minimum=0,
            maximum=32,
        ),
    ] = None
    branches: Annotated[
        Literal["both", "normality", "abnormality"] | None,
        Option(
            "Branches of the network: both, normality (reproduces good parts), abnormality (responds to "
            "damage). Default: both.",
            metavar="WHICH",
            panel=_METHOD,
        ),
    ] = None
    pmn: Annotated[
        Literal["full", "inner", "none"] | None,
        Option(
            "Paths of the network that combines coarse and fine features (Pyramid Modeling Network): full, "
            "inner, none. Default: full.",
            metavar="PATHS",
            panel=_METHOD,
        ),
    ] = None
    head: Annotated[
        Literal["scaled", "msn", "sum"] | None,
        Option(
            "What makes one map of the distance maps: scaled (weights them by good images), msn (the paper's "
            "network), sum. Default: scaled; with --recipe paper msn.",
            metavar="KIND",
            panel=_METHOD,
        ),
    ] = None
    nuisances: Annotated[
        float | None,
        Option(
            "Share of the good images that training changes by JPEG, light, blur, noise or zoom. Default: 0; "
            "0.5 tolerates more noise and drift of the light, with a slightly less exact map.",
            metavar="SHARE",
            minimum=0,
            maximum=1,
            panel=_CHANGES,
        ),
    ] = None
    fas: Annotated[
        bool,
        Option(
            "Draw synthetic anomalies on the part only (foreground-aware synthesis).",
            name="--fas/--no-fas",
            panel=_METHOD,
        ),
    ] = True
    pyramid_upsampling: Annotated[
        bool | None,
        Option("Pyramid upsampling, of --head msn only. Default: on.", name="--pu/--no-pu", panel=_METHOD),
    ] = None
    multi_perception: Annotated[
        bool | None,
        Option(
            "Multi-perception (attention), of --head msn only. Default: on.",
            name="--mm/--no-mm",
            panel=_METHOD,
        ),
    ] = None
    run: Annotated[str | None, Option("Name of the run. Default: the category's.")] = None
    resume: Annotated[bool, Option("Resume an unfinished run.")] = False
    overwrite: Annotated[bool, Option("Replace an existing run.")] = False
    tensorboard: Annotated[bool, Option("Write a TensorBoard log into the run.")] = False

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (("resume", "continue_run"),)
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("pyramid_upsampling", "multi_perception", "head_steps"),
            _has_msn,
            "has no effect without --head msn",
            "add --head msn",
        ),
        Rule(
            ("fit",),
            lambda values: values["tile"] is None,
            "has no effect with --tile, whose scale is the same in both directions",
            "leave --tile out",
        ),
        Rule(
            ("align",),
            lambda values: values["tile"] is None,
            "has no effect with --tile: a tile does not show the whole part",
            "leave --tile out",
        ),
        Rule(
            ("brightness",),
            lambda values: values["tile"] is None,
            "has no effect with --tile, whose tiles keep their brightness",
            "leave --tile out",
        ),
        Rule(
            ("foreground",),
            lambda values: values["fas"] or values["resume"] or values["continue_run"],
            "has no effect with --no-fas",
            "leave --no-fas out",
        ),
    )
