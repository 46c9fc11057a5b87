"""Findings as a person reads them: one table, and below it what to do about what does not work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from dmdd_edge.cli.console import console
from dmdd_edge.runtime.doctor.findings import Finding

_STYLES = {"ok": "green", "missing": "yellow", "broken": "bold red"}


def findings_table(findings: Iterable[Finding], headings: Mapping[str, str]) -> Table:
    """A line per finding, with a heading above each group.

    Args:
        findings: in the order of display.
        headings: by group.
    """
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    group = ""
    for finding in findings:
        if finding.group != group:
            if group:
                table.add_row()
            group = finding.group
            table.add_row(headings[group], style="bold")
        state = Text(f"  {finding.state}", _STYLES[finding.state])
        table.add_row(state, finding.title, finding.detail)
    return table


def print_fixes(findings: Iterable[Finding]) -> None:
    """Print each fix once, below what it is for."""
    findings = list(findings)
    for state, heading in (("broken", "To fix:"), ("missing", "To get what is missing:")):
        selected = [finding for finding in findings if finding.state == state]
        if selected:
            console.print(f"\n{heading}")
        for fix, of_it in _by_fix(selected):
            for finding in of_it:
                place = finding.facts.get("place")
                console.print(
                    f"  {finding.title}, for {finding.needed_for}"
                    if place is None
                    else f"  {place}: {finding.detail}"
                )
            console.print(f"    {fix}")


def _by_fix(findings: list[Finding]) -> list[tuple[str, list[Finding]]]:
    """Findings grouped by the command that fixes them, in the order of the first of each."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.fix:
            groups.setdefault(finding.fix, []).append(finding)
    return list(groups.items())
