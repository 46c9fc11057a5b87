"""The drift watches of a station: one per inspection, over all recipes that have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.drift.inspection import WatchedInspection
from dmdd_edge.runtime.drift.sink import tell
from dmdd_edge.runtime.drift.state_file import StateFile
from dmdd_edge.runtime.station.model import LoadedRecipe, Missed, PartResult, StationState
from dmdd_edge.runtime.station.settings import StationSettings

#: In the station's state folder.
STATE_NAME = "drift.json"


class StationDrift:
    """An observer that watches what each inspection finds; a part's number is its acquisition id.

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
                name, inspection.camera, self._finder(name), settings.results.drift_frames
            )
            for name, inspection in settings.inspections.items()
        }
        self._state = StateFile(settings.state_dir / STATE_NAME, self._watched.values(), say)
        self.receivers: list[Callable[[dict[str, Any]], None]] = []

    def report(self) -> dict[str, Any]:
        """What the watches found, by inspection."""
        return {name: watched.report() for name, watched in self._watched.items()}

    def part(self, part: PartResult) -> None:
        """Watch the results of a part."""
        for each in part.inspections:
            if each.result is not None and each.name in self._watched:
                for line in self._watched[each.name].take(each.result, part.trigger.acquisition_id):
                    tell(line, self._say)
                    for receive in self.receivers:
                        receive(dict(line))
        self._state.look()

    def missed(self, missed: Missed) -> None:
        """Nothing: there is no image."""

    def changed(self, state: StationState) -> None:
        """Nothing: the watches follow the results."""

    def close(self) -> None:
        """Keep what was learned."""
        self._state.write()

    def _finder(self, name: str) -> Callable[[], Detector | None]:
        """Finds the detector of an inspection in the recipe in force."""

        def find() -> Detector | None:
            recipe = self._recipe()
            loaded = () if recipe is None else recipe.inspections
            return next((detector for inspection, detector in loaded if inspection.name == name), None)

        return find
