"""Adds the INT8 graph to a bundle that is being written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.evaluation.test_set import Predictor, TestSet, load_test_set
from dmdd_edge.evaluation.views import Views
from dmdd_edge.export.checks import GraphReport, check_graph
from dmdd_edge.export.int8.choice import CHOOSING, Progress
from dmdd_edge.export.int8.gate import MADE_DAMAGE, TEST_IMAGES, Verdict, decide
from dmdd_edge.export.int8.images import Int8Images, int8_images
from dmdd_edge.export.int8.make import RANGES, WRITING, Made, int8_graphs
from dmdd_edge.export.int8.measure import Limits
from dmdd_edge.export.parity import INT8_ROW, LIMITS, ParityRow, compare, onnx_predictor, row_of
from dmdd_edge.export.whole_parity import MOST_IMAGES, spread_set
from dmdd_edge.messages.phases import Cost
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.evaluation import threshold_of
from dmdd_edge.train.places import category_of_or_none

#: Held-out good images below which the gate's figures are coarse.
_FEW = 6
#: Graphs at most that the gate looks at. The choice and the gate have other images: the first graph may pass
#: by the one and fail by the other, and then one with less INT8 is made.
_GRAPHS = 4


@dataclass(frozen=True)
class Int8Part:
    """The INT8 graph of a bundle.

    Attributes:
        threshold: its own.
        row: its comparison, as the other graphs have one; against the fp32 graph.
        report: the static checks.
        made: how it was made.
        verdict: of the gate.
        refused: shares of the multiply-adds in INT8, 0..1, of the graphs that the gate refused before.
    """

    threshold: Threshold
    row: ParityRow
    report: GraphReport
    made: Made
    verdict: Verdict
    refused: tuple[float, ...] = ()

    def row_dict(self) -> dict[str, Any]:
        """The row as the manifest keeps it, with the gate's figures."""
        gate = self.verdict.as_dict(self.made)
        return {**self.row.as_dict(), "gate": {**gate, "refused": [round(one, 4) for one in self.refused]}}


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
    """Write the INT8 graph of a run, set its threshold, and decide on it; refused, try less INT8.

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
    sets = [(MADE_DAMAGE, images.gate)]
    category = category_of_or_none(run)
    if category is not None and category.test:
        test = load_test_set(category, run.config.preprocess, size)
        sets.append((TEST_IMAGES, spread_set(test) if isinstance(test.images, Views) else test))

    def own(coarse: Predictor) -> Threshold:
        return threshold_of(run, coarse, alpha, suspect_rate)

    part = gated(run, path, (exact, threshold), own, images, sets, allowed, progress, say)
    part.verdict.require(part.made)
    return part


def gated(
    run: Run,
    path: Path,
    exact: tuple[Predictor, Threshold],
    own: Callable[[Predictor], Threshold],
    images: Int8Images,
    sets: Sequence[tuple[str, TestSet]],
    allowed: float = 0.0,
    progress: Progress = lambda phase, done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> Int8Part:
    """Write INT8 graphs with less and less INT8 until the gate accepts one.

    Args:
        run: as trained.
        path: file to write.
        exact: the fp32 graph and its threshold.
        own: the threshold of an INT8 graph.
        images: of the run.
        sets: for the gate, see ``decide``.
        allowed, progress, say: as for ``add_int8``.

    Returns:
        the last graph, which the gate may have refused too.

    Raises:
        DmddError: no choice of places holds, or a graph fails the static checks.
    """
    size, limits = run.config.model.image_size, Limits().widened(allowed)
    shares: list[float] = []
    for made in islice(int8_graphs(run.model, path, size, images, limits, progress), _GRAPHS):
        shares.append(made.share)
        report: GraphReport = check_graph(path, "int8").require()
        say(
            f"INT8: {100 * made.share:.0f} % of the multiply-adds, {len(made.half)} of {made.places} places "
            f"went back to half precision, the inputs of {len(made.leveled)} are leveled; "
            f"{made.seconds:.0f} s"
        )
        coarse = onnx_predictor(path)
        thresholds = (exact[1], own(coarse))
        verdict = decide((exact[0], coarse), thresholds, sets, allowed, progress)
        problems = verdict.problems()
        if not problems:
            break
        say(f"refused: {'; '.join(problems)}")
    row = _row(verdict, exact[1], labeled=len(sets) > 1)
    return Int8Part(verdict.threshold, row, report, made, verdict, tuple(shares[:-1]))


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
