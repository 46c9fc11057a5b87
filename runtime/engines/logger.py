"""A logger for TensorRT and TensorRT-RTX that stores messages, so that an error can quote them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorrt

#: Most stored messages; a failing build can write thousands.
_KEPT = 400


@dataclass
class LogBook:
    """The library's messages, in order: (severity, message), such as ``("ERROR", "...")``."""

    messages: list[tuple[str, str]] = field(default_factory=list)

    def add(self, severity: str, message: str) -> None:
        """Store a message; the oldest are dropped when there are too many."""
        self.messages.append((severity, " ".join(message.split())))
        del self.messages[:-_KEPT]

    def errors(self) -> list[str]:
        """The errors, each once, in order."""
        return list(dict.fromkeys(text for severity, text in self.messages if severity.endswith("ERROR")))

    def warnings(self) -> list[str]:
        """The warnings, each once, in order."""
        return list(dict.fromkeys(text for severity, text in self.messages if severity == "WARNING"))

    def quote(self, most: int = 3) -> str:
        """The last errors, else the last warnings, in one line without a full stop, for an exception."""
        texts = self.errors() or self.warnings()
        return " | ".join(texts[-most:]).rstrip(".") if texts else "it gave no reason"


def make_logger(trt: ModuleType, book: LogBook) -> tensorrt.ILogger:
    """Create a logger that stores warnings and errors in ``book``.

    Args:
        trt: the module ``tensorrt`` or ``tensorrt_rtx``.

    It must outlive everything created with it.
    """

    base: Any = trt.ILogger

    class Recorder(base):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            base.__init__(self)  # the form that every version of the bindings needs

        def log(self, severity: tensorrt.ILogger.Severity, msg: str) -> None:
            if severity <= trt.ILogger.Severity.WARNING:  # more severe = smaller number
                book.add(severity.name, msg)

    recorder: tensorrt.ILogger = Recorder()
    return recorder
