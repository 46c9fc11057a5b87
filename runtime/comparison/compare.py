"""Two versions decide on the same images: the function behind ``dmdd-edge compare``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.versions import CURRENT_NAME, read_current
from dmdd_edge.data.datasets import Category, TestImage
from dmdd_edge.data.datasets.folders import from_folders
from dmdd_edge.errors import DataError, DmddError, OptionError
from dmdd_edge.runtime.challenge.run import require_parts, set_of
from dmdd_edge.runtime.comparison.outcome import SIDES, Comparison, Pair, Side, Verdict, Version
from dmdd_edge.runtime.comparison.page import write_page
from dmdd_edge.runtime.comparison.versions import find_operand
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.judging import Judged, judge_images
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.compare import CompareOptions

#: The group of the challenge set's parts.
CHALLENGE = "challenge"
#: Called with the side at work, the images done and their count.
Progress = Callable[[Side, int, int], None]


def compare(options: CompareOptions, progress: Progress = lambda side, done, total: None) -> Comparison:
    """Let two versions of a category's bundle decide on images; neither is put into use.

    Each version decides at its own threshold in use, calibrations included, and by its own limits of a frame.

    Args:
        options: which versions, and which images.
        progress: see ``Progress``.

    Raises:
        OptionError: an operand names no bundle, or both name the same version or different categories.
        DataError: a folder holds no images, or none that both versions can decide on.
        BundleError: a bundle does not verify.
        BackendError: the backend cannot run here, or fails.
        StorageError: the page cannot be written.
    """
    folders = [find_operand(text, options.models_dir) for text in (options.old, options.new)]
    if folders[0].resolve() == folders[1].resolve():
        raise OptionError(
            f"{options.old} and {options.new} are the same version ({folders[0].name}).",
            "Name two versions, for example CATEGORY@VERSION; list them: dmdd-edge models",
        )
    images = Category(folders[0].parent.name, folders[0], "folders", [], [])
    if options.good is not None or options.known_bad is not None:
        images = from_folders(images.name, options.good, options.known_bad, bad_option="--known-bad")
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(
                Detector.load(folder, options.backend, options=options.pick(BackendOptions, slots=2))
            )
            for folder in folders
        )
        if old.bundle.category != new.bundle.category:
            raise OptionError(
                f"{options.old} inspects {old.bundle.category}, and {options.new} {new.bundle.category}.",
                "Compare two versions of one category.",
            )
        guarded = _add_challenge(images, old.bundle) if options.challenge else frozenset()
        paths = [item.path for item in images.test]
        judged = {
            side: _judge(detector, paths, side, progress)
            for side, detector in zip(SIDES, (old, new), strict=True)
        }
        pairs = _pairs(images, judged["old"], judged["new"], guarded)
        if not pairs:
            raise DataError(
                f"None of the {len(paths)} images can be judged; the first: {images.skipped[0][1]}.",
                "Give images of the parts as the camera takes them.",
            )
        found = Comparison(_version(old), _version(new), pairs, images.skipped)
        if options.report is None:
            return found
        return replace(found, report=write_page(options.report, found, old, new))


def _add_challenge(images: Category, bundle: Bundle) -> frozenset[Path]:
    """Add the parts of the challenge set, and return their files; an altered image is noted instead."""
    challenge = set_of(bundle)
    require_parts(challenge)
    for part in challenge.parts:
        problem = challenge.problem(part)
        if problem is None:
            images.test.append(TestImage(challenge.path(part), CHALLENGE, None))
        else:
            images.skip(challenge.folder / part.file, problem.message)
    return frozenset(challenge.path(part) for part in challenge.parts)


def _judge(detector: Detector, paths: Sequence[Path], side: Side, progress: Progress) -> list[Judged]:
    done = 0

    def count(*_: object) -> None:
        nonlocal done
        done += 1
        progress(side, done, len(paths))

    progress(side, 0, len(paths))
    return judge_images(detector, paths, count)


def _pairs(
    images: Category, old: Sequence[Judged], new: Sequence[Judged], guarded: frozenset[Path]
) -> list[Pair]:
    """The images that both versions judged; the others are noted in the category."""
    pairs = []
    for item, first, second in zip(images.test, old, new, strict=True):
        if first.result is None or second.result is None:
            error = first.error or second.error
            images.skip(item.path, "it cannot be read" if error is None else error.message)
            continue
        before, after = (
            Verdict(result.status, result.score, result.reason) for result in (first.result, second.result)
        )
        pairs.append(
            Pair(item.path, item.defect, item.is_good, before, after, challenge=item.path in guarded)
        )
    return pairs


def _version(detector: Detector) -> Version:
    bundle = detector.bundle
    return Version(
        path=bundle.path,
        category=bundle.category,
        name=bundle.version,
        threshold=detector.threshold.image,
        origin=detector.threshold.origin,
        backend=detector.backend.name,
        in_use=_in_use(bundle.path),
    )


def _in_use(version: Path) -> bool:
    folder = version.resolve().parent
    try:
        return (folder / CURRENT_NAME).is_file() and read_current(folder) == version.resolve().name
    except DmddError:
        return False
