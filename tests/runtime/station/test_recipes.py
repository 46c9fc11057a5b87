"""Recipes are loaded beside the work, put in force at once, and never reach a part that has begun."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle, use_version
from dmdd_edge.bundle.calibration import write_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.errors import BackendError
from dmdd_edge.runtime import part, version_watch
from dmdd_edge.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.part import PreparedPart, StartedPart, batches
from dmdd_edge.runtime.station import recipes
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.recipes import StationRecipes
from dmdd_edge.runtime.station.settings import StationSettings
from tests.runtime.station.constant_bundles import (
    SIZE,
    Reports,
    constant_graph,
    put_in_force,
    scores,
    station_settings,
    wait_until,
)

Make = Callable[..., Bundle]
Open = Callable[[StationSettings], tuple[StationRecipes, Reports]]


@pytest.fixture
def open_book() -> Iterator[Open]:
    """Open a recipe book; closed at the end."""
    books: list[StationRecipes] = []

    def make(settings: StationSettings) -> tuple[StationRecipes, Reports]:
        reports = Reports()
        books.append(StationRecipes(settings, reports))
        return books[-1], reports

    yield make
    for book in books:
        book.close()


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[OnnxRuntimeCpu]:
    """Every backend that is opened, with the batches that it ran (``seen``) and whether it is closed."""
    opened: list[Any] = []

    class Watched(OnnxRuntimeCpu):
        def __init__(self, bundle: Bundle, *arguments: Any, **options: Any) -> None:
            super().__init__(bundle, *arguments, **options)
            self.category, self.seen, self.closed = bundle.category, [], False
            opened.append(self)

        def infer(self, images: NDArray[np.uint8]) -> Any:
            self.seen.append(len(images))
            return super().infer(images)

        def close(self) -> None:
            assert not self.closed
            self.closed = True
            super().close()

    monkeypatch.setattr("dmdd_edge.runtime.backends.selection.OnnxRuntimeCpu", Watched)
    return opened


def test_the_recipe_in_force_judges_with_its_own_bundles(
    make_bundle: Make, tmp_path: Path, open_book: Open
) -> None:
    make_bundle("lid", constant_graph(0.25))
    make_bundle("seal", constant_graph(0.75))
    settings = station_settings(tmp_path, {"lid": "lid", "seal": "seal"}, {1: ["lid"], 2: ["seal", "lid"]})
    book, reports = open_book(settings)
    assert book.current() is None
    assert book.take() is None
    change = put_in_force(book, reports, 1)
    assert change.code == ErrorCode.NONE
    assert scores(book.current()) == [0.25]
    put_in_force(book, reports, 2)
    assert scores(book.current()) == [0.75, 0.25]
    assert book.changing_to == 0
    put_in_force(book, reports, 2)
    assert reports.changes[-1].message == "Recipe 2 (product 2) is in force already."


def test_inspections_of_one_bundle_share_its_graph_and_keep_their_thresholds(
    make_bundle: Make, tmp_path: Path, open_book: Open, backends: list[Any]
) -> None:
    make_bundle("lid", constant_graph(0.5))
    make_bundle("seal", constant_graph(0.5))
    inspections: dict[str, Any] = {
        "strict": {"category": "lid", "threshold": 0.4},
        "mild": {"category": "lid", "threshold": 0.6, "pixel_threshold": 0.9},
        "plain": {"model": tmp_path / "models" / "lid"},
        "seal": "seal",
    }
    by_recipe = {1: ["plain"], 2: ["strict", "mild", "plain", "seal"]}
    book, reports = open_book(station_settings(tmp_path, inspections, by_recipe))
    put_in_force(book, reports, 1)
    put_in_force(book, reports, 2)
    recipe = book.current()
    assert recipe is not None
    detectors = [detector for _, detector in recipe.inspections]
    assert [backend.category for backend in backends] == ["lid", "seal"]
    assert [detector.backend for detector in detectors] == [backends[0]] * 3 + [backends[1]]
    # One run of a graph for three detectors, each with its own threshold (0.5 in the bundle).
    frame = Frame(np.full((SIZE, SIZE, 3), 90, np.uint8), "picture", "picture", 0, 0.0)
    prepared = [detector.prepare(frame) for detector in detectors]
    backends[0].seen.clear()
    whole = PreparedPart(tuple(prepared))
    inferred = StartedPart(whole, batches(whole)).collect()
    assert backends[0].seen == [3]
    decided = [item.prepared[0].detector.decide(item)[0] for item in inferred.items]
    assert [result.status for result in decided] == ["anomalous", "good", "good", "good"]
    assert [result.threshold for result in decided] == [0.4, 0.6, 0.5, 0.5]
    assert [result.pixel_threshold for result in decided] == [0.4, 0.9, 0.5, 0.5]
    detectors[0].close()  # one of those that share a graph leaves it to the others
    assert not backends[0].closed
    with pytest.raises(BackendError, match="closed"):
        detectors[0].infer(prepared[:1])
    assert detectors[1].infer(prepared[:1])[0].score == 0.5


def test_a_graph_is_warm_for_every_batch_size_of_every_recipe_before_it_is_in_force(
    make_bundle: Make, tmp_path: Path, open_book: Open, backends: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "LARGEST_BATCH", 4)
    make_bundle("lid", constant_graph(0.5))
    names = [f"lid {number}" for number in range(7)]
    by_recipe = {1: names[:1], 2: names[:2], 3: names}
    book, reports = open_book(station_settings(tmp_path, dict.fromkeys(names, "lid"), by_recipe))
    put_in_force(book, reports, 1)
    # One at the selection; recipe 2 needs pairs; recipe 3 needs seven: four and three.
    assert sorted(backends[0].seen) == [1, 2, 3, 4]
    put_in_force(book, reports, 3)
    assert sorted(backends[0].seen) == [1, 2, 3, 4]
    assert len(backends) == 1


def test_an_unknown_recipe_is_refused_and_the_one_before_stays(
    make_bundle: Make, tmp_path: Path, open_book: Open
) -> None:
    make_bundle("lid", constant_graph(0.25))
    book, reports = open_book(station_settings(tmp_path, {"lid": "lid"}, {1: ["lid"], 7: ["lid"]}))
    put_in_force(book, reports, 1)
    book.request(9)
    assert book.changing_to == 0
    change = reports.wait(2)
    assert (change.number, change.outcome, change.code) == (9, "refused", ErrorCode.UNKNOWN_RECIPE)
    assert change.message == "There is no recipe 9 in line1.toml; there are 1, 7."
    assert scores(book.current()) == [0.25]


def test_a_bundle_that_fails_leaves_the_recipe_before_in_force(
    make_bundle: Make, tmp_path: Path, open_book: Open, backends: list[Any]
) -> None:
    make_bundle("lid", constant_graph(0.25))
    altered = make_bundle("seal", constant_graph(0.75)).file("model.fp32.onnx")
    altered.write_bytes(altered.read_bytes()[:-1] + b"!")
    make_bundle("cap", b"no graph")
    inspections = {"lid": "lid", "seal": "seal", "cap": "cap", "none": "none"}
    by_recipe = {1: ["lid"], 2: ["lid", "seal"], 3: ["cap"], 4: ["none"]}
    book, reports = open_book(station_settings(tmp_path, inspections, by_recipe))
    put_in_force(book, reports, 1)
    for number, why in ((2, "was altered"), (3, "cannot open"), (4, "there is no bundle 'none'")):
        book.request(number)
        change = reports.wait(number)
        assert (change.number, change.outcome, change.code) == (number, "refused", ErrorCode.RECIPE_FAILED)
        assert change.message.startswith(
            f"Recipe {number} (product {number}) cannot be loaded, recipe 1 stays:"
        )
        assert why in change.message
        assert book.changing_to == 0
        assert scores(book.current()) == [0.25]
    assert [backend.closed for backend in backends] == [False]  # lid's, which recipe 2 shared for a moment
    book.close()
    assert [backend.closed for backend in backends] == [True]


def test_the_last_of_several_requests_wins_and_the_others_are_reported(
    make_bundle: Make, tmp_path: Path, open_book: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 5):
        make_bundle(f"part{number}", constant_graph(number / 8))
    inspections = {f"part{number}": f"part{number}" for number in range(1, 5)}
    by_recipe = {number: [f"part{number}"] for number in range(1, 5)}
    loading, go_on = threading.Event(), threading.Event()
    load = Bundle.load

    def slow(path: Path, **options: Any) -> Bundle:
        if "part2" in str(path):
            loading.set()
            assert go_on.wait(60)
        return load(path, **options)

    monkeypatch.setattr(Bundle, "load", slow)
    book, reports = open_book(station_settings(tmp_path, inspections, by_recipe))
    put_in_force(book, reports, 1)
    book.request(2)
    assert loading.wait(60)
    assert book.changing_to == 2
    assert scores(book.current()) == [0.125]  # the recipe before judges on
    book.request(3)
    book.request(9)
    book.request(4)
    assert book.changing_to == 4
    go_on.set()
    reports.wait(5)
    assert reports.outcomes[1:] == [(2, "superseded"), (9, "refused"), (3, "superseded"), (4, "in force")]
    assert scores(book.current()) == [0.5]


def test_a_request_for_the_recipe_that_is_being_loaded_is_the_same_request(
    make_bundle: Make, tmp_path: Path, open_book: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        make_bundle(f"part{number}", constant_graph(number / 8))
    loading, go_on = threading.Event(), threading.Event()
    load = Bundle.load

    def slow(path: Path, **options: Any) -> Bundle:
        loading.set()
        assert go_on.wait(60)
        return load(path, **options)

    monkeypatch.setattr(Bundle, "load", slow)
    names = {number: f"part{number}" for number in range(1, 4)}
    by_recipe = {number: [name] for number, name in names.items()}
    book, reports = open_book(station_settings(tmp_path, {name: name for name in names.values()}, by_recipe))
    book.request(1)
    assert loading.wait(60)
    book.request(1)
    go_on.set()
    reports.wait(1)
    # Afterwards one that is in force is answered again, and so is one that another request came before.
    loading.clear()
    go_on.clear()
    book.request(2)
    assert loading.wait(60)
    for number in (2, 3, 3, 2, 2):
        book.request(number)
    assert book.changing_to == 2
    go_on.set()
    reports.wait(4)
    assert reports.outcomes == [(1, "in force"), (2, "superseded"), (3, "superseded"), (2, "in force")]
    assert scores(book.current()) == [0.25]


def test_as_many_recipes_stay_loaded_as_the_station_file_says(
    make_bundle: Make, tmp_path: Path, open_book: Open, backends: list[Any]
) -> None:
    for number in range(1, 5):
        make_bundle(f"part{number}", constant_graph(number / 8))
    inspections = {f"part{number}": f"part{number}" for number in range(1, 5)}
    by_recipe = {number: [f"part{number}"] for number in range(1, 5)}
    book, reports = open_book(station_settings(tmp_path, inspections, by_recipe, keep_warm=2))

    def opened() -> list[str]:
        return [backend.category for backend in backends if not backend.closed]

    put_in_force(book, reports, 1)
    put_in_force(book, reports, 2)
    assert opened() == ["part1", "part2"]
    put_in_force(book, reports, 1)
    assert len(backends) == 2  # it was still loaded
    put_in_force(book, reports, 3)
    assert opened() == ["part1", "part3"]
    part = book.take()
    assert part is not None
    put_in_force(book, reports, 4)
    put_in_force(book, reports, 2)
    assert book.warm == [4, 2]
    assert opened() == ["part3", "part4", "part2"]  # a part that began with recipe 3 is in progress
    assert scores(part) == [0.375]
    part.hold()
    part.release()
    assert opened() == ["part3", "part4", "part2"]
    part.release()
    wait_until(lambda: opened() == ["part4", "part2"])


def test_with_one_recipe_kept_the_one_before_works_until_the_next_is_ready(
    make_bundle: Make, tmp_path: Path, open_book: Open, backends: list[Any]
) -> None:
    make_bundle("lid", constant_graph(0.25))
    broken = make_bundle("seal", constant_graph(0.75)).file("model.fp32.onnx")
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-1])
    settings = station_settings(
        tmp_path, {"lid": "lid", "seal": "seal"}, {1: ["lid"], 2: ["seal"]}, keep_warm=1
    )
    book, reports = open_book(settings)
    put_in_force(book, reports, 1)
    book.request(2)
    assert reports.wait(2).outcome == "refused"
    assert scores(book.current()) == [0.25]
    broken.write_bytes(whole)
    put_in_force(book, reports, 2)
    wait_until(lambda: [backend.closed for backend in backends] == [True, False])
    assert book.warm == [2]


def test_another_version_put_to_use_on_the_disk_takes_over(
    make_bundle: Make, tmp_path: Path, open_book: Open, backends: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (version_watch, recipes):
        monkeypatch.setattr(module, "EVERY", 0.01)
    first = make_bundle("lid", constant_graph(0.25))
    make_bundle("seal", constant_graph(0.75))
    settings = station_settings(tmp_path, {"lid": "lid", "seal": "seal"}, {1: ["lid"], 2: ["seal", "lid"]})
    book, reports = open_book(settings)
    put_in_force(book, reports, 2)
    put_in_force(book, reports, 1)
    part = book.take()
    assert part is not None
    second = make_bundle("lid", constant_graph(0.375))
    change = reports.wait(3)
    assert (change.number, change.outcome) == (1, "reloaded")
    assert f"lid {first.version} -> lid {second.version}" in change.message
    assert scores(book.current()) == [0.375]
    assert scores(part) == [0.25]  # it began before
    part.release()
    # A recipe that is warm does not bring the version before back.
    put_in_force(book, reports, 2)
    assert scores(book.current()) == [0.75, 0.375]
    assert [backend.category for backend in backends] == ["seal", "lid", "lid"]
    use_version(tmp_path / "models", "lid", first.version)
    assert reports.wait(5).outcome == "reloaded"
    assert scores(book.current()) == [0.75, 0.25]


def test_a_version_that_fails_is_reported_and_the_one_before_stays(
    make_bundle: Make, tmp_path: Path, open_book: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (version_watch, recipes):
        monkeypatch.setattr(module, "EVERY", 0.01)
    make_bundle("lid", constant_graph(0.25))
    book, reports = open_book(station_settings(tmp_path, {"lid": "lid"}, {1: ["lid"]}))
    put_in_force(book, reports, 1)
    make_bundle("lid", b"no graph")
    change = reports.wait(2)
    assert (change.number, change.outcome, change.code) == (1, "kept", ErrorCode.RECIPE_FAILED)
    assert "the bundles before stay" in change.message
    assert scores(book.current()) == [0.25]
    assert book.changing_to == 0


def test_a_calibration_takes_part_after_a_reload_without_loading_the_graph_again(
    make_bundle: Make, tmp_path: Path, open_book: Open, backends: list[Any]
) -> None:
    bundle = make_bundle("lid", constant_graph(0.25))
    book, reports = open_book(station_settings(tmp_path, {"lid": "lid"}, {1: ["lid"]}))
    put_in_force(book, reports, 1)
    write_calibration(bundle, threshold_from_normals([0.2]), "line")
    book.reload()
    assert reports.wait(2).outcome == "reloaded"
    recipe = book.current()
    assert recipe is not None
    assert [detector.threshold.image for _, detector in recipe.inspections] == [0.2]
    assert len(backends) == 1


def test_a_station_that_starts_without_its_bundle_finds_it_when_it_is_there(
    make_bundle: Make, tmp_path: Path, open_book: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "EVERY", 0.01)
    monkeypatch.setattr(recipes, "RETRY_SECONDS", 0.02)
    book, reports = open_book(station_settings(tmp_path, {"lid": "lid"}, {1: ["lid"]}))
    book.request(1)
    change = reports.wait(1)
    assert (change.outcome, change.code) == ("refused", ErrorCode.RECIPE_FAILED)
    assert "no recipe is in force" in change.message
    make_bundle("lid", constant_graph(0.25))
    wait_until(lambda: reports.changes[-1].outcome == "in force")
    assert scores(book.current()) == [0.25]
    messages = [change.message for change in reports.changes]
    assert len(set(messages)) == len(messages)  # what is wrong is said once, however often it is tried
