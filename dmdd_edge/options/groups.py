"""Groups of options that several stages share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from dmdd_edge.errors import OptionError
from dmdd_edge.options.model import Option, Options, Rule, needs
from dmdd_edge.run_store.mirror import models_place

_CLUSTER = "Cluster"


def check_rate(rate: float) -> None:
    """Check a false-alarm rate."""
    if not 0 < rate < 1:
        raise OptionError(
            f"--false-alarm-rate is {rate:g}; it must be between 0 and 1.", "For 1 % give 0.01."
        )


def check_suspect_rate(rate: float) -> None:
    """Check the rate of the lower threshold."""
    if not 0 < rate < 1:
        raise OptionError(f"--suspect-rate is {rate:g}; it must be between 0 and 1.", "For 5 % give 0.05.")


@dataclass(frozen=True, kw_only=True)
class ModelsDirOption(Options):
    """Where bundles are."""

    models_dir: Annotated[Path, Option("Folder that holds the bundles.")] = Path("models")


@dataclass(frozen=True, kw_only=True)
class StoredModelsOption(Options):
    """Where bundles are, for commands that make them."""

    models_dir: Annotated[
        str | Path,
        Option(
            "Folder that holds the bundles, or its address in a store, such as s3://plant/models. Default: "
            "models.",
            parse=models_place,
        ),
    ] = Path("models")


def _check_cluster(address: str) -> None:
    from dmdd_edge.cluster.connection import check_address

    check_address(address)


@dataclass(frozen=True, kw_only=True)
class ClusterOptions(Options):
    """Which cluster works, and what each of its jobs takes."""

    ray: Annotated[
        str | None,
        Option(
            "Work on a Ray cluster that this machine is a part of: auto, or HOST:PORT of its head.",
            metavar="ADDRESS",
            panel=_CLUSTER,
            check=_check_cluster,
        ),
    ] = None
    job_cpus: Annotated[
        int | None,
        Option(
            "Cores of each job there, which is its number of threads; default: all of them shared out.",
            panel=_CLUSTER,
            minimum=1,
            maximum=1024,
            range_in_help=False,
        ),
    ] = None
    job_gpus: Annotated[
        float | None,
        Option(
            "GPUs of each job there, or a part of one, such as 0.5; default: one where there are any.",
            panel=_CLUSTER,
            minimum=0,
            maximum=1024,
            range_in_help=False,
        ),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (needs(("job_cpus", "job_gpus"), "ray"),)


@dataclass(frozen=True, kw_only=True)
class BundleName(Options):
    """The name of a bundle."""

    category: Annotated[
        str | None,
        Option("Category; not needed when there is only one.", folders_of=("models_dir", "runs_dir")),
    ] = None
    model: Annotated[Path | None, Option("Folder of a bundle, instead of --category.")] = None

    ALTERNATIVES: ClassVar[tuple[tuple[str, ...], ...]] = (("category", "model"),)


@dataclass(frozen=True, kw_only=True)
class BundleOptions(ModelsDirOption, BundleName):
    """Which bundle is used, and where it is."""


@dataclass(frozen=True, kw_only=True)
class AllowLossOption(Options):
    """Whether a change may lose a part of the challenge set."""

    allow_loss: Annotated[
        bool,
        Option(
            "Accept that the change loses parts of the challenge set; the loss is recorded.", each_time=True
        ),
    ] = False
