"""A logger for TensorRT and TensorRT-RTX that remembers, so that an error can quote what was said."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorrt

#: How many messages are kept; a failing build can write thousands.
_KEPT = 400


@dataclass
class LogBook:
    """What the library said, in order: (severity, message), such as ``("ERROR", "...")``."""

    messages: list[tuple[str, str]] = field(default_factory=list)

    def add(self, severity: str, message: str) -> None:
        """Remember one message; the oldest go first when there are too many."""
        self.messages.append((severity, " ".join(message.split())))
        del self.messages[:-_KEPT]

    def errors(self) -> list[str]:
        """The errors, each once, in order."""
        return list(dict.fromkeys(text for severity, text in self.messages if severity.endswith("ERROR")))

    def warnings(self) -> list[str]:
        """The warnings, each once, in order."""
        return list(dict.fromkeys(text for severity, text in self.messages if severity == "WARNING"))

    def quote(self, most: int = 3) -> str:
        """The last errors in one line, for an exception; the last warnings where there is no error."""
        said = self.errors() or self.warnings()
        return " | ".join(said[-most:]) if said else "it gave no reason"


def make_logger(trt: ModuleType, book: LogBook) -> tensorrt.ILogger:
    """A logger that writes into ``book`` everything from warnings on.

    Args:
        trt: the module ``tensorrt`` or ``tensorrt_rtx``.

    Keep it alive for as long as anything that was made with it.
    """

    base: Any = trt.ILogger

    class Recorder(base):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            base.__init__(self)  # the way that every version of the bindings asks for

        def log(self, severity: tensorrt.ILogger.Severity, msg: str) -> None:
            if severity <= trt.ILogger.Severity.WARNING:  # the graver, the smaller
                book.add(severity.name, msg)

    recorder: tensorrt.ILogger = Recorder()
    return recorder
