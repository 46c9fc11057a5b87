"""Adds the INT8 graph to a bundle that is being written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.evaluation.test_set import Predictor, load_test_set
from dmdd_edge.evaluation.views import Views
from dmdd_edge.export.checks import GraphReport, check_graph
from dmdd_edge.export.int8.choice import CHOOSING, Progress
from dmdd_edge.export.int8.gate import MADE_DAMAGE, TEST_IMAGES, Verdict, decide
from dmdd_edge.export.int8.images import int8_images
from dmdd_edge.export.int8.make import RANGES, WRITING, Made, make_int8
from dmdd_edge.export.int8.measure import Limits
from dmdd_edge.export.parity import INT8_ROW, LIMITS, ParityRow, compare, onnx_predictor, row_of
from dmdd_edge.export.whole_parity import MOST_IMAGES, spread_set
from dmdd_edge.messages.phases import Cost
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.evaluation import threshold_of
from dmdd_edge.train.places import category_of_or_none

#: Held-out good images below which the gate's figures are coarse.
_FEW = 6


@dataclass(frozen=True)
class Int8Part:
    """The INT8 graph of a bundle.

    Attributes:
        threshold: its own.
        row: its comparison, as the other graphs have one; against the fp32 graph.
        report: the static checks.
        made: how it was made.
        verdict: of the gate.
    """

    threshold: Threshold
    row: ParityRow
    report: GraphReport
    made: Made
    verdict: Verdict

    def row_dict(self) -> dict[str, Any]:
        """The row as the manifest keeps it, with the gate's figures."""
        return {**self.row.as_dict(), "gate": self.verdict.as_dict(self.made)}


def add_int8(
    run: Run,
    path: Path,
    exact: Predictor,
    threshold: Threshold,
    *,
    alpha: float,
    suspect_rate: float | None = None,
    allowed: float = 0.0,
    progress: Progress = lambda phase, done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> Int8Part:
    """Write the INT8 graph of a run, set its threshold, and decide on it.

    Args:
        run: as trained.
        path: file to write.
        exact: the fp32 graph.
        threshold: of that.
        alpha, suspect_rate: of the threshold.
        allowed: points beyond the limits that are accepted.
        progress: called with each phase.
        say: called with a line of what was chosen.

    Raises:
        DmddError: the graph loses too much, or fails the static checks.
    """
    size = run.config.model.image_size
    images = int8_images(run)
    good = int((~images.gate.labels).sum())
    if good < _FEW:
        say(
            f"INT8 is compared on only {good} held-out good image{'s' * (good != 1)}: a small loss is not "
            "seen. Train with a larger --holdout, or compare both precisions on your own images: dmdd-edge "
            "evaluate --good DIR --bad DIR --precision int8"
        )
    made = make_int8(run.model, path, size, images, Limits().widened(allowed), progress)
    report: GraphReport = check_graph(path, "int8").require()
    say(
        f"INT8: {100 * made.share:.0f} % of the multiply-adds, {len(made.half)} of {made.places} places went "
        f"back to half precision, the inputs of {len(made.leveled)} are leveled; {made.seconds:.0f} s"
    )
    coarse = onnx_predictor(path)
    own = threshold_of(run, coarse, alpha, suspect_rate)
    sets = [(MADE_DAMAGE, images.gate)]
    category = category_of_or_none(run)
    if category is not None and category.test:
        test = load_test_set(category, run.config.preprocess, size)
        sets.append((TEST_IMAGES, spread_set(test) if isinstance(test.images, Views) else test))
    verdict = decide((exact, coarse), (threshold, own), sets, allowed, progress)
    verdict.require(made)
    return Int8Part(own, _row(verdict, threshold, labeled=len(sets) > 1), report, made, verdict)


def _row(verdict: Verdict, threshold: Threshold, *, labeled: bool) -> ParityRow:
    limits = LIMITS["int8"]
    if verdict.differences is None:
        return compare(INT8_ROW, verdict.exact, verdict.coarse, threshold.image, limits, labeled=labeled)
    return row_of(
        INT8_ROW,
        verdict.exact,
        verdict.coarse,
        verdict.differences,
        threshold.image,
        limits,
        labeled=labeled,
    )


def int8_costs(area: float, tests: int, inputs: int = 1) -> list[Cost]:
    """The phases and their expected costs, on one core.

    Args:
        area: of one input of the network, in units of 256 x 256 pixels.
        tests: number of test images.
        inputs: of the network for each image; above 1 with tiles.
    """
    whole = area * inputs
    made = 20.0 if inputs == 1 else 8.0
    tests = tests if inputs == 1 else min(tests, MOST_IMAGES)
    return [
        Cost(RANGES, 15.0 * area),
        Cost(CHOOSING, 130.0 * area),
        Cost(WRITING, 25.0, "host"),
        Cost(f"INT8 on {MADE_DAMAGE}", made * whole),
        Cost(f"INT8 on {TEST_IMAGES}", 0.3 * tests * whole),
    ]
