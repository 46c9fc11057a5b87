"""The challenge set in a run: run at its start, and asked what another threshold or version would lose."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.challenge.journal import last_scores
from dmdd_edge.runtime.challenge.report import ChallengeReport, run_challenge
from dmdd_edge.runtime.challenge.run import require_parts, set_of
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.sinks import LineSink

#: Parts that a line names.
_NAMED = 5


def challenge_at_start(detector: Detector) -> ChallengeReport:
    """Run the challenge set with the detector of a run, before its first frame.

    Raises:
        DmddError: there is no challenge set, it cannot be read, or the backend failed.
    """
    challenge = set_of(detector.bundle)
    require_parts(challenge)
    return run_challenge(detector, challenge)


def publish(report: ChallengeReport, sinks: Sequence[object], say: Callable[[str], None]) -> None:
    """Write the report's line to each sink of lines, such as a results file and MQTT, and say it."""
    for sink in sinks:
        if isinstance(sink, LineSink):
            sink.line(report.line())
    say(in_words(report))


def in_words(report: ChallengeReport) -> str:
    """A report as one line."""
    total = len(report.outcomes)
    line = f"challenge: {report.found} of {total} known-bad part{'s' * (total != 1)} found"
    if report.passed:
        return line
    named = [
        f"{each.part.name} ({each.outcome}" + (")" if each.score is None else f", score {each.score:.4f})")
        for each in report.lost[:_NAMED]
    ]
    more = f" and {len(report.lost) - _NAMED} more" if len(report.lost) > _NAMED else ""
    return f"{line} at threshold {report.threshold.image:.4f}; NOT found: {', '.join(named)}{more}"


def remark(bundle: Bundle, threshold: float) -> str:
    """What a threshold of one run loses of the challenge set, by the scores that are recorded.

    Nothing is run: this is for a change in the middle of a run.

    Args:
        bundle: the version in use.
        threshold: of the score, 0..1.

    Returns:
        a sentence; empty when all parts are found, or there is no set.
    """
    try:
        challenge = set_of(bundle)
    except DmddError as error:
        return f"The challenge set cannot be read: {error.message}"
    if not challenge.parts:
        return ""
    scores = last_scores(challenge.folder.parent, bundle.version)
    lost = [part.name for part in challenge.parts if scores.get(part.name, 1.0) <= threshold]
    unknown = [part.name for part in challenge.parts if part.name not in scores]
    if lost:
        named = ", ".join(f"{name} (score {scores[name]:.4f})" for name in lost[:_NAMED])
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        return f"Challenge parts that threshold {threshold:.4f} does not find: {named}{more}."
    if unknown:
        again = command("challenge", "run", category=bundle.category, models_dir=bundle.path.parent.parent)
        return f"{len(unknown)} challenge parts have no score with {bundle.version}; run them: {again}"
    return ""
