"""The rows and the curve of one trained run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.spread import spread
from dmdd_edge.evaluation.metrics import PAPER_FIELDS
from dmdd_edge.evaluation.test_set import Evaluation, TestSet, evaluate_predictor, load_test_set
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.graph_view import read_graph
from dmdd_edge.export.int8.add import gated
from dmdd_edge.export.int8.choice import Measurement
from dmdd_edge.export.int8.images import Int8Images, int8_images
from dmdd_edge.export.int8.make import Made
from dmdd_edge.export.int8.measure import Limits, loss
from dmdd_edge.export.int8.places import interior
from dmdd_edge.export.int8.search import Search
from dmdd_edge.export.int8.share import int8_share
from dmdd_edge.export.int8.simulate import Simulation
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.export.parity import onnx_predictor
from dmdd_edge.train.checkpoint import Run, load_run
from dmdd_edge.train.evaluation import run_images, threshold_of
from dmdd_edge.train.places import category_of_or_none
from int8.plain import write_plain

Say = Callable[[str], None]
OURS = "int8 ours"
#: The graphs whose rows ours take the place of: that of an earlier version, too.
_REPLACED = (OURS, "int8 before")


def study(
    folder: Path, points: int, say: Say, keep: Path | None = None, before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Measure a run.

    Args:
        folder: of the run.
        points: of the curve.
        say: receives what begins.
        keep: folder for the graphs and for the images that ranges come from; None keeps neither.
        before: results of the same run and images, from which all rows but ours are taken; None measures all.

    Raises:
        ValueError: ``before`` is of another run or of other images.
    """
    run = load_run(folder)
    size = run.config.model.image_size
    images = int8_images(run)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) if keep is None else keep
        place.mkdir(parents=True, exist_ok=True)
        good = _good(run)
        if keep is not None:
            np.savez(place / "images.npz", good=good, ranges=images.ranges)
        files, made, refused = _files(run, images, good, place, say, ours=before is not None)
        rows = _rows(run, files, _sets(run, images), say)
    if before is not None:
        rows = _with_others(rows, before["rows"])
    return {
        "category": run.config.category,
        "backbone": run.config.model.backbone,
        "image_size": size,
        "steps": run.info["steps"],
        "limits": asdict(Limits()),
        "ours": {**made.as_dict(), "refused": list(refused)},
        "rows": rows,
        "curve": _curve(run, made, images, points, say),
    }


def more_rows(folder: Path, files: dict[str, Path], say: Say) -> list[Any]:
    """The rows of other graphs of a measured run.

    Args:
        folder: of the run.
        files: the graphs by name; ``fp32`` first, which the others are compared with.
        say: receives what begins.
    """
    run = load_run(folder)
    rows = _rows(run, files, _sets(run, int8_images(run)), say)
    return [row for row in rows if row["graph"] != "fp32"]


def _sets(run: Run, images: Int8Images) -> list[tuple[str, TestSet]]:
    sets = [("made damage", images.gate)]
    category = category_of_or_none(run)
    if category is not None and category.test:
        test = load_test_set(category, run.config.preprocess, run.config.model.image_size)
        sets.append(("test images", test))
    return sets


def _good(run: Run) -> NDArray[np.uint8]:
    """Good training images, for ranges that know no damage."""
    training = [Path(path) for path in run.info["train"]]
    return np.asarray(run_images(run, [training[i] for i in spread(len(training), 32)]))


def _files(
    run: Run, images: Int8Images, good: NDArray[np.uint8], folder: Path, say: Say, *, ours: bool
) -> tuple[dict[str, Path], Made, tuple[float, ...]]:
    size = run.config.model.image_size
    names = ("fp32", OURS) if ours else ("fp32", "fp16", "int8 plain", OURS)
    files = {name: folder / f"{name}.onnx" for name in names}
    for name in names[:1] if ours else names[:2]:
        say(f"writing {name}")
        write_onnx(DeploymentGraph(run.model, half=name == "fp16"), files[name], size)
    if not ours:
        say("writing int8 plain")
        write_plain(files["fp32"], files["int8 plain"], good)
    say("writing int8 ours")
    exact = onnx_predictor(files["fp32"])
    threshold = threshold_of(run, exact)
    sets = _sets(run, images)
    part = gated(run, files[OURS], (exact, threshold), partial(threshold_of, run), images, sets, say=say)
    return files, part.made, part.refused


def _with_others(rows: list[Any], before: list[Any]) -> list[Any]:
    """The rows of before, with our row in the place of ours."""
    key = ("graph", "images")
    new = {tuple(row[name] for name in key): row for row in rows}
    same = ("threshold", "good", "bad", "image_auroc_itself", "pixel_auroc_itself", "pro_itself")
    for row in before:
        found = new.get(tuple(row[name] for name in key))
        if row["graph"] == "fp32" and (found is None or any(abs(row[n] - found[n]) > 1e-6 for n in same)):
            raise ValueError("the results of before are of another run, or of other images")
    own = [row for row in rows if row["graph"] == OURS]
    return [row for row in before if row["graph"] not in _REPLACED] + own


def _rows(run: Run, files: dict[str, Path], sets: Sequence[tuple[str, TestSet]], say: Say) -> list[Any]:
    rows: list[Any] = []
    exact: dict[str, Evaluation] = {}
    before = 0.0
    for name, path in files.items():
        say(f"evaluating {name}")
        predict = onnx_predictor(path)
        threshold = threshold_of(run, predict).image
        before = threshold if name == "fp32" else before
        for of, test in sets:
            result = evaluate_predictor(predict, test)
            exact.setdefault(of, result)
            own = None if of == "made damage" else (before, threshold)
            found = loss(of, test, exact[of], result, own)
            row = {"graph": name, "share": int8_share(read_graph(path)), "threshold": threshold}
            row |= {f"{field}_itself": getattr(result.metrics, field) for field in PAPER_FIELDS}
            rows.append({**row, **found.as_dict(), "holds": not found.problems(Limits())})
    return rows


def _curve(run: Run, made: Made, images: Int8Images, points: int, say: Say) -> dict[str, Any]:
    """Loss on the images of the choice against the share of INT8.

    The points that the choice measured, in its order, then some with fewer multiply-adds in INT8.
    """
    choice = made.choice
    steps = list(choice.steps)
    if choice.error:
        graph = DeploymentGraph(run.model)
        places = interior(graph)
        simulation = Simulation(graph, places, choice.inputs)
        measure = Measurement(simulation, places, images, Limits())
        search = Search(choice.order, choice.error, choice.work, measure)
        seen = {step.half for step in steps}
        others = [half for half in search.candidates() if half not in seen]
        for half in (others[index] for index in spread(len(others), points)):
            say(f"curve: {len(half)} of {len(places)} places in half")
            steps.append(search.step(half))
    inside = next((step.share for step in reversed(choice.steps) if step.holds), 1.0)
    return {
        "order": list(choice.order),
        "error": choice.error,
        "work": choice.work,
        "points": [
            {
                "half": len(step.half),
                "share": made.share * step.share / inside,
                "holds": step.holds,
                **step.loss.as_dict(),
            }
            for step in steps
        ],
    }
