"""Former name of ``check_history`` and ``check_plot``."""

from collections.abc import Sequence
from pathlib import Path

from dmdd_edge.runtime.bench.history import check_history
from dmdd_edge.runtime.bench.plot import check_plot


def check_targets(history: Path | None, plot: Path | None, scenarios: Sequence[str]) -> None:
    """Check the output files."""
    if history is not None:
        check_history(history)
    if plot is not None:
        check_plot(plot, scenarios)
