"""The challenge sets on this machine: whether each is whole; nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding

_ME = "dmdd_edge.runtime.doctor.challenge"
#: Seconds: each image is read.
_LIMIT = 180.0


def look(models_dir: str) -> list[dict[str, Any]]:
    """In a subprocess: look at the challenge set of each category, its images included.

    Returns:
        of each: ``category``; ``parts``, their number, None where that is unknown; ``problems``, pairs of
        message and fix.
    """
    from dmdd_edge.runtime.challenge.health import challenge_health
    from dmdd_edge.runtime.challenge.run import category_folder
    from dmdd_edge.workspace import list_bundles

    found = []
    for category in list_bundles(models_dir):
        health = challenge_health(*category_folder(Path(models_dir) / category))
        problems = [[each.message, each.fix] for each in health.problems]
        found.append({"category": category, "parts": health.parts, "problems": problems})
    return found


def examine_challenge_sets(context: Context) -> list[Finding]:
    """One finding per category that has a bundle."""
    reply = context.call(f"{_ME}:look", str(context.models_dir), limit=_LIMIT)
    if not reply.ok:
        purpose = "new versions and thresholds"
        fix = reply.fix or "Fix what is broken above."
        return [Finding("challenge.sets", "challenge sets", "broken", reply.failure, purpose, fix)]
    return [_finding(**facts) for facts in reply.value]


def _finding(category: str, parts: int | None, problems: list[list[str]]) -> Finding:
    name, title = f"challenge.{category}", f"challenge set {category}"
    purpose = f"new versions and thresholds of {category}"
    facts = {"category": category, "parts": parts, "problems": [message for message, _ in problems]}
    if problems:
        detail = " ".join(message for message, _ in problems)
        return Finding(name, title, "broken", detail, purpose, problems[0][1], facts)
    detail = f"{parts} known-bad part{'s' * (parts != 1)}" if parts else "none"
    return Finding(name, title, "ok", detail, purpose, facts=facts)
