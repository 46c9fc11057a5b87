"""The error type for everything a user can mend."""

from __future__ import annotations

from dmdd_edge.messages.text import visible


class DmddError(Exception):
    """A user's error: what is wrong, and how to mend it.

    The command line prints both and ends with exit code 1, without a traceback.

    Control characters in either, from a file name or a bundle, are written as escapes.

    Args:
        message: what is wrong, naming the value and the values allowed.
        fix: what to do about it; may be empty when the message already says so.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        self.message = visible(message, keep="\n\t")
        self.fix = visible(fix, keep="\n\t")
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n{self.fix}" if self.fix else self.message
