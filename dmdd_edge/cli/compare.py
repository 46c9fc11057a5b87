"""``dmdd-edge compare``: two versions of a bundle on the same images, before one replaces the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput, QuietOutput
from dmdd_edge.runtime.options.compare import CompareOptions

if TYPE_CHECKING:
    from dmdd_edge.runtime.comparison.outcome import Comparison

#: Differences that are listed; the page and --json show more.
_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class CompareCommand(JsonOutput, QuietOutput, CompareOptions):
    """The options of the command."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "compare", compare, CompareCommand)


def compare(options: CompareCommand) -> None:
    """Compare two versions of a bundle on the same images; neither is put into use."""
    from dmdd_edge.cli.console import print_json
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.runtime.comparison.compare import compare as judge

    with Work(quiet=options.quiet) as work:
        found = judge(
            options, lambda side, done, total: work.update(f"deciding by the {side} version", done, total)
        )
    _report(found)
    if options.json:
        print_json(found.as_dict())
    _next(found, options)


def _report(found: Comparison) -> None:
    from dmdd_edge.bundle.rule import ORIGINS
    from dmdd_edge.cli.console import console
    from dmdd_edge.data.datasets import grouped
    from dmdd_edge.runtime.comparison.words import change, headline, lines

    console.print(headline(found), style="bold")
    for line in lines(found):
        console.print(line)
    differing = found.differing
    for pair in differing[:_LISTED]:
        console.print(f"  {change(pair)}")
    if len(differing) > _LISTED:
        console.print(f"  and {len(differing) - _LISTED} more")
    for line in grouped(list(found.skipped)):
        console.print(f"not used: {line}")
    for side, version in (("old", found.old), ("new", found.new)):
        used = ", in use" if version.in_use else ""
        console.print(
            f"{side}: {version.name}{used}, threshold {version.threshold:.4f} ({ORIGINS[version.origin]}), "
            f"on {version.backend}"
        )
    if found.report is not None:
        console.print(f"wrote {found.report}")


def _next(found: Comparison, options: CompareCommand) -> None:
    """Print the command that puts the new version into use; if it is, the one that shows it."""
    from dmdd_edge.cli.console import console, next_step
    from dmdd_edge.messages.commands import command

    new = found.new
    if found.differing and options.report is None:
        console.print("To see both maps of each difference, add --report compare.html.")
    folder = new.path.absolute().parent
    models_dir = options.models_dir if folder.parent == options.models_dir.absolute() else folder.parent
    if not new.in_use:
        next_step(command("models", "use", folder.name, new.name, models_dir=models_dir))
        return
    old = found.old.path.absolute()
    line = "The new version is in use already"
    if old.parent == folder:
        back = command("models", "use", folder.name, old.name, models_dir=models_dir)
        line += f"; to return to the old one: {back}"
    console.print(line)
    next_step(command("models", "show", folder.name, models_dir=models_dir))
