"""The live page of a collection: what it shows, and what it may change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge import CollectOptions
from dmdd_edge.runtime.collect.collect import Collected, OpenCollection
from dmdd_edge.runtime.collect.page import CollectionPage, open_collection_page
from dmdd_edge.runtime.collect.taking import Wish
from tests.runtime.collect.parts import folder_of, part
from tests.runtime.page.asking import Answer, send

TOKEN = "a-secret-token"


class Served:
    """A collection by wish that runs beside the test, and its page."""

    def __init__(self, shots: Path, into: Path) -> None:
        options = CollectOptions(source=f"images:{shots}?fps=20", into=into, target=6)
        self.collection = OpenCollection(options, lambda line: None, Wish())
        self.into = into
        self.outcome: Collected | None = None

    def __enter__(self) -> Served:
        self.collection.__enter__()
        self.page: CollectionPage = open_collection_page("0", self.collection, TOKEN)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        self.outcome = self.collection.process(stop=lambda: self.page.ended)

    def __exit__(self, *exc: object) -> None:
        self.page._routes.ended = True
        self._thread.join()
        self.page.close()
        self.collection.__exit__(None, None, None)

    def ask(self, path: str) -> Answer:
        return send(self.page.url, path)

    def change(self, path: str, token: str | None = TOKEN) -> Answer:
        return send(self.page.url, path, "POST", {}, token)

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while not condition(state := self.ask("/api/state").json):
            assert time.monotonic() < deadline, state
            time.sleep(0.02)
        return state


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    shots = folder_of(tmp_path / "shots", {f"{seed:02d}.png": part(seed) for seed in range(10)})
    with Served(shots, tmp_path / "set") as made:
        yield made


def test_the_state_shows_the_set(served: Served) -> None:
    state = served.until(lambda now: now["source"]["connected"])
    assert (state["images"], state["target"], state["way"], state["ended"]) == (0, 6, "key", False)
    assert (state["spread"], state["missing"], state["newest"]) == ("", [], [])
    assert state["into"] == str(served.into)


def test_the_image_of_the_source_is_shown(served: Served) -> None:
    served.until(lambda now: served.collection.current is not None)
    answer = served.ask("/frame.jpg")
    image = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert (answer.status, image.shape) == (200, (160, 160, 3))


def test_the_button_takes_an_image_and_takes_it_back(served: Served) -> None:
    assert served.change("/api/take").status == 202
    state = served.until(lambda now: now["images"] == 1)
    assert state["newest"][0]["number"] == 1
    assert (served.into / "000001.png").is_file()
    assert served.change("/api/undo").json == {"removed": 1}
    assert served.ask("/api/state").json["images"] == 0
    assert list(served.into.glob("0*")) == []
    refused = served.change("/api/undo")
    assert (refused.status, refused.json["message"]) == (409, "There is no image to remove.")


def test_the_end_ends_it(served: Served) -> None:
    assert served.change("/api/end").status == 202
    served.until(lambda now: now["ended"])
    served._thread.join(60)
    assert served.outcome is not None
    assert served.outcome.ended_by == "stop"


@pytest.mark.parametrize("path", ["/api/take", "/api/undo", "/api/end"])
def test_nothing_changes_without_the_token(served: Served, path: str) -> None:
    assert served.change(path, None).status == 401
    assert served.change(path, "another-token").status == 401
    assert served.ask(path).status == 405
    assert not served.page.ended


def test_the_page_is_served_with_its_script(served: Served) -> None:
    home = served.ask("/")
    assert home.status == 200
    assert b"/collect.js" in home.body
    assert served.ask("/collect.js").status == 200
