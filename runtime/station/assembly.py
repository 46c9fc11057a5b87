"""A station from its settings, for the command line and for Python: opens everything in order, runs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any

from dmdd_edge.errors import BackendError, BundleError, DmddError
from dmdd_edge.runtime.opened import Opened
from dmdd_edge.runtime.outputs import Outputs, PageSink, Producer, open_outputs
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.station.cameras import Camera, station_cameras
from dmdd_edge.runtime.station.challenge import StationChallenge
from dmdd_edge.runtime.station.counters import Counters
from dmdd_edge.runtime.station.drift import StationDrift
from dmdd_edge.runtime.station.engine import StationEngine
from dmdd_edge.runtime.station.free_ports import require_free_ports
from dmdd_edge.runtime.station.graphs import Graphs
from dmdd_edge.runtime.station.model import Observer, RecipeBook
from dmdd_edge.runtime.station.plc.ports import PlcPorts, open_plc
from dmdd_edge.runtime.station.plc.transport import Image
from dmdd_edge.runtime.station.recipe_file import RecipeFile
from dmdd_edge.runtime.station.recipes import StationRecipes
from dmdd_edge.runtime.station.service import open_service
from dmdd_edge.runtime.station.settings import GpioSettings, StationSettings
from dmdd_edge.runtime.station.summary import StationSummary
from dmdd_edge.runtime.station.warm_recipe import RecipeChange

Say = Callable[[str], None]
#: Takes the 24 V lines: an observer, which also triggers.
OpenLines = Callable[[GpioSettings, StationEngine], Observer]
#: What the names of a station's own threads begin with.
_OWN_THREADS = "dmdd"


def take_lines(settings: GpioSettings, engine: StationEngine) -> Observer:
    """Take the real 24 V lines."""
    from dmdd_edge.runtime.station.gpio import Gpio

    return Gpio(settings, engine.desk, engine.desk.refused, engine.desk.output)


class AssembledStation(Opened):
    """A station whose parts are open; to be used in a ``with`` block, and run once.

    A camera that is absent does not prevent the start: it is a fault, and is tried again. Neither does a
    bundle of a recipe that is not in force. A mistake in the file, a port in use and a recipe at the start
    that cannot be loaded do.

    Args:
        settings: what the station file says.
        say: receives what a person should know, one line each, from any thread.
        stopping: whether the user wants the station to end.
        reloading: whether the user wants the bundles loaded again; true once for each wish.
        open_lines: takes the 24 V lines.

    Attributes:
        engine: the station; its ``desk`` takes triggers and requests.
        cameras: by name.
        counters: what it keeps over restarts.
        plc: the servers for PLCs; None without one.
        drift: the drift watches; None when they are off.
        outputs: the open sinks.

    Raises:
        DmddError: something cannot be opened; everything else is closed again.
    """

    engine: StationEngine
    cameras: dict[str, Camera]
    counters: Counters
    outputs: Outputs

    def __init__(
        self,
        settings: StationSettings,
        say: Say,
        stopping: Callable[[], bool] = lambda: False,
        reloading: Callable[[], bool] = lambda: False,
        open_lines: OpenLines = take_lines,
    ) -> None:
        super().__init__()
        self.settings, self._say = settings, say
        self._stopping, self._reloading, self._open_lines = stopping, reloading, open_lines
        self.plc: PlcPorts | None = None
        self.drift: StationDrift | None = None
        self._failure: DmddError | None = None

    def observe(self, observer: Observer) -> None:
        """Tell another observer whatever the station does."""
        self.engine.desk.events.observe(observer)

    def run(self, sinks: Sequence[Sink] = ()) -> StationSummary:
        """Run the station until it is stopped; parts that were accepted are finished.

        Args:
            sinks: receive results after those that the station file names.

        Raises:
            DmddError: the recipe at the start cannot be loaded, the graph failed again and again, or a part
                of the station ended unexpectedly. Every output is safe before it is raised.
        """
        self.engine.write_to(sinks)
        with _ThreadWatch(self._fail):
            return self.engine.run(self._ended)

    def _open(self, stack: ExitStack) -> None:
        settings, say = self.settings, self._say
        # The lock first: two stations must not share ids, and the second one must not disturb the first.
        self.counters = stack.enter_context(closing(Counters(settings.state_dir, say)))
        require_free_ports(settings)
        self._look_for_bundles(self.counters.recipe)
        self.cameras = station_cameras(settings.cameras, say)
        self.engine = engine = StationEngine(
            settings, self.cameras, self.counters, open_book=self._open_book, say=say
        )
        stack.callback(engine.close)
        if settings.results.drift:
            self.drift = StationDrift(settings, engine.book.current, say)
            self.drift.receivers.append(engine.record)
            engine.drift = self.drift.report
            stack.callback(self.drift.close)
        producer = Producer(
            self._open_page,
            {
                "station": settings.name,
                "spool": settings.results.spool or settings.state_dir / "spool",
                "commands": {"recipe": self._request_recipe} if settings.mqtt_recipe else {},
            },
            inspections=True,
        )
        self.outputs = open_outputs(settings.results, producer, stack, self._stopping, say)
        engine.write_to(self.outputs.sinks)
        if self.outputs.archive is not None:
            engine.archive = self.outputs.archive.figures
        if settings.gpio is not None:
            self.observe(self._open_lines(settings.gpio, engine))
        if settings.plc.modbus is not None or settings.plc.opcua is not None:
            self.plc = open_plc(settings.plc, engine.desk, engine.alive, engine.desk.refused)
            self.observe(self.plc)
            for warning in self.plc.warnings:
                say(warning)
        if settings.recipe_file is not None:
            self.observe(RecipeFile(settings.recipe_file, engine.desk, say))
        service = open_service(engine.alive)
        if service is not None:
            self.observe(service)
        if self.drift is not None:  # after those that act upon a verdict
            self.observe(self.drift)

    def _open_page(self, address: str, token: str | None, archive: Path | None) -> PageSink:
        from dmdd_edge.runtime.station.page import StationView, open_station_page

        page = open_station_page(address, self.settings, token, archive)
        plc = self.settings.plc
        view = StationView(
            self.settings,
            self.engine.desk,
            self.counters,
            self.cameras,
            self.engine.book.current,
            self._signals if plc.modbus is not None or plc.opcua is not None else None,
            dict if self.drift is None else self.drift.report,
            lambda: self.engine.archive,
        )
        self.observe(page)
        page.show(view)
        return page

    def _request_recipe(self, body: bytes) -> None:
        """Change to the recipe of an MQTT message."""
        text = body[:64].strip()
        if text.isdigit() and int(text):
            self.engine.desk.request_recipe(int(text))
        else:
            self._say("A message to the recipe's MQTT topic holds no number of a recipe.")

    def _signals(self) -> Image:
        return Image() if self.plc is None else self.plc.image()

    def _look_for_bundles(self, last: int) -> None:
        """Look whether the bundles of the recipe at the start are there; of others, say what is missing.

        Raises:
            BundleError: they are not.
        """
        settings, graphs = self.settings, Graphs(self.settings)
        known = {recipe.number for recipe in settings.recipes}
        first = last if last in known else settings.recipe
        for recipe in settings.recipes:
            for name in recipe.inspections:
                inspection = settings.inspections[name]
                try:
                    graphs.name(inspection)
                except DmddError as error:
                    if recipe.number == first:
                        key = "category" if inspection.model is None else "model"
                        error.message = f"{settings.place('inspections', name, key)}: {error.message}"
                        raise
                    self._say(f"Recipe {recipe.number} ({recipe.name}) lacks a bundle: {error.message}")

    def _open_book(self, settings: StationSettings, report: Callable[[RecipeChange], None]) -> RecipeBook:
        """The recipes; the first one must be loaded, while a later one that fails leaves the one before."""

        def told(change: RecipeChange) -> None:
            if change.outcome == "refused" and book.current() is None:
                self._fail(BundleError(change.message))
            else:
                report(change)

        if not settings.challenge:
            book = StationRecipes(settings, told)
        else:

            def challenged(lines: list[dict[str, Any]], problem: str) -> None:
                self.engine.desk.challenged(lines, problem)

            book = StationRecipes(settings, told, StationChallenge(challenged, self._say))
        return book

    def _fail(self, error: DmddError) -> None:
        self._failure = self._failure or error

    def _ended(self) -> bool:
        if self._failure is not None:
            raise self._failure
        if self._reloading():
            self.engine.book.reload()
        return self._stopping()


class _ThreadWatch:
    """Ends the station when one of its threads ends with an error: what that did is not done any more.

    Args:
        fail: called with the error.
    """

    def __init__(self, fail: Callable[[DmddError], None]) -> None:
        self._fail = fail
        self._before = threading.excepthook

    def __enter__(self) -> None:
        self._before, threading.excepthook = threading.excepthook, self._note

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        threading.excepthook = self._before

    def _note(self, failure: threading.ExceptHookArgs) -> None:
        self._before(failure)
        name = "" if failure.thread is None else failure.thread.name
        if name.startswith(_OWN_THREADS):
            what = f"{failure.exc_type.__name__}: {failure.exc_value}"
            self._fail(
                BackendError(
                    f"The thread {name} of the station ended with an error, so the station ends: {what}.",
                    "Start the station again, and report this with the log.",
                )
            )
