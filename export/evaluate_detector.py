"""Evaluate a trained run or a bundle: the function behind ``dmdd-edge evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.arguments import check_instance, check_progress
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.datasets import Category, load_category
from dmdd_edge.data.datasets.folders import from_folders, groups
from dmdd_edge.errors import DataError, OptionError
from dmdd_edge.evaluation.decisions import decide, result_lines
from dmdd_edge.export.options import EvaluateOptions
from dmdd_edge.extras import need
from dmdd_edge.messages.reporter import Progress, Reporter
from dmdd_edge.run_store.runs import kept
from dmdd_edge.train.devices import check_device_name
from dmdd_edge.train.places import find_images, moved, of_training, without_copies
from dmdd_edge.train.run_folder import check_finished, run_lock
from dmdd_edge.workspace import find_bundle, find_run, list_bundles, list_runs

if TYPE_CHECKING:
    from dmdd_edge.bundle.threshold import Threshold
    from dmdd_edge.evaluation.decisions import Decisions
    from dmdd_edge.messages.phases import Cost
    from dmdd_edge.train.checkpoint import Run
    from dmdd_edge.train.config import TrainConfig

#: The phases, as people read them; those of ``train.costs``, which a bundle does without.
_THRESHOLD, _INFER, _FIGURES, _REPORT = "threshold", "evaluating images", "figures and images", "report"


@dataclass(frozen=True)
class Evaluated:
    """The result of an evaluation.

    Attributes:
        metrics: the fields of metrics.json, ratios in 0..1; with ``made_damage`` those of made_damage.json.
        threshold: the threshold in use; None for a run without held-out images.
        decisions: found, missed and rejected parts at the threshold; None without one.
        made_damage: whether damage made on held-out good images was evaluated, for want of test images.
        files: the files that were written.
        remarks: what was left out or used with a reservation, a line each.
        folder: of the run or of the bundle.
        bundle: the bundle; None for a run.
        config: the configuration of the run; internal.
        facts: the content of run.json; internal.
    """

    metrics: Mapping[str, Any]
    threshold: Threshold | None
    decisions: Decisions | None
    made_damage: bool
    files: tuple[Path, ...]
    remarks: tuple[str, ...]
    folder: Path
    bundle: Bundle | None = None
    config: TrainConfig | None = field(default=None, repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        lines = result_lines(self.metrics) or [str(self.metrics["category"])]
        return f"<Evaluated {lines[0]}>"


def evaluate_detector(options: EvaluateOptions, progress: Progress | Reporter | None = None) -> Evaluated:
    """Evaluate a run on its category's test images, or a run or a bundle on other images.

        from pathlib import Path
        from dmdd_edge import EvaluateOptions, evaluate_detector

        result = evaluate_detector(EvaluateOptions(category="screw", good=Path("ok"), bad=Path("nok")))
        print(result.metrics["image_auroc"], result.decisions)

    A run is evaluated with torch; its figures are written into its folder, unless ``good`` or ``bad`` name
    other images. A bundle needs neither torch nor onnx.

    Args:
        options: what is evaluated, and on which images.
        progress: called with a phase, the units done and their total (None where it is unknown).

    Raises:
        OptionError: an option contradicts another one.
        DataError: there are no images, or none that can be read.
        TrainingError: the run is missing, unfinished or in use.
        BundleError: the bundle is missing or does not verify.
        BackendError: the backend cannot run here, or a package is missing.
    """
    check_instance("options", options, EvaluateOptions, "EvaluateOptions")
    check_progress(progress, Reporter)
    reporter = progress if isinstance(progress, Reporter) else Reporter(progress)
    given = options.given()
    if options.model is not None or means_bundle(options, given):
        if "device" in given:
            raise OptionError("--device is for runs, and a bundle is evaluated.", "Give --backend instead.")
        return _evaluate_bundle(options, reporter)
    check_is_for_run(given)
    check_device_name(options.device)
    folder = find_run(options.category, options.run, options.runs_dir)
    return (
        _evaluate_on_folders(options, folder, reporter)
        if options.own_images
        else _evaluate_run(options, folder, reporter)
    )


def check_is_for_run(given: frozenset[str]) -> None:
    """Refuse options that bundles alone have.

    Raises:
        OptionError: there is one.
    """
    for name in sorted({"backend", "precision"} & given):
        raise OptionError(
            f"--{name} is for bundles, and a run is evaluated.",
            "Give --device instead, or name a bundle by --model or --models-dir.",
        )


def means_bundle(options: EvaluateOptions, given: frozenset[str]) -> bool:
    """Whether a bundle is meant without ``model``: options of bundles alone or of runs alone were given.

    Where these decide nothing, a bundle is meant with the user's own images, or where there is no run.
    """
    of_runs, of_bundles = (
        given & {"run", "runs_dir", "device"},
        given & {"models_dir", "backend", "precision"},
    )
    if "run" in given or (of_runs and not of_bundles):
        return False
    if of_bundles and not of_runs:
        return True
    bundles, runs = list_bundles(options.models_dir), list_runs(options.runs_dir)
    category = options.category
    has_bundle = bool(bundles) if category is None else category in bundles
    has_run = bool(runs) if category is None else category in runs
    return has_bundle and (options.own_images or not has_run)


def _images(options: EvaluateOptions, name: str) -> tuple[Category, dict[Path, str] | None]:
    """The test images, and the group of each where folders are given."""
    if options.own_images:
        category = from_folders(name, options.good, options.bad, options.masks)
        return category, groups(category, options.good)
    if options.data is None:
        raise OptionError(
            "A bundle holds no images to evaluate it on.",
            "Give --good DIR and --bad DIR, or a data set with --data DIR.",
        )
    return load_category(options.data, name), None


def _evaluate_bundle(options: EvaluateOptions, reporter: Reporter) -> Evaluated:
    from dmdd_edge.bundle.calibration import read_calibration
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.evaluation import evaluate_bundle
    from dmdd_edge.runtime.options.backend import BackendOptions

    if options.own_images and options.data is not None:
        raise OptionError(
            "--data is given together with --good or --bad.",
            "Give a data set with --data, or folders with --good and --bad.",
        )
    path = find_bundle(options.category, options.model, options.models_dir)
    category, names = _images(options, Bundle.load(path, verify=False).category)
    files = []
    how = BackendOptions(precision=options.precision)
    with Detector.load(path, options.backend, options=how) as detector:
        measured = evaluate_bundle(detector, category, names, partial(_evaluating, reporter))
        bundle = detector.bundle
        calibration = read_calibration(bundle)
        threshold = bundle.manifest.threshold if calibration is None else calibration.threshold
        if options.report is not None:
            from dmdd_edge.train.report.content import Content
            from dmdd_edge.train.report.page import write_page

            reporter.update(_REPORT)
            content = Content(
                None,
                measured.metrics,
                measured.test,
                measured.evaluation,
                threshold,
                category.skipped,
                progress=partial(reporter.update, _REPORT),
            )
            # While the backend is open: maps of large images are computed again for the page.
            files.append(write_page(options.report, bundle.category, content))
    return Evaluated(
        measured.metrics,
        threshold,
        measured.decisions,
        False,
        tuple(files),
        tuple(category.remarks()),
        path,
        bundle,
    )


def _evaluate_on_folders(options: EvaluateOptions, folder: Path, reporter: Reporter) -> Evaluated:
    # What a user can mistype comes first, then what takes seconds to load.
    category, names = _images(options, check_finished(folder).category)
    reporter.update("loading torch")
    with need("train"):
        from dmdd_edge.train.checkpoint import load_run
        from dmdd_edge.train.devices import choose_device
        from dmdd_edge.train.report.writing import write_report
        from dmdd_edge.train.session import evaluate_on

    run = moved(load_run(folder), options.data)
    category = without_copies(category, of_training(run.info))
    if not category.test:
        raise DataError(
            "The run was trained on all of these images, or held them out for its threshold.",
            "Give --good or --bad images that are new to it.",
        )
    device = choose_device(options.device)
    reporter.expect(_costs(run, category, options.report is not None))
    reporter.update(_THRESHOLD)
    measured, decisions = evaluate_on(
        run,
        category,
        names,
        device,
        partial(_evaluating, reporter),
        partial(reporter.update, _THRESHOLD),
    )
    files = []
    if options.report is not None:
        reporter.update(_REPORT)
        files.append(write_report(options.report, run, measured, device, partial(reporter.update, _REPORT)))
    return Evaluated(
        measured.metrics,
        measured.threshold,
        decisions,
        False,
        tuple(files),
        tuple(category.remarks()),
        folder,
        config=run.config,
        facts=run.info,
    )


def _evaluating(reporter: Reporter, done: int, total: int) -> None:
    """Report how many images are evaluated; the figures follow the last one."""
    reporter.update(_INFER, done, total)
    if done == total:
        reporter.update(_FIGURES)


def _costs(run: Run, category: Category, report: bool) -> list[Cost]:
    """What the phases of an evaluation are expected to take."""
    from dmdd_edge.train import costs
    from dmdd_edge.train.tile_choice import inputs_each

    held_out = len(run.info["holdout"])
    paths = [item.path for item in category.test] or [Path(path) for path in run.info["holdout"]]
    inputs = inputs_each(run.config.preprocess, paths, run.config.model.image_size)
    # Without test images, damage is made on the held-out ones.
    return costs.evaluating(run.config, held_out, len(category.test) or 2 * held_out, inputs, report)


def _evaluate_run(options: EvaluateOptions, folder: Path, reporter: Reporter) -> Evaluated:
    config = check_finished(folder)
    category = find_images(options.data or config.data, config.category)
    reporter.update("loading torch")
    with need("train"):
        from dmdd_edge.train.checkpoint import load_run
        from dmdd_edge.train.devices import choose_device
        from dmdd_edge.train.report.writing import write_report
        from dmdd_edge.train.session import evaluate_run

    with run_lock(folder, shared=True), kept(folder, "continue", reporter.say):
        run = moved(load_run(folder), options.data)
        device = choose_device(options.device)
        reporter.expect(_costs(run, category, options.report is not None or not category.test))
        reporter.update(_THRESHOLD)
        measured = evaluate_run(
            run, None, device, partial(_evaluating, reporter), partial(reporter.update, _THRESHOLD)
        )
        threshold, test = measured.threshold, measured.test
        decisions = (
            None
            if threshold is None
            else decide(measured.evaluation.scores, test.labels, test.defects, threshold.image)
        )
        files = list(measured.files)
        report = options.report
        if report is None and measured.damage:
            report = folder / "report.html"
        if report is not None:
            reporter.update(_REPORT)
            files.append(write_report(report, run, measured, device, partial(reporter.update, _REPORT)))
    return Evaluated(
        measured.metrics,
        threshold,
        decisions,
        measured.damage,
        tuple(files),
        tuple(measured.remarks),
        folder,
        config=run.config,
        facts=run.info,
    )
