"""The recipes of a station: loaded in a separate thread, and put in force between two parts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.station.graphs import Graph, GraphName, Graphs
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.settings import InspectionSettings, RecipeSettings, StationSettings
from dmdd_edge.runtime.station.warm_recipe import Outcome, RecipeChange, WarmRecipe
from dmdd_edge.runtime.version_watch import EVERY, VersionWatch

_LOG = logging.getLogger(__name__)

#: Examines a recipe that is being loaded, and the inspections whose bundles are new.
Examine = Callable[[RecipeSettings, Sequence[tuple[InspectionSettings, Detector]]], None]

#: How often the first recipe is tried again while none is in force, in seconds.
RETRY_SECONDS = 10.0


class _SupersededError(Exception):
    """A later request waits, or the book is being closed: the rest of this load is not needed."""


class StationRecipes:
    """See ``RecipeBook``.

    Bundles are loaded one after another in a separate thread. Of several requests the last one wins; each
    of the others is reported as superseded. A request for the recipe that was the last one, while it waits
    or is being loaded, is the same request again, and reported once. An unknown number is refused and
    changes nothing, also while another recipe is being loaded. ``models use`` for a bundle of the recipe in
    force loads its new version likewise.

    Up to ``keep_warm`` recipes stay loaded; those that were in force longest ago give way before another one
    is loaded. The recipe in force never does: with ``keep_warm`` 1, two are loaded for the time of a change.

    Args:
        settings: of the station.
        report: called with what became of each request, in order, from the book's thread, after the change is
            in force; must return at once.
        examine: called before a recipe is put in force, with it and those of its inspections whose bundle was
            loaded for it, which no part uses yet.
    """

    def __init__(
        self,
        settings: StationSettings,
        report: Callable[[RecipeChange], None],
        examine: Examine = lambda recipe, loaded: None,
    ) -> None:
        self._examine = examine
        self._settings, self._report = settings, report
        self._known = {recipe.number: recipe for recipe in settings.recipes}
        self._graphs = Graphs(settings)
        self._changed = threading.Condition()
        self._asked: list[int] = []
        self._loading = self._wanted = 0
        #: The recipe whose request is not settled yet; also when it is tried again without one.
        self._underway = 0
        self._retry_at, self._said = 0.0, ""
        self._reload = self._closing = False
        self._current: WarmRecipe | None = None
        #: Loaded recipes, the one that was in force last at the end.
        self._loaded: list[WarmRecipe] = []
        self._watches: list[VersionWatch] = []
        self._thread = threading.Thread(target=self._work, name="dmdd-recipes", daemon=True)
        self._thread.start()

    def current(self) -> WarmRecipe | None:
        """See ``RecipeBook.current``."""
        return self._current

    def take(self) -> WarmRecipe | None:
        """See ``RecipeBook.take``."""
        with self._changed:
            if self._current is not None:
                self._current.hold()
            return self._current

    @property
    def changing_to(self) -> int:
        """See ``RecipeBook.changing_to``."""
        with self._changed:
            known = [each for each in self._asked if each in self._known]
            number = known[-1] if known else self._loading
            current = self._current
            idle = not self._loading and current is not None and current.number == number
            return 0 if idle else number

    @property
    def warm(self) -> list[int]:
        """Numbers of the recipes that stay loaded, the one that was in force last at the end."""
        with self._changed:
            return [recipe.number for recipe in self._loaded if recipe.kept]

    def request(self, number: int) -> None:
        """See ``RecipeBook.request``."""
        with self._changed:
            known = [each for each in self._asked if each in self._known]
            if number in self._known and number == (known[-1] if known else self._underway):
                return  # what becomes of the request before is the answer to this one too
            self._asked.append(number)
            if number in self._known:
                self._wanted = number
            self._changed.notify_all()

    def reload(self) -> None:
        """See ``RecipeBook.reload``."""
        with self._changed:
            self._reload = True
            self._changed.notify_all()

    def close(self) -> None:
        """See ``RecipeBook.close``; waits for a bundle that is being loaded."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._current = None
        self._graphs.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._due, timeout=EVERY)
                if self._closing:
                    return
                asked, self._asked = self._asked, []
                again, self._reload = self._reload, False
                known = [number for number in asked if number in self._known]
                self._loading = self._underway = known[-1] if known else 0
            self._close_unused()
            for number in asked:
                if number not in self._known:
                    self._refuse_unknown(number)
            for number in known[:-1]:
                self._supersede(number)
            if known:
                self._change(known[-1])
            if again or self._stale():
                self._renew()

    def _due(self) -> bool:
        """Whether there is work; with the lock held."""
        return bool(
            self._closing or self._asked or self._reload or any(recipe.unused for recipe in self._loaded)
        )

    def _stale(self) -> bool:
        """Whether a bundle of the recipe in force has another version, or there is no recipe in force yet."""
        if self._current is None:
            return bool(self._wanted) and time.monotonic() >= self._retry_at
        changed = [watch.changed() for watch in self._watches]  # each of them, or the next is a second change
        return any(changed)

    def _change(self, number: int) -> None:
        """Put a recipe in force, unless it is already."""
        start, current = time.perf_counter(), self._current
        with self._changed:
            self._underway = number
        if current is not None and current.number == number:
            with self._changed:
                self._loading = self._underway = 0
            self._tell(number, "in force", f"{self._title(number)} is in force already.")
            return
        recipe = self._try_to_load(number, "refused")
        if recipe is not None:
            self._put_in_force(recipe)
            seconds = time.perf_counter() - start
            what = f"{self._title(number)} is in force after {seconds:.1f} s: {recipe.bundles}."
            self._tell(number, "in force", what, seconds=seconds)

    def _renew(self) -> None:
        """Load the bundles of the recipe in force again; without one, those of the recipe that is wanted."""
        current = self._current
        if current is None:
            if self._wanted:
                self._change(self._wanted)
            return
        start = time.perf_counter()
        recipe = self._try_to_load(current.number, "kept")
        if recipe is not None:
            self._put_in_force(recipe)
            what = f"{self._title(recipe.number)} is loaded again: {current.bundles} -> {recipe.bundles}."
            self._tell(recipe.number, "reloaded", what, seconds=time.perf_counter() - start)

    def _try_to_load(self, number: int, otherwise: Outcome) -> WarmRecipe | None:
        """Load a recipe; None when that failed, which is reported as ``otherwise``, or is not wanted now."""
        try:
            return self._load(number)
        except _SupersededError:
            if otherwise == "kept":
                self._reload = True  # the versions that were seen are not seen again
            else:
                self._supersede(number)
            return None
        except DmddError as error:
            why = f"{error.message} {error.fix}".rstrip()
        except Exception as error:  # the thread must live, or no recipe could ever be loaded again
            _LOG.exception("%s failed to load.", self._title(number))
            why = f"{type(error).__name__}: {error}. This is a bug; report it with the log."
        with self._changed:
            self._loading = self._underway = 0
        self._retry_at = time.monotonic() + RETRY_SECONDS
        stays = "no recipe is in force" if self._current is None else f"recipe {self._current.number} stays"
        if otherwise == "kept":
            stays = "the bundles before stay"
        message = f"{self._title(number)} cannot be loaded, {stays}: {why}"
        if self._current is not None or message != self._said:  # once, while it is tried again and again
            self._tell(number, otherwise, message, ErrorCode.RECIPE_FAILED)
            self._said = message
        return None

    def _load(self, number: int) -> WarmRecipe:
        settings = self._known[number]
        inspections = [self._settings.inspections[name] for name in settings.inspections]
        names = [self._graphs.name(inspection) for inspection in inspections]
        with ExitStack() as undo:
            graphs: dict[GraphName, Graph] = {}

            def use(name: GraphName, graph: Graph) -> None:
                graphs[name] = graph
                undo.callback(self._graphs.release, name)

            for name in dict.fromkeys(names):
                graph = self._graphs.share(name)
                if graph is not None:
                    use(name, graph)
            missing = [name for name in dict.fromkeys(names) if name not in graphs]
            if missing:
                self._make_room(number)
            for name in missing:
                self._require_wanted()
                use(name, self._graphs.load(name))
            self._require_wanted()
            detectors = tuple(
                (inspection, graphs[name].detector(inspection))
                for inspection, name in zip(inspections, names, strict=True)
            )
            new = [pair for pair, name in zip(detectors, names, strict=True) if name in missing]
            self._examine(settings, new)
            undo.pop_all()
        return WarmRecipe(settings, detectors, tuple(graphs), self._changed)

    def _require_wanted(self) -> None:
        with self._changed:
            if self._closing or any(number in self._known for number in self._asked):
                raise _SupersededError

    def _make_room(self, number: int) -> None:
        """Let recipes go so that with another one not more than ``keep_warm`` are loaded."""
        with self._changed:
            kept = [recipe for recipe in self._loaded if recipe.kept and recipe.number != number]
            more = len(kept) + 1 - self._settings.keep_warm
            for recipe in [each for each in kept if each is not self._current][: max(more, 0)]:
                recipe.kept = False
        self._close_unused()

    def _put_in_force(self, recipe: WarmRecipe) -> None:
        with self._changed:
            for before in self._loaded:
                before.kept = before.kept and before.number != recipe.number
            self._loaded.append(recipe)
            self._current, self._loading, self._underway = recipe, 0, 0
        self._make_room(recipe.number)
        self._watches = [
            VersionWatch(self._graphs.folder(inspection), detector.bundle.version)
            for inspection, detector in recipe.inspections
        ]

    def _close_unused(self) -> None:
        """Close the recipes that are not kept and have no part in progress."""
        with self._changed:
            unused = [recipe for recipe in self._loaded if recipe.unused]
            self._loaded = [recipe for recipe in self._loaded if not recipe.unused]
        for recipe in unused:
            for name in recipe.graphs:
                self._graphs.release(name)

    def _refuse_unknown(self, number: int) -> None:
        known = ", ".join(map(str, sorted(self._known)))
        message = f"There is no recipe {number} in {self._settings.path.name}; there are {known}."
        self._tell(number, "refused", message, ErrorCode.UNKNOWN_RECIPE)

    def _supersede(self, number: int) -> None:
        self._tell(number, "superseded", f"{self._title(number)} is not loaded: a later request came.")

    def _tell(
        self,
        number: int,
        outcome: Outcome,
        message: str,
        code: ErrorCode = ErrorCode.NONE,
        seconds: float = 0.0,
    ) -> None:
        try:
            self._report(RecipeChange(number, outcome, code, message, seconds))
        except Exception:  # whoever listens must not end the changes of recipe
            _LOG.exception("A change of recipe could not be reported: %s", message)

    def _title(self, number: int) -> str:
        return f"Recipe {number} ({self._known[number].name})"
