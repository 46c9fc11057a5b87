"""``dmdd-edge review``: look at what an archive has kept, and say what is good and what is bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.options import Option
from dmdd_edge.runtime.options.review import ArchiveName, ReviewServing

if TYPE_CHECKING:
    from dmdd_edge.runtime.archive.folder import ArchiveFolder
    from dmdd_edge.runtime.archive.overview import Overview


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "review", review, ReviewCommand)


@dataclass(frozen=True, kw_only=True)
class ReviewCommand(JsonOutput, ReviewServing, ArchiveName):
    """The options of ``review``."""

    summary: Annotated[bool, Option("Print what the archive holds, and serve no page.")] = False

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("summary", "serve"),
        ("json", "serve"),
        ("summary", "serve_token_env"),
        ("json", "serve_token_env"),
    )


def review(options: ReviewCommand) -> None:
    """Review in a browser what an archive has kept; or print what it holds."""
    from dmdd_edge.cli.console import print_json
    from dmdd_edge.runtime.archive.folder import ArchiveFolder
    from dmdd_edge.runtime.archive.overview import overview

    archive = ArchiveFolder(options.archive)
    if options.json:
        print_json({"archive": str(archive.path), **overview(archive).to_json()})
    elif options.summary:
        _print(overview(archive))
        _next(archive)
    else:
        _serve(archive, options)


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
    _print(overview(archive))
    _next(archive)
    if stop.received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


def _print(found: Overview) -> None:
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


def _next(archive: ArchiveFolder) -> None:
    from dmdd_edge.cli.console import next_step
    from dmdd_edge.messages.commands import command

    next_step(command("review", archive.path))
