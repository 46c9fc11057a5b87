"""What a user may have meant by a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A question that names what is closest to ``wrong``; empty when nothing is close.

    >>> did_you_mean("screv", ["bottle", "screw"])
    "Did you mean 'screw'?"
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(wrong.lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean {by_lower[close[0]]!r}?" if close else ""


def choose(wrong: str, known: Sequence[str]) -> str:
    """The fix for a value that is none of a few: what was probably meant, then all of them.

    >>> choose("cup", ["auto", "cpu", "cuda"])
    "Did you mean 'cpu'? Choose one of auto, cpu, cuda."
    """
    return f"{did_you_mean(wrong, known)} Choose one of {', '.join(known)}.".lstrip()


def neighbor(path: Path) -> str:
    """A question that names what is beside ``path``, which does not exist; empty when nothing is close."""
    try:
        return did_you_mean(path.name, [found.name for found in path.parent.iterdir()])
    except OSError:
        return ""
