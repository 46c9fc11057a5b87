"""``dmdd-edge evaluate`` on folders of a user, or of a bundle: what is found and rejected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.cli.console import console, next_step, print_json
from dmdd_edge.errors import OptionError

if TYPE_CHECKING:
    from dmdd_edge.bundle.threshold import Threshold
    from dmdd_edge.data.datasets import Category
    from dmdd_edge.evaluation.decisions import Decisions


@dataclass(frozen=True)
class Asked:
    """What is evaluated on what; the fields are the options of ``evaluate``."""

    good: Path | None
    bad: Path | None
    masks: Path | None
    data: Path | None
    report: Path | None
    quiet: bool
    json: bool

    def category(self, name: str) -> tuple[Category, dict[Path, str] | None]:
        """The test images, and the group of each where folders are given.

        Raises:
            DmddError: there are none.
        """
        from dmdd_edge.data.datasets import load_category
        from dmdd_edge.data.datasets.folders import from_folders, groups

        if self.good is not None or self.bad is not None:
            if self.data is not None:
                raise OptionError(
                    "--data is given together with --good or --bad.",
                    "Give a data set with --data, or folders with --good and --bad.",
                )
            found = from_folders(name, self.good, self.bad, self.masks)
            return found, groups(found, self.good)
        if self.data is None:
            raise OptionError(
                "A bundle holds no images to evaluate it on.",
                "Give --good DIR and --bad DIR, or a data set with --data DIR.",
            )
        return load_category(self.data, name), None


def evaluate_bundle(path: Path, backend: str, asked: Asked, named: dict[str, object]) -> None:
    """Evaluate a bundle, without torch.

    Args:
        path: of the bundle.
        backend: as ``--backend``.
        asked: the options.
        named: the options that name the bundle, for the next command.

    Raises:
        DmddError: the bundle cannot run here, or there are no images.
    """
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.bundle.calibration import read_calibration
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.messages.commands import command
    from dmdd_edge.runtime import evaluation
    from dmdd_edge.runtime.detector import Detector

    category, groups = asked.category(Bundle.load(path, verify=False).category)
    with Detector.load(path, backend) as detector, Work(quiet=asked.quiet) as work:
        found = evaluation.evaluate_bundle(
            detector, category, groups, lambda done, total: work.update("judging images", done, total)
        )
        bundle = detector.bundle
    calibration = read_calibration(bundle)
    threshold = bundle.manifest.threshold if calibration is None else calibration.threshold
    metrics = found.metrics
    _print(metrics, found.decisions, threshold, category)
    console.print(f"bundle {bundle.category} {bundle.version} on {metrics['backend']}", markup=False)
    if asked.report is not None:
        from dmdd_edge.train.report.content import Content
        from dmdd_edge.train.report.page import write_page

        content = Content(None, metrics, found.test, found.found, threshold, category.skipped)
        file = write_page(asked.report, bundle.category, content)
        console.print(f"wrote {file}", markup=False)
    if asked.json:
        print_json(metrics)
    next_step(command("run", **named, source="FOLDER_OR_IMAGE", save="out/"))


def evaluate_run(folder: Path, device: str, asked: Asked) -> None:
    """Evaluate a training run on folders; nothing in the run is changed.

    Raises:
        DmddError: the run's held-out images are gone, or there are no images.
    """
    from dmdd_edge.cli.progress import Work, loading
    from dmdd_edge.extras import need
    from dmdd_edge.messages.commands import command, run_options

    with need("train"), loading(asked.quiet):
        from dmdd_edge.train.checkpoint import load_run
        from dmdd_edge.train.devices import choose_device
        from dmdd_edge.train.report.writing import write_report
        from dmdd_edge.train.session import evaluate_on
    run = load_run(folder)
    where = choose_device(device)
    category, groups = asked.category(run.config.category)
    with Work(quiet=asked.quiet) as work:
        work.update("threshold")
        found, decisions = evaluate_on(
            run, category, groups, where, lambda done, total: work.update("judging images", done, total)
        )
    _print(found.metrics, decisions, found.threshold, category)
    if asked.report is not None:
        console.print(f"wrote {write_report(asked.report, run, found, where)}", markup=False)
    if asked.json:
        print_json(found.metrics)
    next_step(command("export", **run_options(folder, run.config.category)))


def _print(
    metrics: dict[str, Any], decisions: Decisions | None, threshold: Threshold | None, category: Category
) -> None:
    from dmdd_edge.cli.tables import metrics_table
    from dmdd_edge.evaluation.decisions import promise_line, result_lines

    for number, line in enumerate(result_lines(metrics)):
        console.print(line, markup=False, style="bold" if number == 0 else None)
    if decisions is not None and threshold is not None and decisions.threshold == threshold.image:
        promise = promise_line(decisions, threshold)
        if promise is not None:
            console.print(promise, markup=False)
    if metrics["image_auroc"] is not None:  # with one kind of images there is nothing to rank
        console.print(metrics_table(metrics))
    for line in category.remarks():
        console.print(line, markup=False)
