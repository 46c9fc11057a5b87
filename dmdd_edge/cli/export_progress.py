"""What `dmdd-edge export` prints while it works: each artifact as soon as it is finished."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from dmdd_edge.cli.console import console
from dmdd_edge.cli.progress import Work
from dmdd_edge.export.export_bundle import ExportReporter
from dmdd_edge.messages.phases import Cost

if TYPE_CHECKING:
    from dmdd_edge.export.engines.artifact import BuiltEngine
    from dmdd_edge.export.parity import ParityRow
    from dmdd_edge.export.pipeline import Exported


class ExportProgress(ExportReporter):
    """Prints the artifacts of an export, and passes its progress on.

    Args:
        work: reports the progress.
        quiet: leave out what is not part of the result.
    """

    def __init__(self, work: Work, quiet: bool) -> None:
        super().__init__()
        self._work, self._quiet = work, quiet

    def expect(self, costs: Iterable[Cost]) -> None:
        """The phases to come."""
        self._work.expect(costs)

    def update(self, phase: str, done: float = 0.0, total: float | None = None, note: str = "") -> None:
        """Progress of a phase."""
        self._work.update(phase, done, total, note)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._work.say(text)

    def left_out(self, target: str, reason: str) -> None:
        """A target that ``auto`` passes over."""
        if not self._quiet:
            console.print(f"not written: {target}: {reason}", markup=False)

    def bundle_written(self, exported: Exported) -> None:
        """The bundle was published."""
        console.print(f"wrote {exported.bundle.path}")
        console.print(exported.threshold.describe())
        if exported.threshold.suspect is not None:
            console.print(exported.threshold.describe_band())
        rows = exported.parity
        if exported.int8 is not None:
            console.print(f"int8: {exported.int8.threshold.describe()}")
            rows = [*rows, exported.int8.row]
        console.print(parity_table(rows))

    def engine_built(self, engine: BuiltEngine) -> None:
        """An engine was built, or fitted already."""
        side = engine.sidecar
        state = "already built" if engine.reused else "built"
        console.print(
            f"{state}: {engine.path.name} for {', '.join(side.sms)}, {side.precision}, "
            + (
                f"{100 * side.int8_share:.0f} % of the convolutions in INT8"
                if side.precision == "int8"
                else f"{100 * side.half_share:.0f} % of the convolutions in half precision"
            ),
            markup=False,
        )
        for warning in engine.warnings:
            console.print(f"warning from the builder: {warning}", markup=False)

    def engine_compared(self, row: ParityRow) -> None:
        """An engine was compared with torch."""
        console.print(parity_table([row]))


def parity_table(rows: list[ParityRow]) -> Table:
    """The deviations from torch, a row per artifact."""
    table = Table(title=f"compared with torch fp32, on {rows[0].images} images", title_justify="left")
    for name in ("", "map max", "map p99", "score max", "flipped", "I-AUROC", "P-AUROC", "PRO"):
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        table.add_row(
            row.artifact,
            f"{row.map_max:.1e}",
            f"{row.map_p99:.1e}",
            f"{row.score_max:.1e}",
            str(row.flipped),
            *(_points(value) for value in (row.image_auroc, row.pixel_auroc, row.pro)),
        )
    return table


def _points(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:+.3f}"
