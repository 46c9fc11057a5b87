"""One training session: opens the run's folder, trains, evaluates, and writes figures and images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.data.datasets import Category, load_category
from dmdd_edge.data.datasets.repeats import digest_of
from dmdd_edge.data.images import list_images
from dmdd_edge.data_address import DataPlace
from dmdd_edge.evaluation.decisions import Decisions, decide, result_lines
from dmdd_edge.evaluation.test_set import Evaluation, Predictor, TestSet, evaluate_predictor, load_test_set
from dmdd_edge.evaluation.views import Views
from dmdd_edge.storage import make_folder
from dmdd_edge.train import checkpoint as files
from dmdd_edge.train import costs
from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.continuation import (
    check_images,
    plan_continuation,
    read_continuation,
    write_continuation,
)
from dmdd_edge.train.evaluation import (
    figures,
    holdout_images,
    threshold_and_odd,
    threshold_of,
    torch_predictor,
    write_images,
)
from dmdd_edge.train.image_lists import read_lists, without_lists
from dmdd_edge.train.known_bad import describe_known_bad, judge_known_bad, leave_out
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.made_damage import DAMAGE_FILES, damage_lines, measure_damage
from dmdd_edge.train.outliers import describe, outliers_of_training
from dmdd_edge.train.places import category_of, find_images, moved, with_images
from dmdd_edge.train.recording import LOG, recording
from dmdd_edge.train.robustness import describe_shares, shares_above
from dmdd_edge.train.run_folder import COMPLETE, CONTINUED, METRICS
from dmdd_edge.train.threads import keep_to_quota
from dmdd_edge.train.trainer import Trainer


@dataclass
class Outcome:
    """The result of a training session.

    Attributes:
        run: the finished run.
        category: its images.
        metrics: content of metrics.json, None without test images.
        threshold: from the held-out normal images, None when none were held out.
        images: files written for a person.
        damage: without test images: the figures of synthetic damage on the held-out images.
    """

    run: files.Run
    category: Category
    metrics: dict[str, Any] | None
    threshold: Threshold | None
    images: list[Path]
    damage: Measured | None = None


def train(
    config: TrainConfig,
    folder: Path,
    listener: Listener,
    *,
    resume: bool,
    tensorboard: bool,
    began: float | None = None,
) -> Outcome:
    """Train a category and evaluate it on its test images, if it has any.

    Args:
        config: of the run.
        folder: of the run.
        listener: receives everything.
        resume: continue from the last checkpoint.
        tensorboard: write a TensorBoard log.
        began: ``time.monotonic()`` from which a time limit counts; by default now.

    Raises:
        DmddError: the images, the weights, the device or the disk cannot be used, or training diverged.
        KeyboardInterrupt: training was stopped.
    """
    began = time.monotonic() if began is None else began
    keep_to_quota()
    category, notes = _category(config, folder, resume=resume)
    make_folder(folder)
    with recording(folder, listener, tensorboard) as recorder:
        recorder.say(category.headline())
        recorder.say(category.table())
        for line in notes:
            recorder.say(line)
        # Before the training: unusable masks must be reported before hours are spent.
        if config.known_bad is not None:
            known = [digest_of(path) for path in list_images(config.known_bad, recursive=True)]
            if left := leave_out(category, known):
                recorder.say(f"{left} test images are known-bad parts: they are left out of the figures")
        test = None
        if category.test:
            recorder.preparing(costs.READING, 0, None)
            test = load_test_set(category, config.preprocess, config.model.image_size)
        for line in category.remarks():
            recorder.say(line)
        recorder.say(f"log: {folder / LOG}")
        trainer = Trainer(config, category, folder, recorder, resume=resume, began=began)
        prepared = trainer.prepare()
        run = trainer.train(prepared)
        recorder.preparing(costs.OUTLIERS, 0, None)
        run.info["outliers"] = outliers_of_training(run.model, prepared.images, prepared.foreground)
        files.write_facts(folder, run.info)
        for line in describe(run.info["outliers"]):
            recorder.note(line)
        predict = torch_predictor(run.model)
        threshold = None
        if run.info["holdout"]:
            recorder.preparing(costs.THRESHOLD, 0, None)
            threshold, odd = threshold_and_odd(
                run, predict, progress=partial(recorder.preparing, costs.THRESHOLD)
            )
            for line in [threshold.describe(), *odd]:
                recorder.note(line)
            run.info["nuisances"] = shares_above(
                predict, holdout_images(run), threshold, partial(recorder.preparing, costs.NUISANCES)
            )
            files.write_facts(folder, run.info)
            trained_for = config.synthesis.nuisances
            recorder.note(describe_shares(run.info["nuisances"], len(run.info["holdout"]), trained_for))
        if prepared.known_bad is not None:
            known_bad = prepared.known_bad.prepared_by(run.config.preprocess)
            run.info["known_bad"] = judge_known_bad(known_bad, predict, threshold)
            files.write_facts(folder, run.info)
            recorder.note(describe_known_bad(run.info["known_bad"]))
        if test is None:
            damage = None
            if threshold is not None:
                damage = _damage(run, predict, threshold, partial(_evaluating, recorder))
                for line in damage_lines(damage.metrics, folder):
                    recorder.logger.info(line)
            _complete(run)
            return Outcome(run, category, None, threshold, [] if damage is None else damage.files, damage)
        measured = measure(
            run,
            category,
            predict,
            threshold,
            partial(_evaluating, recorder),
            test,
        )
        _complete(run)
        for line in [*result_lines(measured.metrics), summary_line(measured.metrics)]:
            recorder.note(line)
        return Outcome(run, category, measured.metrics, threshold, measured.files[1:])


def _evaluating(listener: Listener, done: int, total: int) -> None:
    """Report how many images are evaluated; the figures follow the last one."""
    listener.preparing(costs.TEST, done, total)
    if done == total:
        listener.preparing(costs.FIGURES, 0, None)


def _category(config: TrainConfig, folder: Path, *, resume: bool) -> tuple[Category, list[str]]:
    """The images of a new or a resumed run, and what a user should know of them, a line each."""
    if config.parent is None:
        if not resume:
            return load_category(config.data, config.category), []
        category = find_images(config.data, config.category)
        lists = read_lists(folder, category)
        return (category, without_lists(folder)) if lists is None else lists.restrict(category)
    began = (folder / CONTINUED).is_file()
    if not began:
        images = plan_continuation(config.parent.run, config)
        make_folder(folder)
        write_continuation(folder, images)
    facts = read_continuation(folder, config)
    if began:
        check_images(folder, facts)
    return with_images(find_images(config.data, config.category), facts), []


def _complete(run: files.Run) -> None:
    """Mark the run as complete; a run that ends earlier is completed by ``--resume``."""
    run.info[COMPLETE] = True
    files.write_facts(run.folder, run.info)
    (run.folder / files.IMAGES).unlink(missing_ok=True)


@dataclass
class Measured:
    """A run's figures on its test images.

    Attributes:
        metrics: content of metrics.json.
        files: metrics.json and the images, as written.
        skipped: test files that could not be used, and why.
        test, evaluation, threshold: what the figures were computed from.
        remarks: what was left out or used with a reservation, one line each.
        damage: whether ``test`` holds held-out good images and synthetic damage on them, since there are no
            test images; ``metrics`` is then the content of ``made_damage.json``.
    """

    metrics: dict[str, Any]
    files: list[Path]
    skipped: list[tuple[Path, str]]
    test: TestSet
    evaluation: Evaluation
    threshold: Threshold | None
    remarks: list[str] = field(default_factory=list)
    damage: bool = False


def measure(
    run: files.Run,
    category: Category,
    predict: Predictor,
    threshold: Threshold | None,
    progress: Callable[[int, int], None],
    test: TestSet | None = None,
) -> Measured:
    """Evaluate the test images; write metrics.json, the histogram and the sheet of the hardest cases.

    Args:
        run: to be measured.
        category: its images.
        predict: the run's predictor.
        threshold: None without held-out images.
        progress: called with the images done and their count.
        test: the category's test images, if they are already loaded.
    """
    config = run.config
    progress(0, len(category.test))
    if test is None:
        test = load_test_set(category, config.preprocess, config.model.image_size)
    elif isinstance(views := test.images, Views):  # of before the training, which measures the levels
        only = config.preprocess.only_size
        if only is not None and any(tuple(shape) != only for shape in test.shapes):
            test = load_test_set(category, config.preprocess, config.model.image_size)  # names those left out
        else:
            test = replace(test, images=views.prepared_by(config.preprocess))
    evaluation = evaluate_predictor(predict, test, lambda done: progress(done, len(test.items)))
    level = None if threshold is None else threshold.image
    decisions = None if level is None else decide(evaluation.scores, test.labels, test.defects, level)
    metrics = figures(run, evaluation.metrics, level, decisions)
    metrics["data_set"] = category.counts()
    files.write_json(run.folder / METRICS, metrics)
    written = [run.folder / METRICS, *write_images(run.folder, test, evaluation, threshold)]
    return Measured(metrics, written, category.skipped, test, evaluation, threshold, category.remarks())


def evaluate_run(
    run: files.Run,
    data: DataPlace | None,
    device: torch.device,
    progress: Callable[[int, int], None],
    on_threshold: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Measure a finished run again.

    Args:
        run: as ``load_run`` gives it.
        data: data set, when it is not where training found it.
        device: where to compute.
        progress: called with the images done and their count.
        on_threshold: likewise, of the held-out images, which come first.

    Raises:
        DmddError: the images are missing, or there are no test images.
    """
    run = moved(run, data)
    category = category_of(run)
    run.model.to(device).to(memory_format=torch.channels_last)
    predict = torch_predictor(run.model, device)
    threshold = threshold_of(run, predict, progress=on_threshold) if run.info["holdout"] else None
    if not category.test and threshold is not None:
        return _damage(run, predict, threshold, progress)
    return measure(run, category, predict, threshold, progress)


def _damage(
    run: files.Run, predict: Predictor, threshold: Threshold, progress: Callable[[int, int], None]
) -> Measured:
    """Measure a run without test images on synthetic damage, under separate file names."""
    metrics, test, evaluation = measure_damage(run, predict, threshold, progress)
    written = [run.folder / name for name in DAMAGE_FILES]
    return Measured(metrics, written, [], test, evaluation, threshold, damage=True)


def evaluate_on(
    run: files.Run,
    category: Category,
    groups: Mapping[Path, str] | None,
    device: torch.device,
    progress: Callable[[int, int], None],
    on_threshold: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Measured, Decisions | None]:
    """Measure a finished run on images from elsewhere; nothing is written into the run.

    Args:
        run: as ``load_run`` gives it.
        category: its test images are evaluated.
        groups: the name of each image's group, for the decisions; None groups by defect type.
        device: where to compute.
        progress: called with the images done and their count.
        on_threshold: likewise, of the held-out images, which come first.

    Returns:
        the figures, and the decisions at the threshold; None for those without held-out images.

    Raises:
        DmddError: the held-out images are missing, or there are no readable test images.
    """
    run.model.to(device).to(memory_format=torch.channels_last)
    predict = torch_predictor(run.model, device)
    threshold = threshold_of(run, predict, progress=on_threshold) if run.info["holdout"] else None
    test = load_test_set(category, run.config.preprocess, run.config.model.image_size)
    evaluation = evaluate_predictor(predict, test, lambda done: progress(done, len(test.items)))
    decisions = None
    if threshold is not None:
        names = test.defects if groups is None else [groups[item.path] for item in test.items]
        decisions = decide(evaluation.scores, test.labels, names, threshold.image)
    metrics = figures(run, evaluation.metrics, None if threshold is None else threshold.image, decisions)
    metrics["data_set"] = category.counts()
    return Measured(metrics, [], category.skipped, test, evaluation, threshold), decisions


def summary_line(metrics: dict[str, Any]) -> str:
    """The three figures of the paper in one line, in percent."""
    names = (("I-AUROC", "image_auroc"), ("P-AUROC", "pixel_auroc"), ("PRO", "pro"))
    return "test images: " + ", ".join(f"{shown} {_percent(metrics[key])}" for shown, key in names)


def _percent(ratio: float | None) -> str:
    return "n/a" if ratio is None else f"{100 * ratio:.2f}"
