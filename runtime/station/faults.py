"""What is wrong with a station now: its faults, and the requests that it refused."""

from __future__ import annotations

from typing import Literal

from dmdd_edge.runtime.station.model import ErrorCode

Request = Literal["recipe", "trigger"]


class Faults:
    """Faults by code, the oldest first, and refused requests; for one thread at a time."""

    def __init__(self) -> None:
        self._faults: dict[ErrorCode, str] = {}
        self._refused: dict[Request, tuple[ErrorCode, str]] = {}

    def __contains__(self, code: ErrorCode) -> bool:
        return code in self._faults

    def __bool__(self) -> bool:
        return bool(self._faults)

    def put(self, code: ErrorCode, message: str) -> None:
        """There is a fault; one of that code that is known keeps its place."""
        self._faults[code] = message

    def remove(self, code: ErrorCode) -> None:
        """The cause of a fault has gone."""
        self._faults.pop(code, None)

    def hold(self, code: ErrorCode, message: str) -> None:
        """There is a fault as long as there is a message."""
        if message:
            self.put(code, message)
        else:
            self.remove(code)

    def refuse(self, request: Request, code: ErrorCode, message: str) -> None:
        """A request was refused."""
        self._refused.pop(request, None)  # so that it is the last one
        self._refused[request] = (code, message)

    def accept(self, request: Request) -> None:
        """A request of that kind was accepted, so the last refusal is history."""
        self._refused.pop(request, None)

    def clear(self) -> None:
        """Forget everything; whoever knows of a cause that lasts puts its fault back."""
        self._faults.clear()
        self._refused.clear()

    @property
    def code(self) -> ErrorCode:
        """Of the oldest fault, or else of a refusal."""
        return next(iter(self._faults), self._last_refusal[0])

    @property
    def message(self) -> str:
        """Of all faults, or else of a refusal."""
        return " ".join(self._faults.values()) or self._last_refusal[1]

    @property
    def _last_refusal(self) -> tuple[ErrorCode, str]:
        return next(reversed(self._refused.values()), (ErrorCode.NONE, ""))
