"""The drift watches of a station: one per inspection, over all recipes that have it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from dmdd_edge.bundle.versions import OWN_THRESHOLD
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.drift.inspection import WatchedInspection
from dmdd_edge.runtime.drift.sink import tell
from dmdd_edge.runtime.drift.state_file import StateFile
from dmdd_edge.runtime.station.model import LoadedRecipe, Missed, PartResult, StationState
from dmdd_edge.runtime.station.settings import DRIFT_STATE, InspectionSettings, StationSettings

#: How often it is seen whether the file is due, in seconds.
_LOOK_SECONDS = 5.0
#: How long the end waits for the file, in seconds; less than the station waits for its observers.
_LEAVE_SECONDS = 3.0


class StationDrift:
    """An observer that watches what each inspection finds; a part's number is its acquisition id.

    A separate thread writes its file: an observer must not wait for a disk.

    Args:
        settings: of the station.
        recipe: returns the recipe in force.
        say: receives what a person should know, one line each.

    Attributes:
        receivers: get each line of type ``drift``.
    """

    def __init__(
        self,
        settings: StationSettings,
        recipe: Callable[[], LoadedRecipe | None],
        say: Callable[[str], None],
    ) -> None:
        self._recipe, self._say = recipe, say
        self._watched = {
            name: WatchedInspection(
                name,
                inspection.camera,
                self._finder(name),
                settings.results.drift_frames,
                _calibrate(settings, inspection),
            )
            for name, inspection in settings.inspections.items()
        }
        self._lock = threading.Lock()
        self._state = StateFile(
            settings.state_dir / DRIFT_STATE, self._watched.values(), say, lock=self._lock
        )
        self.receivers: list[Callable[[dict[str, Any]], None]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dmdd-drift", daemon=True)
        self._thread.start()

    def report(self) -> dict[str, Any]:
        """What the watches found, by inspection."""
        return {name: watched.report() for name, watched in self._watched.items()}

    def part(self, part: PartResult) -> None:
        """Watch the results of a part."""
        lines: list[dict[str, Any]] = []
        with self._lock:
            for each in part.inspections:
                if each.result is not None and each.name in self._watched:
                    lines += self._watched[each.name].take(each.result, part.trigger.acquisition_id)
        for line in lines:
            tell(line, self._say)
            for receive in self.receivers:
                receive(dict(line))

    def missed(self, missed: Missed) -> None:
        """Nothing: there is no image."""

    def changed(self, state: StationState) -> None:
        """Nothing: the watches follow the results."""

    def close(self) -> None:
        """Keep what was learned. May be called twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join(_LEAVE_SECONDS)
        if self._thread.is_alive():
            self._say("The drift watch cannot keep what it learned: the disk of state_dir does not answer.")

    def _work(self) -> None:
        while not self._closing.wait(_LOOK_SECONDS):
            self._state.look()
        self._state.write()

    def _finder(self, name: str) -> Callable[[], Detector | None]:
        """Finds the detector of an inspection in the recipe in force."""

        def find() -> Detector | None:
            recipe = self._recipe()
            loaded = () if recipe is None else recipe.inspections
            return next((detector for inspection, detector in loaded if inspection.name == name), None)

        return find


def _calibrate(settings: StationSettings, inspection: InspectionSettings) -> str:
    """The command that sets the threshold of an inspection again; empty where the file sets it."""
    if inspection.threshold is not None:
        return ""
    models_dir = None if inspection.model is not None else settings.models_dir
    precision = inspection.options.precision
    return command(
        "calibrate",
        category=inspection.category,
        model=inspection.model,
        models_dir=models_dir,
        precision=precision if precision in OWN_THRESHOLD else None,
        source="GOOD_PARTS",
    )
