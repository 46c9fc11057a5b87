"""Files that a measurement goes into, looked at before minutes are spent on what is written there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.bench.history import check_history
from dmdd_edge.runtime.bench.plot import check_plot


def check_targets(history: Path | None, plot: Path | None, scenarios: Sequence[str]) -> None:
    """Refuse what could not be written once everything is measured; the folders are made.

    Args:
        history: the CSV file of ``--history``.
        plot: the file of ``--plot``.
        scenarios: that are to be measured.

    Raises:
        DmddError: one of them cannot be written, or there would be nothing to draw.
    """
    if history is not None:
        _check(history, "--history")
        check_history(history)
    if plot is not None:
        check_plot(plot, scenarios)
        _check(plot, "--plot")


def _check(path: Path, option: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        problem = ""
    except OSError as error:
        problem = error.strerror or str(error)
    if path.is_dir():
        problem = "it is a folder"
    elif not problem and not os.access(path if path.exists() else path.parent, os.W_OK):
        problem = "no permission"
    if problem:
        raise OptionError(f"{option} {path} cannot be written: {problem}.", "Name another file.")
