"""What a user may have meant by a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A question that names what is closest to ``wrong``; empty when nothing is close.

    >>> did_you_mean("screv", ["bottle", "screw"])
    "Did you mean 'screw'?"
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(wrong.lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean {by_lower[close[0]]!r}?" if close else ""
