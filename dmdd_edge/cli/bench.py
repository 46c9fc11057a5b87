"""``dmdd-edge bench``: measures what a bundle does on this machine."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmdd_edge.cli.exit_codes import INTERRUPTED
from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options
from dmdd_edge.runtime.options.bench import BenchOptions

if TYPE_CHECKING:
    from dmdd_edge.runtime.bench.measure import BenchResult


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "bench", bench, BenchCommand)


@dataclass(frozen=True, kw_only=True)
class _MarkdownOutput(Options):
    markdown: Annotated[bool, Option("A row of a Markdown table on standard output.", panel="Output")] = False


@dataclass(frozen=True, kw_only=True)
class BenchCommand(_MarkdownOutput, JsonOutput, BenchOptions):
    """The options of ``bench``."""

    def check(self) -> None:
        """Raise an ``OptionError`` where options do not fit together."""
        super().check()
        if self.json and self.markdown:
            raise OptionError("--json and --markdown both want standard output.", "Give one of them.")
        if self.compare is not None and self.markdown:
            raise OptionError("--compare does not go with --markdown.", "Leave one of the two out.")


def bench(options: BenchCommand) -> None:
    """Measure latency, throughput and accuracy of a bundle on this machine.

    --compare gives the ratio of B's median latency to A's, with its confidence interval.
    """
    from dmdd_edge.cli.bench_report import print_comparison, print_images, print_report
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.runtime.bench.measure import BenchListener, measure, settings_of
    from dmdd_edge.runtime.signals import StopRequest

    if note := settings_of(options).note:
        console.print(note)
    with StopRequest() as stop:
        if options.compare is not None:
            result = measure(options, BenchListener(console.print, stop=lambda: bool(stop)))
            print_comparison(result.document, options.compare)
            if options.json:
                print_json(result.document)
        else:
            with Work() as work:
                listener = BenchListener(
                    work.say,
                    lambda done, total: work.update("test images", done, total),
                    print_images,
                    lambda: bool(stop),
                )
                work.update("measuring")
                result = measure(options, listener)
            print_report(result.document)
            _write(result, options)
            _suggest(result.document, options)
    if stop.received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


def _write(result: BenchResult, options: BenchCommand) -> None:
    """Write the result in every requested form."""
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.cli.streams import write_output
    from dmdd_edge.runtime.bench.document import markdown_row
    from dmdd_edge.runtime.bench.history import append_history
    from dmdd_edge.runtime.bench.plot import write_plot

    document, history, plot = result.document, options.history, options.plot
    if history is not None:
        console.print(f"{append_history(history, document)} rows appended to {history}")
    if plot is not None and not result.series:
        console.print(f"nothing to draw into {plot}: interrupted before any latency was measured")
    elif plot is not None:
        bundle, backend = document["bundle"], document["backend"]
        title = f"{bundle['category']} {bundle['version']}, {backend['name']} ({backend['precision']})"
        write_plot(plot, title, result.series)
        console.print(f"wrote {plot}")
    # Last, so that the files are written also when standard output cannot be.
    if options.json:
        print_json(document)
    if options.markdown:
        write_output(markdown_row(document))


def _suggest(document: dict[str, Any], options: BenchCommand) -> None:
    """Print the next command."""
    from dmdd_edge.cli.console import next_step
    from dmdd_edge.messages.commands import bundle_options, command

    chosen = bundle_options(document["bundle"]["category"], options.model, options.models_dir)
    if options.accuracy:
        next_step(command("run", **chosen, engine_cache=options.engine_cache, source="IMAGES"))
    else:
        next_step(command("bench", **chosen, engine_cache=options.engine_cache, accuracy=True, data="DIR"))
