"""The options of an export and of an evaluation, for the command line and for Python; loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from dmdd_edge.data_address import data_place
from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.messages.suggest import did_you_mean
from dmdd_edge.options import Option, Options, Rule, needs
from dmdd_edge.options.groups import (
    AllowLossOption,
    BundleName,
    BundleOptions,
    StoredModelsOption,
    check_rate,
    check_suspect_rate,
)
from dmdd_edge.runtime.options.backend import BackendName, EngineCacheOption, PrecisionOption
from dmdd_edge.train.options import DeviceOption, RunsDirOption

_ENGINES = "Targets and engines"
#: The values of ``--target`` beside ``auto``.
TARGETS = ("onnx", "tensorrt", "rtx", "triton")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(BackendName, PrecisionOption, DeviceOption, BundleOptions, RunsDirOption):
    """The options of ``evaluate_detector`` and of ``dmdd-edge evaluate``.

    ``good`` and ``bad`` need no data set: ``category`` then takes the bundle if there is one, else the run.
    """

    run: Annotated[str | None, Option("Name of the run, when it is not the category's.")] = None
    data: Annotated[
        str | Path | None,
        Option("Data set, or its address, when it is not where training found it.", parse=data_place),
    ] = None
    good: Annotated[Path | None, Option("Your own images of good parts, with subfolders.")] = None
    bad: Annotated[
        Path | None, Option("Your own images of defective parts; a subfolder is a defect type.")
    ] = None
    masks: Annotated[Path | None, Option("Masks of the images of --bad, paired by name.")] = None
    report: Annotated[
        Path | None, Option("Write a page of figures, curves and images: an HTML file; a folder with --all.")
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("run", "runs_dir", "device"),
            lambda values: values["model"] is None,
            "has no effect with --model: it is for runs, and --model names a bundle",
            "leave --model out",
        ),
        needs(("masks",), "bad"),
    )

    @property
    def own_images(self) -> bool:
        """Whether folders of the user's images are evaluated instead of a data set."""
        return self.good is not None or self.bad is not None


def target_names(text: str) -> list[str]:
    """The targets that ``--target`` names, with commas between: ``auto`` alone, or some of ``TARGETS``.

    Raises:
        OptionError: a name is not a target.
    """
    names = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if names == ["auto"]:
        return names
    wrong = [name for name in names if name not in TARGETS]
    if wrong == ["auto"]:
        raise OptionError(
            f"--target {text}: auto is given together with other targets.",
            f"Give auto alone, or one or more of {', '.join(TARGETS)} with commas between.",
        )
    if wrong or not names:
        raise OptionError(
            f"Unknown target {wrong[0]!r}." if wrong else f"--target {text!r} names no target.",
            f"{did_you_mean(wrong[0] if wrong else '', ['auto', *TARGETS])} Give auto, or one or more of "
            f"{', '.join(TARGETS)} with commas between.".lstrip(),
        )
    return names


def _check_batch(text: str) -> None:
    from dmdd_edge.runtime.engines.sidecar import BatchProfile  # slow to import, and a help text needs none

    try:
        BatchProfile.parse(text)
    except DmddError as error:
        raise OptionError(error.message, error.fix) from None


def _builds_engines(values: Mapping[str, Any]) -> bool:
    return {name.strip() for name in values["target"].split(",")} != {"onnx"}


@dataclass(frozen=True, kw_only=True)
class BuildSettings(Options):
    """What is built, and how."""

    target: Annotated[
        str,
        Option(
            "onnx, tensorrt, rtx, triton, with commas between; auto: what this machine can build.",
            panel=_ENGINES,
            check=target_names,
            suggested=("auto", *TARGETS),
        ),
    ] = "auto"
    precision: Annotated[
        Literal["fp16", "fp32", "int8"],
        Option(
            "Precision of the engines; int8 also writes model.int8.onnx, if it loses little.", panel=_ENGINES
        ),
    ] = "fp16"
    batch: Annotated[
        str,
        Option(
            "Batch sizes of the engines, such as 1 or 1:8.", panel=_ENGINES, number=True, check=_check_batch
        ),
    ] = "1"
    workspace: Annotated[
        float | None,
        Option(
            "Scratch memory per layer, in GiB. Default: no limit.", panel=_ENGINES, minimum=0.01, maximum=1024
        ),
    ] = None
    opt_level: Annotated[
        int, Option("0 builds fast, 5 runs fast.", panel=_ENGINES, minimum=0, maximum=5, range_in_help=False)
    ] = 3
    hardware_compatible: Annotated[bool, Option("One engine for every GPU from sm80 on.", panel=_ENGINES)] = (
        False
    )
    gpu: Annotated[str, Option("GPUs of the TensorRT-RTX engine.", panel=_ENGINES)] = "sm86,sm89,sm120"
    triton_dir: Annotated[Path, Option("Folder of the Triton model repository.", panel=_ENGINES)] = Path(
        "triton"
    )

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("precision",),
            lambda values: _builds_engines(values) or values["precision"] == "int8",
            "has no effect with --target onnx: it is for engines, and --target onnx builds no engine",
            "add a target with engines, such as --target onnx,tensorrt",
        ),
        Rule(
            ("batch", "workspace", "opt_level", "hardware_compatible", "gpu"),
            _builds_engines,
            "has no effect with --target onnx: it is for engines, and --target onnx builds no engine",
            "add a target with engines, such as --target onnx,tensorrt",
        ),
        Rule(
            ("triton_dir",),
            lambda values: "triton" in values["target"],
            "has no effect without --target triton",
            "add --target onnx,triton",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class ExportOptions(
    BuildSettings, EngineCacheOption, AllowLossOption, StoredModelsOption, BundleName, RunsDirOption
):
    """The options of ``export_bundle`` and of ``dmdd-edge export``.

    ``category`` or ``run`` names the training run; ``model`` names an existing bundle instead, for which
    engines are built without torch.
    """

    run: Annotated[str | None, Option("Name of the run, when it is not the category's.")] = None
    data: Annotated[
        str | Path | None,
        Option("Data set, or its address, when it is not where training found it.", parse=data_place),
    ] = None
    false_alarm_rate: Annotated[
        float, Option("Share of good parts that may be called anomalous.", check=check_rate)
    ] = 0.01
    suspect_rate: Annotated[
        float | None,
        Option(
            "Share of good parts that may be suspect or anomalous, above --false-alarm-rate. Without it no "
            "part is suspect.",
            check=check_suspect_rate,
        ),
    ] = None

    allow_accuracy_loss: Annotated[
        float,
        Option(
            "Points of a figure that INT8 may lose beyond its limits; the manifest records it.",
            minimum=0,
            maximum=100,
            each_time=True,
        ),
    ] = 0.0
    use: Annotated[
        bool | None,
        Option(
            "Put the new version into use. Default: yes; for a run of train --continue only where no version "
            "is in use yet.",
            name="--use/--no-use",
        ),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            (
                *("run", "runs_dir", "data", "false_alarm_rate", "suspect_rate"),
                *("allow_loss", "allow_accuracy_loss", "use"),
            ),
            lambda values: values["model"] is None,
            "has no effect with --model, whose threshold and graph stay as they are",
            "name the run by --category or --run instead of --model",
        ),
        Rule(
            ("allow_accuracy_loss",),
            lambda values: values["precision"] == "int8",
            "has no effect without --precision int8",
            "add --precision int8",
        ),
    )
