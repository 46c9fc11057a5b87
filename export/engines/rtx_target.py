"""TensorRT-RTX engines, built on any machine without a GPU or driver: one engine for several targets."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.export.engines.artifact import BuiltEngine, keep
from dmdd_edge.export.engines.build import BuildOptions, build_plan
from dmdd_edge.export.engines.progress import Progress
from dmdd_edge.runtime.engines.library import load_rtx
from dmdd_edge.storage import sha256_of

if TYPE_CHECKING:
    import tensorrt_rtx

#: What ``--gpu`` means without a value: RTX 30, RTX 40 and RTX 50, desktop and professional.
DEFAULT_GPUS = "sm86,sm89,sm120"


def rtx_missing() -> str:
    """The reason why this machine cannot build TensorRT-RTX engines; empty when it can."""
    try:
        load_rtx()
    except DmddError as error:
        return f"{error.message} {error.fix}"
    return ""


def parse_gpus(text: str, rtx: ModuleType) -> tuple[str, ...]:
    """Parse ``--gpu sm86,sm89,sm120``.

    Returns:
        The names without duplicates, the smallest first.

    Raises:
        DmddError: a name is not one of the allowed values, which the message lists.
    """
    allowed = allowed_gpus(rtx)
    names = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    wrong = [name for name in names if name not in allowed]
    if wrong or not names:
        unsupported = ", ".join(wrong) or "nothing"
        raise OptionError(
            f"--gpu {text}: TensorRT-RTX {rtx.__version__} cannot build for {unsupported}; "
            f"supported: {', '.join(allowed)}.",
            "For Orin (sm87), Thor and data center GPUs use --target tensorrt, on the GPU itself.",
        )
    return tuple(sorted(names, key=_number))


def allowed_gpus(rtx: ModuleType) -> list[str]:
    """The compute capabilities that this TensorRT-RTX builds for, such as ``sm86``, the smallest first."""
    members: list[str] = list(rtx.ComputeCapability.__members__)
    return sorted((name.lower() for name in members if name.startswith("SM")), key=_number)


def build_rtx(
    onnx: Path,
    folder: Path,
    *,
    gpus: str = DEFAULT_GPUS,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> BuiltEngine:
    """Build one TensorRT-RTX engine for all the named GPUs, into ``folder``.

    Args:
        onnx: the bundle's graph of the precision in ``options``.
        folder: the bundle's ``engines``.
        gpus: as ``--gpu``.
        options: how to build; by default fp16, batch 1.
        progress: called during the build.

    Raises:
        DmddError: TensorRT-RTX is missing, a GPU is not supported, or the build fails.
    """
    rtx = load_rtx()
    options = options or BuildOptions()
    if options.hardware_compatible:
        raise OptionError(
            "--hardware-compatible does not apply to --target rtx.",
            "List all GPUs with --gpu instead, such as --gpu sm86,sm89,sm120.",
        )
    sms = parse_gpus(gpus, rtx)

    def set_targets(config: tensorrt_rtx.IBuilderConfig) -> None:
        config.num_compute_capabilities = len(sms)
        for index, name in enumerate(sms):
            capability: tensorrt_rtx.ComputeCapability = rtx.ComputeCapability.__members__[name.upper()]
            config.set_compute_capability(capability, index)

    # Without a timing cache: TensorRT-RTX needs a GPU to read one.
    plan = build_plan(rtx, onnx, options, configure=set_targets, progress=progress)
    sizes = str(options.batch).replace(":", "-")
    path = folder / f"rtx-{'-'.join(sms)}-{options.precision}-b{sizes}.engine"
    return keep(
        path,
        plan,
        options,
        flavour="rtx",
        library_version=rtx.__version__,
        onnx_sha256=sha256_of(onnx),
        sms=sms,
    )


def _number(name: str) -> int:
    return int(name.removeprefix("sm"))
