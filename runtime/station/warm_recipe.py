"""A recipe whose bundles are loaded, and what became of a request for one."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.station.graphs import GraphName
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.settings import InspectionSettings, RecipeSettings

Outcome = Literal["in force", "refused", "superseded", "reloaded", "kept"]


@dataclass(frozen=True)
class RecipeChange:
    """What became of a request.

    Attributes:
        number: of the recipe that was requested.
        outcome: ``in force``; ``refused``, and the recipe before stays; ``superseded`` by a later request;
            ``reloaded``: a bundle of the recipe in force was replaced; ``kept``: one could not be replaced.
        code: why it was refused or kept.
        message: a sentence for a person.
        seconds: how long loading took.
    """

    number: int
    outcome: Outcome
    code: ErrorCode
    message: str
    seconds: float = 0.0


class WarmRecipe:
    """See ``LoadedRecipe``.

    Args:
        settings: of the recipe.
        inspections: in order, each with its detector.
        graphs: names of the graphs that it uses.
        changed: the book's lock, which is notified with the last ``release``.

    Attributes:
        kept: whether the book keeps it; otherwise it is closed when no part is in progress.
    """

    def __init__(
        self,
        settings: RecipeSettings,
        inspections: tuple[tuple[InspectionSettings, Detector], ...],
        graphs: tuple[GraphName, ...],
        changed: threading.Condition,
    ) -> None:
        self.number, self.name, self.inspections = settings.number, settings.name, inspections
        self.graphs, self.kept = graphs, True
        self._changed, self._parts = changed, 0

    def hold(self) -> None:
        """See ``LoadedRecipe.hold``."""
        with self._changed:
            self._parts += 1

    def release(self) -> None:
        """See ``LoadedRecipe.release``."""
        with self._changed:
            self._parts -= 1
            if self.unused:
                self._changed.notify_all()

    @property
    def unused(self) -> bool:
        """Whether it may be closed."""
        return not self.kept and self._parts == 0

    @property
    def bundles(self) -> str:
        """Categories and versions of its bundles, for a person."""
        bundles = [detector.bundle for _, detector in self.inspections]
        return ", ".join(dict.fromkeys(f"{bundle.category} {bundle.version}" for bundle in bundles))
