"""``dmdd-edge sample``: draw a category to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("sample")(_sample)


def _sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Data set folder to draw into.")],
    category: Annotated[str, typer.Option(help="Name of the category.")] = "plate",
    train: Annotated[int, typer.Option(help="Good training images.")] = 60,
    test_good: Annotated[int, typer.Option(help="Good test images.")] = 12,
    test_bad: Annotated[int, typer.Option(help="Defective test images of each type.")] = 8,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 256,
    seed: Annotated[int, typer.Option(help="Same seed, same images.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a category drawn before.")] = False,
) -> None:
    """Draw procedural metal plates, good and defective, with masks, in MVTec AD's layout."""
    from dmdd_edge.cli.console import console, next_step
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.messages.commands import command
    from dmdd_edge.sample import write_sample

    with Work() as work:
        target = write_sample(
            folder,
            category,
            train=train,
            test_good=test_good,
            test_bad=test_bad,
            size=size,
            seed=seed,
            overwrite=overwrite,
            on_image=lambda done, total: work.update("drawing", done, total),
        )
    console.print(load_category(target).describe(), markup=False)
    console.print(f"drawn into {target}", markup=False)
    next_step(command("train", data=folder, category=category))
