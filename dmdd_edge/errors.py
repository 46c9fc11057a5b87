"""The error type for everything a user can mend."""

from __future__ import annotations


class DmddError(Exception):
    """A user's error: what is wrong, and how to mend it.

    The command line prints both and ends with exit code 1, without a traceback.

    Args:
        message: what is wrong, naming the value and the values allowed.
        fix: what to do about it; may be empty when the message already says so.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n{self.fix}" if self.fix else self.message
