"""Parity: checks that the exported files match the trained model.

Torch in float32, and the fp32 and the fp16 file in ONNX Runtime, infer the same images; their maps, scores,
decisions and, with test images, figures are compared. On a CPU, ONNX Runtime computes an fp16 graph in fp32:
this verifies the graph, not the arithmetic of the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.cores import usable_cores
from dmdd_edge.errors import BundleError
from dmdd_edge.evaluation.metrics import PAPER_FIELDS, Metrics
from dmdd_edge.evaluation.test_set import Evaluation, Predictor
from dmdd_edge.runtime.backends.onnxruntime_session import (
    DISABLED_OPTIMIZERS,
    import_onnxruntime,
    run_session,
    session_options,
)


@dataclass(frozen=True)
class ParityLimits:
    """Largest allowed differences of an artifact from torch; beyond them the export fails.

    Attributes:
        map_max: largest difference of a map's value, 0..1.
        score_max: largest difference of a score, 0..1.
        figure: largest loss of I-AUROC, P-AUROC or PRO, 0..1.
    """

    map_max: float
    score_max: float
    figure: float


#: fp32 must be equal up to rounding; fp16 must not cost more than 0.05 points of any figure. For int8 what
#: counts is the figures: its maps and scores have a separate threshold (see ``export.int8.measure``).
LIMITS = {
    "fp32": ParityLimits(1e-4, 1e-4, 2e-4),
    "fp16": ParityLimits(0.05, 0.02, 5e-4),
    "int8": ParityLimits(1.0, 1.0, 3e-3),
}
#: The name of INT8's row in the manifest.
INT8_ROW = "onnxruntime int8"
#: A score this close to the threshold has no meaningful decision: the threshold is one of the scores.
_TIE = LIMITS["fp32"].score_max
#: Resolution of a test set: rounding may swap two pairs of a good and a defective image, which is less than
#: the limit on a large set, but a considerable part of a point on a few dozen images.
_RESOLUTION_PAIRS = 2


@dataclass(frozen=True)
class ParityRow:
    """Comparison of one artifact with torch in float32.

    Attributes:
        artifact: what was run, such as ``onnxruntime fp32``.
        images: number of images compared.
        map_max: largest difference of a map's value.
        map_p99: 99th percentile of the differences.
        score_max: largest difference of a score.
        flipped: decisions that differ at the threshold, except for scores that equal it up to rounding.
        image_auroc: the artifact's figure minus torch's; None without test images. Likewise the next two.
        pixel_auroc: see image_auroc.
        pro: see image_auroc.
        limits: the allowed differences.
        pairs: pairs of a good and a defective image, the resolution of the figures; 0 when unknown.
    """

    artifact: str
    images: int
    map_max: float
    map_p99: float
    score_max: float
    flipped: int
    image_auroc: float | None
    pixel_auroc: float | None
    pro: float | None
    limits: ParityLimits
    pairs: int = 0

    def problems(self) -> list[str]:
        """Describe each value that exceeds its limit; empty when none does. NaN exceeds every limit."""
        problems = []
        for name in ("map_max", "score_max"):
            value, limit = getattr(self, name), getattr(self.limits, name)
            if not value <= limit:
                problems.append(f"{name} {value:.2e} exceeds {limit:.0e}")
        for name in PAPER_FIELDS:
            value, limit = getattr(self, name), self.limits.figure
            if self.pairs:
                limit = max(limit, (_RESOLUTION_PAIRS + 0.01) / self.pairs)
            if value is not None and not -value <= limit:
                problems.append(f"{name} fell by {-100 * value:.3f} points; {100 * limit:.2f} are allowed")
        return problems

    def as_dict(self) -> dict[str, Any]:
        """The row as the manifest keeps it."""
        values = asdict(self)
        return {"artefact": values.pop("artifact"), **values}


def compare(
    artifact: str,
    reference: Evaluation,
    actual: Evaluation,
    threshold: float,
    limits: ParityLimits,
    *,
    labeled: bool,
    pairs: int = 0,
) -> ParityRow:
    """Compare an artifact's results with torch's.

    Args:
        artifact: its name.
        reference: torch's results.
        actual: the artifact's, on the same images.
        threshold: of the score, for the decisions.
        limits: the allowed differences.
        labeled: whether there are test images, so that the figures are meaningful.
        pairs: of a good and a defective image among them.
    """
    difference = np.abs(np.asarray(reference.maps) - np.asarray(actual.maps))
    differences = float(difference.max()), float(np.quantile(difference, 0.99))
    return row_of(artifact, reference, actual, differences, threshold, limits, labeled=labeled, pairs=pairs)


def row_of(
    artifact: str,
    reference: Evaluation,
    actual: Evaluation,
    differences: tuple[float, float],
    threshold: float,
    limits: ParityLimits,
    *,
    labeled: bool,
    pairs: int = 0,
) -> ParityRow:
    """The row of an artifact whose maps are compared already.

    Args:
        artifact, reference, actual, threshold, limits, labeled, pairs: as for ``compare``; maps are not read.
        differences: the largest difference of a map's value, and the 99th percentile of the differences.
    """
    decided = np.abs(reference.scores - threshold) > _TIE
    flipped = decided & ((reference.scores > threshold) != (actual.scores > threshold))
    figures = _differences(reference.metrics, actual.metrics) if labeled else dict.fromkeys(PAPER_FIELDS)
    return ParityRow(
        artifact=artifact,
        images=len(actual.scores),
        map_max=differences[0],
        map_p99=differences[1],
        score_max=float(np.abs(reference.scores - actual.scores).max()),
        flipped=int(flipped.sum()),
        limits=limits,
        pairs=pairs,
        **figures,
    )


def _differences(reference: Metrics, actual: Metrics) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name in PAPER_FIELDS:
        a, b = getattr(reference, name), getattr(actual, name)
        values[name] = None if a is None or b is None else b - a
    return values


def require(rows: Sequence[ParityRow]) -> None:
    """Fail when a row exceeds its limits.

    Raises:
        DmddError: names each artifact and figure.
    """
    failed = [row for row in rows if row.problems()]
    if failed:
        problems = [f"{row.artifact}: {problem}" for row in failed for problem in row.problems()]
        hint = "Try"
        # fp32 rows allow rounding only: where they pass, the graph is right and half precision too coarse.
        if all(row.limits == LIMITS["fp16"] for row in failed):
            hint = (
                "Train longer: after few steps what the network computes is little more than half "
                "precision's rounding. If that does not help, try"
            )
        raise BundleError(
            f"The exported graph does not match the trained model: {'; '.join(problems)}. "
            "Nothing was published; the version in use is unchanged.",
            fix=f"{hint} another version of torch or onnxscript, and report this with the lines above.",
        )


def onnx_predictor(path: Path) -> Predictor:
    """A written graph in ONNX Runtime on the CPU, as a predictor of prepared images."""
    onnxruntime = import_onnxruntime("cpu")
    session = onnxruntime.InferenceSession(
        str(path),
        session_options(onnxruntime, usable_cores()),
        providers=["CPUExecutionProvider"],
        disabled_optimizers=DISABLED_OPTIMIZERS,
    )

    def predict(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return run_session(session, np.ascontiguousarray(images))

    return predict
