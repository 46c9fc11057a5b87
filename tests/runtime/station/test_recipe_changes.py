"""Changes of recipe under triggers: each part is judged by the recipe in force at its trigger."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.recipes import StationRecipes
from dmdd_edge.runtime.station.warm_recipe import WarmRecipe
from tests.runtime.station.constant_bundles import (
    Reports,
    constant_graph,
    put_in_force,
    scores,
    station_settings,
    wait_until,
    write_constant_bundle,
)
from tests.runtime.station.running import Camera, running

Make = Callable[..., Bundle]


def test_no_part_is_judged_across_a_change_of_recipe(make_bundle: Make, tmp_path: Path) -> None:
    """Forty changes among three recipes, of which two stay loaded, while parts are triggered all the time."""
    expected = {1: [0.125], 2: [0.25, 0.375], 3: [0.5]}
    for score in (0.125, 0.25, 0.375, 0.5):
        make_bundle(f"bundle{score}", constant_graph(score))
    inspections = {f"{score}": f"bundle{score}" for values in expected.values() for score in values}
    by_recipe = {number: [f"{score}" for score in values] for number, values in expected.items()}
    reports = Reports()
    book = StationRecipes(station_settings(tmp_path, inspections, by_recipe, keep_warm=2), reports)
    put_in_force(book, reports, 1)
    begun: queue.Queue[WarmRecipe | None] = queue.Queue(6)
    judged: list[tuple[int, list[float]]] = []

    def judge() -> None:
        while (part := begun.get()) is not None:
            judged.append((part.number, scores(part)))
            part.release()

    def trigger(stop: threading.Event) -> None:
        while not stop.is_set():
            part = book.take()
            assert part is not None
            begun.put(part)
        begun.put(None)

    stop = threading.Event()
    threads = [threading.Thread(target=judge), threading.Thread(target=trigger, args=(stop,))]
    for thread in threads:
        thread.start()
    order = [2, 3, 1, 3, 2, 1, 2, 1] * 5
    for number in order:
        put_in_force(book, reports, number)
        current = book.current()
        assert current is not None
        assert current.number == number
        # Six parts wait at most, one is being triggered and one judged.
        wait_until(lambda seen=len(judged): len(judged) > seen + 8)  # type: ignore[misc]
    stop.set()
    for thread in threads:
        thread.join(60)
    book.close()
    assert [(number, values) for number, values in judged if values != expected[number]] == []
    # Each recipe had its parts after each of its changes.
    runs = [number for place, (number, _) in enumerate(judged) if not place or judged[place - 1][0] != number]
    assert runs == [1, *order]


def test_a_station_changes_its_recipe_under_triggers(tmp_path: Path) -> None:
    """Twelve changes; every trigger is judged by the recipe in force then, or refused and reported."""
    expected = {1: [0.125], 2: [0.25, 0.375], 3: [0.5, 0.125]}
    for score in (0.125, 0.25, 0.375, 0.5):
        write_constant_bundle(tmp_path / "models", f"bundle{score}", score)
    inspections = {f"{score}": f"bundle{score}" for values in expected.values() for score in values}
    by_recipe = {number: [f"{score}" for score in values] for number, values in expected.items()}
    settings = station_settings(tmp_path, inspections, by_recipe, keep_warm=2)
    order = [2, 3, 1, 3, 2, 1] * 2
    with running(settings, {"top": Camera()}) as station:
        stop, answers = threading.Event(), list[int]()

        def trigger() -> None:
            while not stop.is_set():
                answers.append(station.desk.trigger("modbus"))
                time.sleep(0.001)

        thread = threading.Thread(target=trigger)
        thread.start()
        for number in order:
            seen = len(station.notes.parts)
            station.desk.request_recipe(number)
            wait_until(lambda number=number: station.desk.state().recipe == number)  # type: ignore[misc]
            wait_until(lambda seen=seen: len(station.notes.parts) > seen + 20)  # type: ignore[misc]
        stop.set()
        thread.join(60)
        accepted = [answer for answer in answers if not isinstance(answer, ErrorCode)]
        parts = station.verdicts(len(accepted))
        wait_until(lambda: len(station.notes.misses) == len(answers) - len(accepted))
        state = station.desk.state()
    assert [part.trigger.acquisition_id for part in parts] == accepted
    found = [
        (part.trigger.recipe, [round(each.result.score, 4) for each in part.inspections]) for part in parts
    ]
    assert [(number, values) for number, values in found if values != expected[number]] == []
    runs = [number for place, (number, _) in enumerate(found) if not place or found[place - 1][0] != number]
    assert runs == [1, *order]
    assert (state.parts, state.missed) == (len(accepted), len(answers) - len(accepted))
