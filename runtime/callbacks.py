"""Functions of the caller of a run, which are called from several threads and may raise."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dmdd_edge.arguments import check_callable
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary


class Caller:
    """The caller's ``stop`` and ``say``: what one of them raises ends the run and reaches the caller.

    In the caller's own thread it is raised at once. An error of ``say`` in another thread, which may be any,
    is kept and raised by the next ``stop``, which the run polls, or by ``check``.
    """

    def __init__(self, stop: Callable[[], bool], say: Callable[[str], None]) -> None:
        check_callable("stop", stop)
        check_callable("say", say)
        self._stop, self._say = stop, say
        self._thread = threading.get_ident()
        self._error: BaseException | None = None

    def say(self, line: str) -> None:
        """Pass a line to the caller."""
        try:
            self._say(line)
        except BaseException as error:
            if threading.get_ident() == self._thread:
                raise
            self._error = self._error or error

    def stop(self) -> bool:
        """Whether the caller wants the run to end."""
        self.check()
        return bool(self._stop())

    def check(self) -> None:
        """Raise the error of ``say``, if any."""
        if self._error is not None:
            raise self._error


class CallbackSink:
    """A sink that calls functions of the caller."""

    def __init__(
        self,
        on_result: Callable[[Frame, Result], None] | None,
        on_error: Callable[[BrokenFrame], None] | None,
    ) -> None:
        for name, function in (("on_result", on_result), ("on_error", on_error)):
            if function is not None:
                check_callable(name, function)
        self._on_result, self._on_error = on_result, on_error

    def result(self, frame: Frame, result: Result) -> None:
        """Pass a frame and its result to the caller."""
        if self._on_result is not None:
            self._on_result(frame, result)

    def broken(self, frame: BrokenFrame) -> None:
        """Pass a frame that could not be read to the caller."""
        if self._on_error is not None:
            self._on_error(frame)

    def summary(self, summary: Summary) -> None:
        """Nothing: the caller receives it from ``run_source``."""

    def close(self) -> None:
        """Nothing to release."""
