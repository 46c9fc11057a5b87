"""The options of ``dmdd-edge judge``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options, UsageError
from dmdd_edge.options.groups import BundleOptions, ClusterOptions
from dmdd_edge.runtime.options.backend import BackendName, CudaOptions
from dmdd_edge.runtime.options.run import ThresholdOptions


def _check_source(source: str) -> None:
    from dmdd_edge.fleet.address import check_address

    check_address(source)
    if source.lower().startswith(("http://", "https://")):
        raise OptionError(
            "A web server does not list its images.", "Give a folder, or an address such as s3://BUCKET."
        )


@dataclass(frozen=True, kw_only=True)
class _Archive(Options):
    source: Annotated[
        str | None,
        Option(
            "Folder of the images, with its subfolders; or s3://, gs://, or what else fsspec knows.",
            metavar="URL",
            check=_check_source,
        ),
    ] = None
    into: Annotated[
        Path | None, Option("Folder of Parquet files that is written, such as results.parquet.")
    ] = None
    jobs: Annotated[
        int | None,
        Option(
            "Processes or actors, each with its own detector; default: one per core, with a GPU one.",
            minimum=1,
            maximum=1024,
            range_in_help=False,
        ),
    ] = None
    resume: Annotated[bool, Option("Continue where an earlier run of this command ended.")] = False
    overwrite: Annotated[bool, Option("Replace the results of an earlier run.")] = False

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (("resume", "overwrite"),)


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(ThresholdOptions, CudaOptions, BackendName, ClusterOptions, BundleOptions, _Archive):
    """Which images are evaluated again, by which bundle, and where the rows go."""

    def check(self) -> None:
        """Raise a ``UsageError`` without a source or a folder for the rows."""
        super().check()
        self.places()

    def places(self) -> tuple[str, Path]:
        """Where the images are, and where the rows go.

        Raises:
            UsageError: one of them is not given.
        """
        if self.source is None:
            raise UsageError("A source is missing.", "Name the folder of the images: --source DIR.")
        if self.into is None:
            raise UsageError("A place for the results is missing.", "Name a folder: --into results.parquet.")
        return self.source, self.into
