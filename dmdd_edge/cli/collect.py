"""``dmdd-edge collect``: take images of good parts for training, and check each as it comes."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from dmdd_edge.cli.exit_codes import INTERRUPTED
from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput, QuietOutput
from dmdd_edge.errors import DataError
from dmdd_edge.runtime.options.collect import CollectOptions

if TYPE_CHECKING:
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.runtime.collect.collect import Collected, OpenCollection


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "collect", collect, CollectCommand)


@dataclass(frozen=True, kw_only=True)
class CollectCommand(JsonOutput, QuietOutput, CollectOptions):
    """The options of ``collect``."""


def collect(options: CollectCommand) -> None:
    """Collect images of good parts into a folder for training, and check each as it comes.

    Blurred, dark and overexposed images, moved parts and repeated shots are refused.
    """
    from dmdd_edge.cli.collect_keys import Keys
    from dmdd_edge.cli.collect_report import Report, print_outcome
    from dmdd_edge.cli.console import console
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.runtime.collect.collect import OpenCollection
    from dmdd_edge.runtime.collect.taking import Wish
    from dmdd_edge.runtime.signals import StopRequest

    terminal = sys.stdin is not None and sys.stdin.isatty() and console.is_terminal
    wish = Wish() if terminal or options.serve is not None else None
    with StopRequest() as stop, ExitStack() as stack:
        work = stack.enter_context(Work(quiet=options.quiet))
        collection = stack.enter_context(
            OpenCollection(
                options, console.print, wish, lambda done, total: work.update("reading the set", done, total)
            )
        )
        _introduce(collection, work)
        report = Report(collection, work)
        page = None
        if options.serve is not None:
            from dmdd_edge.runtime.collect.page import open_collection_page
            from dmdd_edge.runtime.outputs import page_token

            page = open_collection_page(options.serve, collection, page_token(options.serve_token_env))
            stack.callback(page.close)
            for line in page.announcement:
                console.print(line)
        keys = Keys(collection) if terminal and collection.source.live else None
        if keys is not None:
            stack.enter_context(keys)
            work.say(keys.help)
        outcome = collection.process(
            report.image,
            lambda: bool(stop) or (keys is not None and keys.ended) or (page is not None and page.ended),
            report.frame,
        )
    print_outcome(outcome, options)
    if stop.received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)
    _check(outcome, stopped=bool(stop))


def _introduce(collection: OpenCollection, work: Work) -> None:
    """Say what is about to happen."""
    ways = {
        "all": "every image is taken",
        "trigger": "an image is taken at each trigger of the camera",
        "interval": "an image is taken at intervals",
        "change": "an image is taken whenever another part has come to rest",
        "key": "an image is taken whenever you ask for it",
    }
    held, options = len(collection.collector), collection.options
    work.say(f"{options.into}: {held} of {options.target} images; {ways[collection.way]}")
    detail = collection.source.state().detail
    if detail:
        work.say(f"camera: {detail}")


def _check(outcome: Collected, stopped: bool) -> None:
    """Fail when nothing came of it.

    Raises:
        DataError: the source had no usable image.
    """
    if outcome.counts.images or stopped or outcome.ended_by != "source":
        return
    if outcome.first_unreadable:
        raise DataError(
            f"No image could be read; the first: {outcome.first_unreadable.rstrip('.')}.",
            "Name another source.",
        )
    refused = ", ".join(f"{count} {kind}" for kind, count in outcome.counts.refused.items())
    raise DataError(
        f"No image was collected{f': {refused}' if refused else ''}.",
        "Check the source, the light and the lens.",
    )
