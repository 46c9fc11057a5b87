"""Run the challenge set of a bundle: the function behind ``dmdd-edge challenge run``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.manifest import MANIFEST_NAME
from dmdd_edge.errors import BundleError, DmddError
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import visible
from dmdd_edge.runtime.challenge.journal import record
from dmdd_edge.runtime.challenge.parts import ChallengePart, ChallengeSet, read_set
from dmdd_edge.runtime.challenge.report import ChallengeReport, run_challenge
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.challenge import ChallengeOptions
from dmdd_edge.workspace import find_bundle


@dataclass(frozen=True)
class ChallengeRun:
    """What a run of the challenge set did.

    Attributes:
        report: what was found.
        remarks: what a person should know, one line each.
    """

    report: ChallengeReport
    remarks: tuple[str, ...] = ()


def run_bundle(
    options: ChallengeOptions, progress: Callable[[int, int], None] = lambda done, total: None
) -> ChallengeRun:
    """Run the challenge set of a bundle with its version in use, and record the scores beside the set.

    Args:
        options: which bundle, and how it runs.
        progress: called with the number of parts done and of all.

    Raises:
        BundleError: the bundle or its set cannot be used, or the set is empty.
        BackendError: the backend cannot run here, or failed.
    """
    path = find_bundle(options.category, options.model, options.models_dir)
    with Detector.load(
        path,
        options.backend,
        options.threshold,
        options.pixel_threshold,
        options=options.pick(BackendOptions, slots=2),
    ) as detector:
        challenge = set_of(detector.bundle)
        require_parts(challenge)
        total = len(challenge.parts)
        report = run_challenge(detector, challenge, lambda done: progress(done, total))
    strays = visible(", ".join(challenge.strays))
    remarks = [f"not in the index, and not run: {strays}"] if strays else []
    if problem := record_run(report, challenge, "run"):
        remarks.append(problem)
    return ChallengeRun(report, tuple(remarks))


def record_run(report: ChallengeReport, challenge: ChallengeSet, action: str) -> str:
    """Record a report that changes nothing; why it cannot be recorded, or an empty text."""
    return _record(challenge.folder.parent, {"action": action, **report.to_json()})


def record_removal(folder: Path, category: str, part: ChallengePart | None, **more: object) -> str:
    """Record that nothing has to find a part any more; why it cannot be recorded, or an empty text.

    Args:
        folder: of the category.
        category: its name.
        part: that was removed; None for what the set lacked.
        more: further fields of the line.
    """
    described = {} if part is None else {"part": part.model_dump(mode="json")}
    return _record(folder, {"action": "remove", "category": category, **described, **more})


def _record(folder: Path, fields: dict[str, Any]) -> str:
    try:
        record(folder, fields)
    except DmddError as error:  # the answer is there; a folder that only root may write must not hide it
        return f"not recorded: {error.message}"
    return ""


def set_of(bundle: Bundle) -> ChallengeSet:
    """The challenge set of a bundle's category.

    Raises:
        DmddError: it cannot be read.
    """
    return read_set(bundle.path.resolve().parent, bundle.category)


def require_parts(challenge: ChallengeSet) -> None:
    """Check that there is something to run.

    Raises:
        BundleError: the set is empty.
    """
    if not challenge.parts:
        folder = challenge.folder.parent
        add = command("challenge", "add", "IMAGE", category=folder.name, models_dir=folder.parent)
        raise BundleError(
            f"The challenge set of {challenge.index.category} is empty, so nothing was checked.",
            f"Add known-bad parts: {add}",
        )


def category_folder(path: Path) -> tuple[Path, str]:
    """The folder that holds a bundle's versions, and the category of its bundles.

    Args:
        path: of a category or of a version, as ``find_bundle`` returns it.
    """
    folder = path.resolve().parent if (path / MANIFEST_NAME).is_file() else path
    try:
        return folder, Bundle.open_unverified(path).category
    except DmddError:  # a set can be listed and repaired while no version can be opened
        return folder, folder.resolve().name
