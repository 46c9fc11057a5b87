"""Objects that are whole inside a ``with`` block: what they open is closed at its end, or on a failure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import TypeVar

_Self = TypeVar("_Self", bound="Opened")


class Opened(ABC):
    """Opens its parts when a ``with`` block begins; to be used once."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self: _Self) -> _Self:
        with ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @abstractmethod
    def _open(self, stack: ExitStack) -> None:
        """Open the parts; ``stack`` closes each of them, the last first."""
