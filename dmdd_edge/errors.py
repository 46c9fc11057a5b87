"""The errors that a user can fix: one tree, so that a caller can tell the kinds apart without reading text.

DmddError
    OptionError      an option or argument is invalid, or two of them contradict each other
    DataError        an image, a mask, a frame or a data set cannot be used
    BundleError      a bundle is missing, damaged, or not fit for use
    TrainingError    a training run is missing, unfinished, in use, or has failed
    SourceError      a camera, stream, video or folder cannot be opened or was lost
    BackendError     a backend, an engine, the GPU or a needed package is missing or failed
    DeliveryError    results cannot be delivered by MQTT or webhook
    FleetError       the store of a fleet's bundles cannot be reached, or refuses
    StorageError     the operating system refuses a file or folder; also an ``OSError``
"""

from __future__ import annotations

from dmdd_edge.messages.text import visible


class DmddError(Exception):
    """What is wrong, and how to fix it; the base of every error that a user can fix.

    The command line prints both and exits with code 1, without a traceback. Control characters in either,
    from a file name or a bundle, are written as escapes.

    Args:
        message: what is wrong, with the value and the values allowed.
        fix: what to do about it; may be empty when the message already says so.

    Attributes:
        message: as given.
        fix: as given; empty without one.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        self.message = visible(message, keep="\n\t")
        self.fix = visible(fix, keep="\n\t")
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n{self.fix}" if self.fix else self.message


class OptionError(DmddError):
    """An option or argument is invalid, or contradicts another one."""


class DataError(DmddError):
    """An image, a mask, a frame or a data set is missing or cannot be used."""


class BundleError(DmddError):
    """A bundle, its calibration or its exported graph is missing, damaged, or not fit for use."""


class TrainingError(DmddError):
    """A training run is missing, unfinished, in use, or has failed."""


class SourceError(DmddError):
    """A camera, stream, video or folder cannot be opened, or was lost."""


class BackendError(DmddError):
    """A backend, an engine, the GPU, or a package that they need is missing or failed."""


class DeliveryError(DmddError):
    """Results cannot be delivered by MQTT or webhook."""


class FleetError(DmddError):
    """The store of a fleet's bundles cannot be reached, or refuses what is requested."""


class StorageError(DmddError, OSError):
    """The operating system refuses an operation on a file or a folder.

    Also an ``OSError``, so that code which expects one from a disk need not know where it was worded.

    Attributes:
        errno: the system's number, such as ``errno.ENOSPC``.
        strerror: the reason in words.
    """

    def __init__(self, message: str, fix: str, number: int | None, reason: str) -> None:
        super().__init__(message, fix)
        self.errno, self.strerror = number, reason
