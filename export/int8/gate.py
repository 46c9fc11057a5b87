"""The gate: a written INT8 graph that loses little is kept, any other is refused with the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.errors import BundleError
from dmdd_edge.evaluation.test_set import Evaluation, Predictor, TestSet, evaluate_predictor
from dmdd_edge.evaluation.views import Views
from dmdd_edge.export.int8.choice import Progress
from dmdd_edge.export.int8.make import Made
from dmdd_edge.export.int8.measure import Limits, Loss, loss
from dmdd_edge.export.whole_parity import Differences, compare_whole

MADE_DAMAGE, TEST_IMAGES = "made damage", "test images"


@dataclass(frozen=True)
class Verdict:
    """What the gate found.

    Attributes:
        losses: on each set of images, the deciding one last.
        threshold: of the INT8 graph.
        limits: that held.
        allowed: points that ``--allow-accuracy-loss`` added to them.
        exact, coarse: the evaluations of the last set, by the fp32 and the INT8 graph.
        test: the last set.
        differences: of the last set's maps, the largest and the 99th percentile; None where maps are kept.
    """

    losses: tuple[Loss, ...]
    threshold: Threshold
    limits: Limits
    allowed: float
    exact: Evaluation
    coarse: Evaluation
    test: TestSet
    differences: Differences | None = None

    def problems(self) -> list[str]:
        """Each figure beyond its limit, in words."""
        return [text for found in self.losses for text in found.problems(self.limits)]

    def require(self, made: Made) -> None:
        """Refuse a graph that loses too much.

        Raises:
            BundleError: it does; the message has the numbers.
        """
        if problems := self.problems():
            raise BundleError(
                f"INT8 costs too much here, with {100 * made.share:.0f} % of the multiply-adds in INT8: "
                f"{'; '.join(problems)}. Nothing was published; the version in use is unchanged.",
                "Export with --precision fp16, train longer, or accept a loss of some points: "
                "--allow-accuracy-loss POINTS, which the manifest records.",
            )

    def as_dict(self, made: Made) -> dict[str, Any]:
        """As the manifest keeps it."""
        return {
            **made.as_dict(),
            "allowed_loss": self.allowed,
            "limits": asdict(self.limits),
            "losses": [found.as_dict() for found in self.losses],
        }


def decide(
    predictors: tuple[Predictor, Predictor],
    thresholds: tuple[Threshold, Threshold],
    sets: Sequence[tuple[str, TestSet]],
    allowed: float = 0.0,
    progress: Progress = lambda phase, done, total: None,
) -> Verdict:
    """Compare the INT8 graph with the fp32 one.

    Args:
        predictors: of the fp32 and of the INT8 graph.
        thresholds: of either, from the held-out good images. Made damage has those images too, so its false
            alarms are counted across two halves of them.
        sets: the images by name, made damage first.
        allowed: points beyond the limits that are accepted.
        progress: called with the images done and their number.
    """
    limits = Limits().widened(allowed)
    losses: list[Loss] = []
    for name, test in sets:
        pair, differences = _evaluated(predictors, name, test, progress)
        own = None if name == MADE_DAMAGE else (thresholds[0].image, thresholds[1].image)
        losses.append(loss(name, test, pair[0], pair[1], own))
    return Verdict(tuple(losses), thresholds[1], limits, allowed, pair[0], pair[1], test, differences)


def _evaluated(
    predictors: tuple[Predictor, Predictor], name: str, test: TestSet, progress: Progress
) -> tuple[list[Evaluation], Differences | None]:
    """Both graphs on a set; of tiled images, whose maps do not stay, both get each tile in turn."""
    phase, count = f"INT8 on {name}", len(test.items)
    if isinstance(test.images, Views):
        exact, coarse = predictors
        found, differences = compare_whole(
            {"fp32": exact, "int8": coarse}, test.images, test, _reporter(progress, phase, count, 0)
        )
        return list(found.values()), differences["int8"]
    return [
        evaluate_predictor(predict, test, _reporter(progress, phase, count, index))
        for index, predict in enumerate(predictors)
    ], None


def _reporter(progress: Progress, phase: str, count: int, index: int) -> Callable[[int], None]:
    return lambda done: progress(phase, index * count + done, 2 * count)
