"""Options that several commands share, spelled the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dmdd_edge.cli.streams import require_output
from dmdd_edge.options import Option, Options

CategoryOption = Annotated[
    str | None,
    typer.Option("--category", help="Category; not needed when there is only one."),
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="Folder of a bundle, instead of --category."),
]
ModelsDirOption = Annotated[Path, typer.Option("--models-dir", help="Folder that holds the bundles.")]
BackendOption = Annotated[
    str, typer.Option("--backend", help="What runs the graph: auto, tensorrt, rtx, cuda or cpu.")
]
EngineCacheOption = Annotated[
    Path | None, typer.Option("--engine-cache", help="Folder of engines built on this machine.")
]
CudaDriverOption = Annotated[
    str, typer.Option("--cuda-driver", help="Package that drives CUDA: auto, cuda-bindings or pycuda.")
]
IoMemoryOption = Annotated[
    str,
    typer.Option(
        "--io-memory",
        help="Images reach the GPU by copy or in mapped memory; auto: mapped where it is shared.",
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print only errors and the result, no progress."),
]
SourceOption = Annotated[
    str, typer.Option("--source", help="Image, video file, folder (with its subfolders), or glob in quotes.")
]


def _needs_output(requested: bool) -> bool:
    """Before any work is done for results that nobody could get."""
    if requested:
        require_output()
    return requested


@dataclass(frozen=True, kw_only=True)
class JsonOutput(Options):
    """Whether the result is written for a program."""

    json: Annotated[bool, Option("Machine-readable output on standard output.", check=_needs_output)] = False


@dataclass(frozen=True, kw_only=True)
class QuietOutput(Options):
    """How much a command says."""

    quiet: Annotated[bool, Option("Print only errors and the result, no progress.", short="-q")] = False


JsonOption = Annotated[
    bool,
    typer.Option("--json", callback=_needs_output, help="Machine-readable output on standard output."),
]
