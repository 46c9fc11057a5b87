"""What eight known-bad parts change: figures of the other defects, with and without them, over seeded draws.

    python benchmarks/upkeep/known_bad.py runs/screw [runs/bottle ...]

Nothing is trained: of each finished run, eight defective test images are drawn as known-bad parts, and the
weights of score and map are chosen as in training. The figures are of the good test images and the defects
that were not drawn. "Always" takes the known-bad parts' choice without the margin.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.evaluation.metrics import evaluate
from dmdd_edge.evaluation.test_set import TestSet, load_test_set
from dmdd_edge.train.checkpoint import Run, load_run
from dmdd_edge.train.evaluation import holdout_images
from dmdd_edge.train.features import to_input
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.known_bad_choice import MARGIN, choose_by_known_bad
from dmdd_edge.train.places import category_of, moved
from dmdd_edge.train.scales import MapChoice

_LIBRARIES = ("torch", "timm", "numpy", "opencv-python")
_BATCH, _DRAWN = 8, 8
_FIGURES = ("image_auroc", "pixel_auroc", "pro", "found")


@dataclass
class Measured:
    """Stacked maps of a run's held-out and test images.

    Attributes:
        run: the run.
        head: of it.
        good: of the held-out images.
        tested: of the test images.
        test: the test images.
    """

    run: Run
    head: ScaledHead
    good: Tensor
    tested: Tensor
    test: TestSet

    @classmethod
    def of(cls, run: Run) -> Measured:
        """Compute the maps."""
        head = run.model.head
        assert isinstance(head, ScaledHead)
        test = load_test_set(category_of(run), run.config.preprocess, run.config.model.image_size)
        return cls(
            run,
            head,
            _stacked(run, head, np.asarray(holdout_images(run))),
            _stacked(run, head, np.asarray(test.images)),
            test,
        )

    @torch.no_grad()
    def figures(self, kept: NDArray[np.intp]) -> dict[str, float]:
        """Figures of some test images, and the share of defects that a threshold of this score finds."""
        parts = torch.split(self.tested[torch.from_numpy(kept)], _BATCH)
        both = [self.head.combine(part) for part in parts]
        maps = np.concatenate([each[0].numpy() for each in both])
        scores = np.concatenate([each[1].numpy() for each in both])
        labels = self.test.labels[kept]
        names = [self.test.defects[i] for i in kept]
        found = evaluate(
            scores, labels, maps, np.asarray(self.test.masks)[kept], names, self.test.has_mask[kept]
        )
        threshold = threshold_from_normals(self.head.score(self.good).tolist()).image
        values = (found.image_auroc, found.pixel_auroc, found.pro, float((scores[labels] > threshold).mean()))
        return {name: float(value or 0.0) for name, value in zip(_FIGURES, values, strict=True)}


@torch.no_grad()
def _stacked(run: Run, head: ScaledHead, images: NDArray[np.uint8]) -> Tensor:
    model = run.model.eval()
    common.require_not_rotated(model)
    parts = []
    for start in range(0, len(images), _BATCH):
        x = model.normalize(to_input(images[start : start + _BATCH], torch.device("cpu")))
        parts.append(head.stack(model.distances(model.teacher(x), model.student(x))))
    return torch.cat(parts)


def chosen_before(run: Run) -> MapChoice:
    """What synthetic damage chose for the run."""
    facts = run.info["map_weights"]
    known = {name: facts.get(name, 0.0) for name in ("abnormality", "density", "prototypes", "lengths")}
    return MapChoice(stages=tuple(facts["stages"]), tried=[], images=facts["images"], **known)


def draw(measured: Measured, seed: int) -> dict[str, Any]:
    """One draw of known-bad parts: figures of the rest, by who chose the weights."""
    defective = np.flatnonzero(measured.test.labels)
    drawn = np.sort(np.random.default_rng([seed, len(defective)]).choice(defective, _DRAWN, replace=False))
    kept = np.setdiff1d(np.arange(len(measured.test.labels)), drawn)
    head, before = measured.head, chosen_before(measured.run)
    score, weights = head.share.clone(), head.map_share.clone()
    row: dict[str, Any] = {"seed": seed, "without": measured.figures(kept)}
    for name, margin in (("with", MARGIN), ("always", None)):
        bad, good = measured.tested[torch.from_numpy(drawn)], torch.split(measured.good, _BATCH)
        said = choose_by_known_bad(head, [bad], good, before, margin)
        row[name] = {
            **measured.figures(kept),
            **{f"{what}_changed": each["changed"] for what, each in said.known_bad.items()},
        }
        head.share.copy_(score)
        head.map_share.copy_(weights)
    return row


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation over the draws, by who chose the weights."""
    found: dict[str, Any] = {}
    for name in ("without", "with", "always"):
        for figure in _FIGURES:
            values = np.array([row[name][figure] for row in rows])
            found.setdefault(name, {})[figure] = [
                round(float(values.mean()), 5),
                round(float(values.std()), 5),
            ]
    for name in ("with", "always"):
        for what in ("score", "map"):
            found[name][f"{what}_changed"] = sum(bool(row[name][f"{what}_changed"]) for row in rows)
        worse = [row[name]["image_auroc"] - row["without"]["image_auroc"] for row in rows]
        found[name]["worst_image_auroc_change"] = round(float(min(worse)), 5)
        worse = [row[name]["pro"] - row["without"]["pro"] for row in rows]
        found[name]["worst_pro_change"] = round(float(min(worse)), 5)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = common.parser(__doc__, "known_bad")
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs with test images")
    parser.add_argument("--data", type=Path, help="data set, where it is not in the place of the training")
    parser.add_argument("--draws", type=int, default=20, help="draws of known-bad parts")
    options = parser.parse_args(arguments)
    machine = common.begin()
    rows = []
    for folder in options.runs:
        run = moved(load_run(folder), options.data)
        measured = Measured.of(run)
        draws = [draw(measured, seed) for seed in range(options.draws)]
        rows.append(
            {
                "category": run.config.category,
                "steps": run.info["steps"],
                "defects": int(measured.test.labels.sum()),
                "held_out": len(measured.good),
                "draws": len(draws),
                **summary(draws),
            }
        )
        print(rows[-1])
    common.write_result(options.out, machine, {"drawn": _DRAWN, "margin": MARGIN}, {"runs": rows}, _LIBRARIES)


if __name__ == "__main__":
    main()
