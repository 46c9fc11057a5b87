"""The gate of a change: a new version or threshold that loses a challenge part is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import Calibration, effective_threshold
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.bundle.versions import read_current
from dmdd_edge.errors import BundleError, DmddError
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import visible
from dmdd_edge.outside_files import inside
from dmdd_edge.runtime.backends.selection import AUTO, select
from dmdd_edge.runtime.challenge.journal import record
from dmdd_edge.runtime.challenge.parts import ChallengeSet, read_set
from dmdd_edge.runtime.challenge.report import (
    FOUND,
    UNREADABLE,
    ChallengeReport,
    PartOutcome,
    is_worse,
    run_challenge,
)
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.options.backend import BackendOptions

#: Parts that a refusal names.
_NAMED = 5
#: What a person does instead of a change that is refused; the first for a new threshold, the second for
#: the way back to one.
_ANOTHER, _STAY = "Set another threshold", "Keep the threshold in use"

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Candidate:
    """What would be in use: a version, and the thresholds that it has with the precision that runs."""

    bundle: Bundle
    threshold: Callable[[Bundle], EffectiveThreshold]


@dataclass(frozen=True)
class GateOptions:
    """How a change is checked.

    Attributes:
        allow_loss: accept a loss, and record it.
        backend: what runs the graphs.
        options: how.
        say: receives what a person should know, one line each.
    """

    allow_loss: bool = False
    backend: str = AUTO
    options: BackendOptions | None = None
    say: Say = lambda line: None


def gate_threshold(
    bundle: Bundle, calibration: Calibration | None, options: GateOptions, back: bool = False
) -> None:
    """Check a new threshold of a version, before it is written.

    Args:
        bundle: that gets it.
        calibration: the new one; None for the threshold set at export.
        options: how it is checked.
        back: it was in use before, so no other can be given in its place.

    Raises:
        BundleError: it loses a part that is found now, or that cannot be known.
        StorageError: a loss that is allowed cannot be recorded.
    """
    _gate(
        "calibrate",
        "The threshold was not changed",
        f"{_STAY if back else _ANOTHER}, or repeat the command with --allow-loss, which records the loss.",
        bundle,
        lambda candidate: effective_threshold(candidate, calibration=calibration),
        lambda: _Candidate(bundle, effective_threshold),
        options,
    )


def gate_version(bundle: Bundle, action: str, options: GateOptions) -> None:
    """Check a version, before it is put to use in place of the one that is in use.

    Args:
        bundle: the version.
        action: ``export`` or ``use``.
        options: how it is checked.

    Raises:
        BundleError: it loses a part that is found now, or that cannot be known.
        StorageError: a loss that is allowed cannot be recorded.
    """
    folder = _folder(bundle)

    def before() -> _Candidate | None:
        name = read_current(folder)
        if name is None or name == bundle.version:
            return None
        current = Bundle.load(inside(folder, name))
        return _Candidate(current, effective_threshold)

    with suppress(DmddError):
        if read_current(folder) == bundle.version:
            return  # nothing changes
    allow = command(
        "models", "use", folder.name, bundle.version, models_dir=bundle.path.parent.parent, allow_loss=True
    )
    what = f"{bundle.version} is not put to use"
    fix = f"It stays as a version; train longer, or with other images. To accept the loss: {allow}"
    _gate(action, what, fix, bundle, effective_threshold, before, options)


def _folder(bundle: Bundle) -> Path:
    return bundle.path.resolve().parent


def _gate(
    action: str,
    refused: str,
    allow: str,
    bundle: Bundle,
    threshold: Callable[[Bundle], EffectiveThreshold],
    before: Callable[[], _Candidate | None],
    options: GateOptions,
) -> None:
    folder = _folder(bundle)
    fields: dict[str, Any] = {
        "action": action,
        "category": bundle.category,
        "version": bundle.version,
    }
    try:
        challenge = read_set(folder, bundle.category)
        _say_strays(challenge, options.say)
        if not challenge.parts:
            return
        then = _run(_Candidate(bundle, threshold), challenge, options)
    except DmddError as error:
        _unchecked(folder, refused, allow, error, fields, options)
        return
    try:
        current = before()
        now = None if current is None else _run(current, challenge, options)
        unknown = "" if current is not None else "There is no version in use to compare with."
    except DmddError as error:
        now, unknown = None, f"What is in use now cannot be run: {error.message}"
    if unknown:
        options.say(f"challenge: {unknown} Each part must be found.")
    lost = _losses(now, then)
    if lost and not options.allow_loss:
        count, total = len(lost), len(challenge.parts)
        raise BundleError(
            f"{refused}: it loses {count} of {total} challenge part{'s' * (total != 1)}: "
            f"{'; '.join(_in_words(old, new) for old, new in lost[:_NAMED])}"
            f"{f'; and {len(lost) - _NAMED} more' if len(lost) > _NAMED else ''}.",
            allow,
        )
    fields |= {
        "threshold": then.threshold.image,
        "total": len(then.outcomes),
        "found": then.found,
        "lost": [new.part.name for _, new in lost],
        "allowed": bool(lost),
        "backend": then.backend,
        "parts": [outcome.to_json() for outcome in then.outcomes],
    }
    if now is not None:
        fields["before"] = {
            "version": now.bundle.version,
            "threshold": now.threshold.image,
            "found": now.found,
            "parts": [outcome.to_json() for outcome in now.outcomes],
        }
    record(folder, fields)
    options.say(_summary(now, then, lost))


def _run(candidate: _Candidate, challenge: ChallengeSet, options: GateOptions) -> ChallengeReport:
    how = options.options
    if candidate.bundle.precision:  # a threshold that belongs to a precision is checked with it
        how = replace(how or BackendOptions(), precision=candidate.bundle.precision)
    selection = select(candidate.bundle, options.backend, how)
    backend = selection.backend
    try:
        bundle = candidate.bundle.at(backend.precision)
        threshold = candidate.threshold(bundle)
    except BaseException:
        backend.close()
        raise
    with Detector(bundle, backend, threshold, selection.passed_over) as detector:
        return run_challenge(detector, challenge)


def _losses(
    now: ChallengeReport | None, then: ChallengeReport
) -> Sequence[tuple[PartOutcome | None, PartOutcome]]:
    """The parts that a change loses, as they are now and as they would be.

    A part whose image cannot be read counts as lost, and so does each one that is not found where it is not
    known what is found now.
    """
    old: dict[str, PartOutcome] = {}
    if now is not None:
        old = {outcome.part.name: outcome for outcome in now.outcomes}
    lost: list[tuple[PartOutcome | None, PartOutcome]] = []
    for new in then.outcomes:
        before = old.get(new.part.name)
        if new.outcome == UNREADABLE or is_worse(new.outcome, FOUND if before is None else before.outcome):
            lost.append((before, new))
    return lost


def _in_words(old: PartOutcome | None, new: PartOutcome) -> str:
    name = new.part.name
    if new.outcome == UNREADABLE:
        return f"{name} (its image cannot be used: {new.reason.rstrip('.')})"
    then = f"then {new.outcome}, {_figures(new)}"
    return f"{name} ({then})" if old is None else f"{name} (now {old.outcome}, {_figures(old)}; {then})"


def _figures(outcome: PartOutcome) -> str:
    score = "no score" if outcome.score is None else f"score {outcome.score:.4f}"
    reason = f", {outcome.reason.rstrip('.')}" if outcome.reason else ""
    return f"{score}, threshold {outcome.threshold:.4f}{reason}"


def _summary(
    now: ChallengeReport | None,
    then: ChallengeReport,
    lost: Sequence[tuple[PartOutcome | None, PartOutcome]],
) -> str:
    total = len(then.outcomes)
    line = f"challenge: {then.found} of {total} known-bad part{'s' * (total != 1)} found"
    if now is not None:
        line += f", {now.found} before"
    if lost:
        line += f"; lost and allowed: {', '.join(new.part.name for _, new in lost)}"
    elif then.lost:
        line += f"; not found, and not lost: {', '.join(new.part.name for new in then.lost)}"
    return line


def _say_strays(challenge: ChallengeSet, say: Say) -> None:
    if challenge.strays:
        count = len(challenge.strays)
        say(
            f"challenge: not checked, since the index does not list {'them' if count > 1 else 'it'}: "
            f"{visible(', '.join(challenge.strays[:_NAMED]))} in {challenge.folder}"
        )


def _unchecked(
    folder: Path, refused: str, allow: str, error: DmddError, fields: dict[str, Any], options: GateOptions
) -> None:
    """The set or the candidate cannot be run, so nobody knows what the change would lose."""
    if not options.allow_loss:
        raise BundleError(
            f"{refused}, because its challenge set cannot be run: {error.message.rstrip('.')}.",
            f"{error.fix.rstrip('.')}. {allow}".lstrip(". "),
        ) from error
    record(folder, {**fields, "allowed": True, "unchecked": error.message})
    options.say(f"challenge: not checked, and allowed: {error.message}")
