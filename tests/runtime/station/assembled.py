"""A whole station of a station file in this process: cameras, graphs, sinks, page, PLC."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dmdd_edge.runtime.station.assembly import AssembledStation
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.summary import StationSummary
from tests.runtime.page.asking import Answer, send
from tests.runtime.station.files import settings_of
from tests.runtime.station.running import wait_until


class Assembled:
    """A station that runs in a thread.

    Attributes:
        station: see above.
        said: what it said.
        summary: of its end.
    """

    def __init__(self, station: AssembledStation, said: list[str], stop: threading.Event) -> None:
        self.station, self.said, self._stop = station, said, stop
        self.desk = station.engine.desk
        self.summary: StationSummary | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ready(self) -> None:
        """Wait until a trigger is accepted."""
        wait_until(lambda: self.desk.state().ready or self.error is not None, "not ready")
        assert self.error is None, self.error

    def trigger(self, count: int = 1) -> None:
        """Trigger as many parts, each after the verdict on the one before."""
        for _ in range(count):
            self.ready()
            before = self.desk.state().parts
            answer = self.desk.trigger("command")
            assert not isinstance(answer, ErrorCode), answer
            wait_until(lambda before=before: self.desk.state().parts > before, "no verdict")  # type: ignore[misc]

    def stop(self) -> None:
        """End it, and wait for that."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.error is None, self.error

    def ask(self, path: str, method: str = "GET", body: Any = None, token: str | None = None) -> Answer:
        """Ask its page."""
        return send(self.station.outputs.page_url, path, method, body, token)

    @property
    def token(self) -> str:
        """The token of its page."""
        (line,) = (line for line in self.said if "#token=" in line)
        return re.split("#token=", line)[1]

    def _run(self) -> None:
        try:
            self.summary = self.station.run()
        except BaseException as error:
            self.error = error


@contextmanager
def assembled(folder: Path, text: str) -> Iterator[Assembled]:
    """The station of a text, ready; its file is ``folder/line1.toml``."""
    stop, said = threading.Event(), list[str]()
    with AssembledStation(settings_of(folder, text), said.append, stop.is_set) as station:
        running = Assembled(station, said, stop)
        try:
            running.ready()
            yield running
        finally:
            running.stop()


def lines_of(path: Path, kind: str = "") -> list[dict[str, Any]]:
    """The lines of a results file, or those of one type."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in found if kind in ("", line["type"])]
