"""``dmdd-edge judge``: archived images evaluated again, into Parquet files."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from dmdd_edge.cli.exit_codes import INTERRUPTED
from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput, QuietOutput
from dmdd_edge.runtime.options.judge import JudgeOptions

if TYPE_CHECKING:
    from dmdd_edge.runtime.bulk.again import Outcome


@dataclass(frozen=True, kw_only=True)
class JudgeCommand(JsonOutput, QuietOutput, JudgeOptions):
    """The options of the command."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "judge", judge, JudgeCommand)


def judge(options: JudgeCommand) -> None:
    """Evaluate archived images again, with several processes, and write a row for each as Parquet.

    After Ctrl-C or a kill, --resume continues: each image of the list has one row. An image that cannot be
    read is a row with the error.
    """
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.runtime.bulk.again import judge_archive
    from dmdd_edge.runtime.signals import StopRequest

    with StopRequest() as stop, Work(quiet=options.quiet) as work:
        outcome = judge_archive(options, work, stop)
    _report(outcome)
    if options.json:
        print_json(outcome.as_dict())
    if outcome.complete:
        console.print(
            f"Count them: duckdb -c \"SELECT status, count(*) FROM '{outcome.into}/*.parquet' GROUP BY 1\"",
            markup=False,
        )
        return
    next_step(_continuing(options))
    if stop.received is not signal.SIGTERM:
        raise typer.Exit(INTERRUPTED)


def _report(outcome: Outcome) -> None:
    from dmdd_edge.cli.console import console
    from dmdd_edge.data.images import describe_passed_over

    counts = outcome.counts
    rows = sum(counts.values())
    words = [f"{counts['anomalous']:,} anomalous", f"{counts['good']:,} good"]
    words += [f"{counts[status]:,} {status}" for status in ("suspect", "unreliable") if counts[status]]
    words += [f"{counts['error']:,} cannot be read"] * bool(counts["error"])
    of = "" if outcome.complete else f" of {outcome.images:,}"
    console.print(f"{rows:,}{of} images: {', '.join(words)}", style="bold")
    if outcome.evaluated:
        speed = outcome.evaluated / max(outcome.seconds, 1e-9)
        here = "" if outcome.evaluated == rows else f"{outcome.evaluated:,} in this run, "
        jobs = f"{outcome.jobs} {_members(outcome, outcome.jobs)}"
        console.print(f"{here}{speed:.1f} images per second with {jobs}, {outcome.backend}")
    decided_by = outcome.decided_by
    console.print(
        f"decided by {decided_by['category']} {decided_by['version']}, "
        f"threshold {decided_by['threshold']:.4f}",
        markup=False,
    )
    if outcome.lost:
        console.print(f"{_members(outcome)} that ended in the middle and were replaced: {outcome.lost}")
    if outcome.passed_over:
        console.print(f"skipped: {describe_passed_over(outcome.passed_over)}", markup=False)
    console.print(
        f"wrote {outcome.into}, {outcome.parts} Parquet file{'s' * (outcome.parts != 1)}", markup=False
    )


def _members(outcome: Outcome, count: int = 2) -> str:
    return outcome.member if count == 1 else f"{outcome.member}{'es' if outcome.member == 'process' else 's'}"


def _continuing(options: JudgeCommand) -> str:
    """The command that continues."""
    from dmdd_edge.messages.addresses import redacted
    from dmdd_edge.messages.commands import command

    left_out = ("resume", "overwrite", "json", "quiet", "source")
    given = {name: getattr(options, name) for name in options.given() if name not in left_out}
    return command("judge", source=redacted(options.places()[0]), **given, resume=True)
