"""Follows a job by its events: they change how it stands."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from dmdd_edge.jobs.standing import Standing

_LAST_WORDS = ("done", "failed", "stopped")


def follow(standing: Standing, event: Mapping[str, Any]) -> None:
    """Note what a job says of itself; its end is noted by whoever runs it."""
    standing.memory = event.get("memory", standing.memory)
    standing.peak = max(event.get("peak", 0.0), standing.peak)
    kind = event.get("event")
    if kind == "progress":
        standing.phase, standing.share = event.get("phase", ""), event.get("share")
    elif kind in _LAST_WORDS:
        standing.state = kind
        standing.reason, standing.fix = event.get("reason", ""), event.get("fix", "")
        standing.result = event.get("result", {})


def why_ended(code: int, text: str) -> tuple[str, str]:
    """Why a process ended without a last word, and what to do.

    Args:
        code: its exit code; negative for a signal.
        text: the end of what it wrote to standard error.
    """
    if code == -signal.SIGKILL:
        return (
            "Its process was killed, as a system does that runs out of memory.",
            "Give fewer --jobs, a smaller --cache-mb or --batch-size; then continue with --resume.",
        )
    last = text.splitlines()[-1] if text else "it wrote no message"
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return f"Its process ended {how}: {last}.", "Train this category alone to see all that it says."
