"""``dmdd-edge sample``: draw a category to try everything on."""

from __future__ import annotations

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.sample.options import LARGEST_PLATE, SampleOptions


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "sample", sample, SampleOptions)


def sample(options: SampleOptions) -> None:
    """Draw procedural metal plates, good and defective, with masks, in MVTec AD's layout."""
    from dmdd_edge.cli.console import console, next_step
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.messages.commands import command
    from dmdd_edge.sample import write_sample

    with Work() as work:
        target = write_sample(
            **options.values(), on_image=lambda done, total: work.update("drawing", done, total)
        )
    console.print(load_category(target).describe(), markup=False)
    console.print(f"wrote {target}", markup=False)
    large = options.part in ("panel", "web") or options.size > LARGEST_PLATE
    tile = "auto" if large else None  # else the small defects would be lost
    next_step(command("train", data=options.folder, category=options.category, tile=tile))
