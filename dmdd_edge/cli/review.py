"""``dmdd-edge review``: look at what an archive has kept, and say what is good and what is bad."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.options import Option, Rule, needs
from dmdd_edge.runtime.options.review import ArchiveName, ReviewServing

if TYPE_CHECKING:
    from dmdd_edge.runtime.archive.folder import ArchiveFolder
    from dmdd_edge.runtime.archive.overview import Overview

_EXPORT = "Export"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "review", review, ReviewCommand)


@dataclass(frozen=True, kw_only=True)
class ReviewCommand(JsonOutput, ReviewServing, ArchiveName):
    """The options of ``review``."""

    summary: Annotated[bool, Option("Print what the archive holds, and serve no page.")] = False
    export: Annotated[
        Path | None, Option("Write the reviewed images into this folder, and serve no page.", panel=_EXPORT)
    ] = None
    format: Annotated[
        Literal["mvtec", "coco", "labelstudio"],
        Option("Format of the export: mvtec, coco or labelstudio.", panel=_EXPORT, parse=str),
    ] = "mvtec"
    overwrite: Annotated[bool, Option("Replace an earlier export.", panel=_EXPORT)] = False

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("summary", "serve", "export"),
        ("json", "serve"),
        ("summary", "serve_token_env", "export"),
        ("json", "serve_token_env"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (needs(("format", "overwrite"), "export"),)


def review(options: ReviewCommand) -> None:
    """Review in a browser what an archive has kept; or print what it holds, or export it."""
    from dmdd_edge.cli.console import print_json
    from dmdd_edge.runtime.archive.folder import ArchiveFolder
    from dmdd_edge.runtime.archive.overview import overview

    archive = ArchiveFolder(options.archive)
    if options.export is not None:
        _export(archive, options)
    elif options.json:
        print_json({"archive": str(archive.path), **overview(archive).to_json()})
    elif options.summary:
        _print(archive, overview(archive))
    else:
        _serve(archive, options)


def _export(archive: ArchiveFolder, options: ReviewCommand) -> None:
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.runtime.archive.export.export import export_reviewed

    assert options.export is not None
    done = export_reviewed(archive, options.export, options.format, options.overwrite)
    if options.json:
        print_json({"archive": str(archive.path), **done.to_json()})
    console.print(done.headline())
    for line in done.remarks():
        console.print(line)
    next_step(done.next_command())


def _serve(archive: ArchiveFolder, options: ReviewCommand) -> None:
    import signal
    import time

    from dmdd_edge.cli.console import console
    from dmdd_edge.cli.exit_codes import INTERRUPTED
    from dmdd_edge.runtime.archive.overview import overview
    from dmdd_edge.runtime.outputs import page_token
    from dmdd_edge.runtime.page.review.page import ReviewPage
    from dmdd_edge.runtime.signals import StopRequest

    with StopRequest() as stop:
        page = ReviewPage(options.serve, archive.path, page_token(options.serve_token_env))
        try:
            for line in page.announcement:
                console.print(line)
            console.print("Ctrl-C ends the review; verdicts are kept as they are given.")
            while not stop:
                time.sleep(0.1)
        finally:
            page.close()
    _print(archive, overview(archive))
    if stop.received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


def _print(archive: ArchiveFolder, found: Overview) -> None:
    from rich.table import Table

    from dmdd_edge.cli.console import console

    console.print(found.headline())
    table = Table(box=None, pad_edge=False)
    for column in ("", "good", "bad", "unsure", "not reviewed"):
        table.add_column(column, justify="left" if not column else "right")
    for name, counts in found.rows():
        table.add_row(name, *(str(counts[each]) for each in ("good", "bad", "unsure", "")))
    if found.records:
        console.print(table)
    for line in found.remarks():
        console.print(line)
    _next(archive, found)


def _next(archive: ArchiveFolder, found: Overview) -> None:
    from dmdd_edge.cli.console import next_step
    from dmdd_edge.messages.commands import command

    if not found.reviewed:
        next_step(command("review", archive.path))
        return
    categories = found.categories
    category = categories[0] if len(categories) == 1 else None
    next_step(command("calibrate", from_feedback=archive.path, category=category))
