"""Why a trigger has no frame: an error with the code that a PLC reads."""

from __future__ import annotations

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.runtime.station.model import ErrorCode


class FrameError(SourceError):
    """A camera has no frame for a trigger.

    Args:
        message: what is wrong.
        code: ``CAMERA_LOST`` or ``NO_FRAME``.
        fix: what to do about it.
    """

    def __init__(self, message: str, code: ErrorCode, fix: str = "") -> None:
        super().__init__(message, fix)
        self.code = code


def code_of(error: DmddError) -> ErrorCode:
    """The code of a broken frame's error; ``BROKEN_FRAME`` when the frame came but cannot be read."""
    return error.code if isinstance(error, FrameError) else ErrorCode.BROKEN_FRAME
