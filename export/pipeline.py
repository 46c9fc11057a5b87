"""Exports a finished run as a new version of the category's bundle."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from dmdd_edge.bundle.bundle import FP16_GRAPH, FP32_GRAPH, INT8_GRAPH, Bundle, BundleWriter
from dmdd_edge.bundle.manifest import Licenses, graph_specs
from dmdd_edge.bundle.threshold import DEFAULT_ALPHA, Threshold
from dmdd_edge.bundle.versions import CURRENT_NAME
from dmdd_edge.data.datasets import Category
from dmdd_edge.data.images import read_image
from dmdd_edge.data.look import Look, look_at, look_of
from dmdd_edge.data.quality import FrameLimits, limits_from, view_statistics
from dmdd_edge.data.spread import spread
from dmdd_edge.data_address import DataPlace
from dmdd_edge.evaluation.test_set import (
    Evaluation,
    Predictor,
    TestSet,
    evaluate_predictor,
    load_test_set,
    predict_all,
)
from dmdd_edge.evaluation.views import Views
from dmdd_edge.export.checks import GraphReport, Precision, check_graph
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.int8.add import Int8Part, add_int8, int8_costs
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.export.parity import LIMITS, ParityLimits, ParityRow, compare, onnx_predictor, require, row_of
from dmdd_edge.export.whole_parity import MOST_IMAGES, NO_METRICS, compare_whole, spread_set
from dmdd_edge.messages.phases import Cost
from dmdd_edge.train import checkpoint as files
from dmdd_edge.train import weights
from dmdd_edge.train.brightness import LIMIT
from dmdd_edge.train.checkpoint import Run, load_run
from dmdd_edge.train.evaluation import holdout_images, threshold_of, torch_predictor
from dmdd_edge.train.places import category_of_or_none, moved
from dmdd_edge.train.robustness import describe_shares
from dmdd_edge.train.run_folder import METRICS
from dmdd_edge.train.tile_choice import inputs_each

GRAPHS: dict[Precision, str] = {"fp32": FP32_GRAPH, "fp16": FP16_GRAPH}
#: Seconds for writing and checking a graph, and for evaluating an image.
_WRITING: dict[Precision, float] = {"fp32": 12.0, "fp16": 12.0}
_EVALUATED = 0.05
_THRESHOLD, _LIMITS = "threshold from the held-out images", "limits of frames"
#: Largest number of good images that the limits of a usable frame are computed from.
_FRAME_IMAGES = 200


@dataclass
class Exported:
    """The result of an export.

    Attributes:
        run: that was exported.
        bundle: the new version.
        threshold: from the held-out normal images.
        parity: one row per artifact.
        graphs: the static checks of each file.
        in_use: whether the new version was put into use.
        int8: the INT8 graph; None unless it was wanted.
    """

    run: Run
    bundle: Bundle
    threshold: Threshold
    parity: list[ParityRow]
    graphs: list[GraphReport]
    in_use: bool = True
    int8: Int8Part | None = None


#: Called with the phase, how much of it is done, and of how much.
Progress = Callable[[str, int, int | None], None]


def silent(what: str, done: int, total: int | None) -> None:
    """Ignore the progress."""


#: Adds files to the bundle being written: gets its folder and returns facts for the manifest's created_with.
Extra = Callable[[Path], dict[str, Any]]


def export_run(
    folder: Path,
    models_dir: Path,
    *,
    data: DataPlace | None = None,
    alpha: float = DEFAULT_ALPHA,
    suspect_rate: float | None = None,
    progress: Progress = silent,
    expect: Callable[[list[Cost]], None] = lambda costs: None,
    extras: list[Extra] | None = None,
    say: Callable[[str], None] = lambda text: None,
    accept: Callable[[Bundle], object] = lambda bundle: None,
    use: bool | None = None,
    int8: float | None = None,
) -> Exported:
    """Write, check and publish the bundle of a run.

    Args:
        folder: the run's folder.
        models_dir: folder of the bundles.
        data: data set, when it is not where training found it.
        alpha: false-alarm rate of the threshold, 0..1.
        suspect_rate: share of good parts that may be suspect or anomalous; None sets no lower threshold.
        progress: called with each phase, how much of it is done, and of how much; None where that is unknown.
        expect: called with the phases to come and their expected costs.
        extras: functions that add engines to the bundle.
        say: called with a line for whatever of the data set the comparison does not use, and one for what the
            detector tolerates.
        accept: called with the new version before it is put to use; raises to leave the one before in use.
        use: whether to put the new version into use; None does unless the run continues another and a
            version is in use.
        int8: write the INT8 graph too, which may lose this number of points beyond its limits; None does not.

    Raises:
        DmddError: the run is unfinished, its images are missing, or a check or parity fails; nothing is then
            published.
    """
    run = moved(load_run(folder), data)
    config = run.config
    size = config.model.image_size
    expect(_costs(run, int8 is not None))
    # What needs the images comes before the graphs: writing those takes minutes.
    progress(_LIMITS, 0, None)
    holdout_images(run)
    limits, look = measured_images(run)
    if use is None:
        use = config.parent is None or not (models_dir / config.category / CURRENT_NAME).is_file()
    with BundleWriter(models_dir, config.category) as writer:
        graphs = []
        for precision, name in GRAPHS.items():
            progress(f"writing {name}", 0, None)
            graph = DeploymentGraph(run.model, half=precision == "fp16")
            write_onnx(graph, writer.path / name, size)
            graphs.append(check_graph(writer.path / name, precision).require())
        predictors: dict[str, Predictor] = {
            precision: onnx_predictor(writer.path / name) for precision, name in GRAPHS.items()
        }
        progress(_THRESHOLD, 0, None)
        threshold = threshold_of(run, predictors["fp32"], alpha, suspect_rate)
        artifacts = {f"onnxruntime {name}": (predict, LIMITS[name]) for name, predict in predictors.items()}
        rows = compare_all(run, None, artifacts, threshold.image, progress, say)
        require(rows)
        if alpha == DEFAULT_ALPHA and (shares := run.info.get("nuisances")):  # at that threshold
            say(describe_shares(shares, len(run.info["holdout"]), run.config.synthesis.nuisances))
        own = None
        if int8 is not None:
            own = add_int8(
                run,
                writer.path / INT8_GRAPH,
                predictors["fp32"],
                threshold,
                alpha=alpha,
                suspect_rate=suspect_rate,
                allowed=int8,
                progress=progress,
                say=say,
            )
            graphs.append(own.report)
        facts: dict[str, Any] = {}
        for extra in extras or []:
            facts |= extra(writer.path)
        inputs, outputs = graph_specs(size)
        bundle = writer.commit(
            accept=accept,
            use=use,
            backbone=config.model.backbone,
            image_size=size,
            input=inputs,
            outputs=outputs,
            threshold=threshold,
            thresholds={} if own is None else {"int8": own.threshold},
            preprocess=config.preprocess,
            frame_limits=limits,
            look=look,
            parity={row.artifact: row.as_dict() for row in rows}
            | ({} if own is None else {own.row.artifact: own.row_dict()}),
            metrics=files.read_json(folder / METRICS),
            licences=Licenses(
                code="Apache-2.0",
                weights=weights.license(config.model.backbone),
                data="the training images' own; the bundle holds none of them",
            ),
            created_with={
                **run.info["created_with"],
                "onnx": onnx.__version__,
                "python": platform.python_version(),
                "recipe": config.recipe,
                "steps": run.info["steps"],
                "seed": config.seed,
                "images": _images_as_seen(run),
                **facts,
            },
        )
    return Exported(run, bundle, threshold, rows, graphs, use, own)


def compare_all(
    run: Run,
    data: DataPlace | None,
    artifacts: dict[str, tuple[Predictor, ParityLimits]],
    threshold: float,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda text: None,
) -> list[ParityRow]:
    """A parity row per artifact, on the category's test images, or on the held-out ones without any.

    Args:
        run: as trained.
        data: data set, when it is not where training found it.
        artifacts: what to compare with torch, by name, with the allowed differences.
        threshold: of the score, for the decisions.
        progress: called with each artifact, the images done and their count.
        say: called with a line for whatever of the data set is not used.
    """
    run = moved(run, data)
    predictors = {"torch": torch_predictor(run.model.to(memory_format=torch.channels_last))}
    predictors |= {name: predict for name, (predict, _) in artifacts.items()}
    category = category_of_or_none(run)
    labeled = category is not None and bool(category.test)
    pairs = 0
    if run.config.preprocess.tiling is not None:
        return _compare_tiled(
            run, category if labeled else None, predictors, artifacts, threshold, progress, say
        )
    if labeled:
        assert category is not None
        test = load_test_set(category, run.config.preprocess, run.config.model.image_size)
        for line in category.remarks():
            say(line)
        pairs = int(test.labels.sum()) * int((~test.labels).sum())
        results = {
            name: evaluate_predictor(predict, test, _comparing(name, len(test.items), progress))
            for name, predict in predictors.items()
        }
    else:
        images = np.asarray(holdout_images(run))
        results = {
            name: Evaluation(
                NO_METRICS, *predict_all(predict, images, _comparing(name, len(images), progress))
            )
            for name, predict in predictors.items()
        }
    reference = results.pop("torch")
    return [
        compare(name, reference, actual, threshold, artifacts[name][1], labeled=labeled, pairs=pairs)
        for name, actual in results.items()
    ]


def _compare_tiled(
    run: Run,
    category: Category | None,
    predictors: dict[str, Predictor],
    artifacts: dict[str, tuple[Predictor, ParityLimits]],
    threshold: float,
    progress: Progress,
    say: Callable[[str], None],
) -> list[ParityRow]:
    """The rows of a tiled run, from some of its test images, or of its held-out ones without any."""
    test: TestSet | None = None
    if category is None:
        images = holdout_images(run)
        assert isinstance(images, Views)
        images = images.taken(spread(len(images), MOST_IMAGES))
    else:
        complete = load_test_set(category, run.config.preprocess, run.config.model.image_size)
        for line in category.remarks():
            say(line)
        test = spread_set(complete)
        if len(test.items) < len(complete.items):
            say(
                f"compared on {len(test.items)} of {len(complete.items)} test images, spread over all of them"
            )
        images = test.images
        assert isinstance(images, Views)
    pairs = 0 if test is None else int(test.labels.sum()) * int((~test.labels).sum())
    # All artifacts get a tile before the next one is cut, so it is one phase; the others have no images left.
    tell = _comparing("torch", len(images), progress)
    results, differences = compare_whole(predictors, images, test, tell)
    return [
        row_of(
            name,
            results["torch"],
            results[name],
            differences[name],
            threshold,
            limits,
            labeled=test is not None,
            pairs=pairs,
        )
        for name, (_, limits) in artifacts.items()
    ]


def _comparing(name: str, count: int, progress: Progress) -> Callable[[int], None]:
    """Begin the phase of an artifact, and return the callback for the number of images done."""
    progress(f"comparing: {name}", 0, count)
    return lambda done: progress(f"comparing: {name}", done, count)


def _costs(run: Run, int8: bool) -> list[Cost]:
    """The phases of an export with their expected costs, measured on one core."""
    size, preprocess = run.config.model.image_size, run.config.preprocess
    inputs = inputs_each(preprocess, [Path(path) for path in run.info["holdout"]], size)
    area = (size / 256) ** 2 * inputs
    category, held_out = category_of_or_none(run), len(run.info["holdout"])
    tests = len(category.test) if category is not None and category.test else held_out
    images = tests
    names = ["torch", *(f"onnxruntime {precision}" for precision in GRAPHS)]
    if preprocess.tiling is not None:
        # All artifacts are compared tile by tile, in one phase.
        tests, names = len(names) * min(tests, MOST_IMAGES), names[:1]
    return [
        Cost(_LIMITS, 1.0, "host"),
        *(Cost(f"writing {name}", _WRITING[precision], "host") for precision, name in GRAPHS.items()),
        Cost(_THRESHOLD, _EVALUATED * held_out * area),
        *(Cost(f"comparing: {name}", _EVALUATED * tests * area) for name in names),
        *(int8_costs((size / 256) ** 2, images, inputs) if int8 else ()),
    ]


def _images_as_seen(run: Run) -> str:
    """What the graph does to an image before the networks see it."""
    done = [
        ("rotated", run.model.alignment),
        ("made equally bright", run.model.brightness),
        ("smoothed", run.model.normalize.denoise),
    ]
    return ", ".join(word for word, change in done if change is not None) or "as they are"


def measured_images(run: Run) -> tuple[FrameLimits, Look]:
    """Limits of usable frames, and the look of the training images.

    Raises:
        DmddError: all training images are missing, or one cannot be read.
    """
    config = run.config
    size = config.model.image_size
    paths = [Path(path) for path in [*run.info["train"], *run.info["holdout"]]]
    chosen = [paths[i] for i in spread(len(paths), _FRAME_IMAGES)]
    existing = [path for path in chosen if path.is_file()]
    statistics, looks = [], []
    for path in existing:
        image = read_image(path, config.preprocess.bits)
        prepared = config.preprocess.prepare(image, size, str(path))
        statistics.append(view_statistics(prepared, config.preprocess.geometry(image.shape, size).layout))
        looks.append(look_at(image, config.preprocess))
    brighter = 1.0 if run.model.brightness is None else LIMIT
    return limits_from(statistics, brighter), look_of(looks, (path.suffix for path in existing))
