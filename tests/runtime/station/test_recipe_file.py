"""A file that holds the number of the recipe."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.station.model import StationState
from dmdd_edge.runtime.station.recipe_file import RecipeFile
from tests.runtime.station.running import wait_until


class Desk:
    def __init__(self) -> None:
        self.requested: list[int] = []

    def request_recipe(self, number: int) -> None:
        self.requested.append(number)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recipe.txt"


def test_each_new_number_is_requested_once(path: Path) -> None:
    desk: Any = Desk()
    said: list[str] = []
    path.write_text("2\n")
    with closing(RecipeFile(path, desk, said.append, every=0.01)) as watched:
        watched.changed(StationState())
        assert desk.requested == []  # before there is a recipe in force, nothing is requested
        watched.changed(StationState(recipe=1))
        wait_until(lambda: desk.requested == [2])
        path.write_text(" 3 ")
        wait_until(lambda: desk.requested == [2, 3])
        path.unlink()
        wait_until(lambda: len(said) == 1)
        path.write_text("recipe 4")
        wait_until(lambda: len(said) == 2)
        path.write_text("3")
        path.write_text("5")
        wait_until(lambda: desk.requested[-1] == 5)
    assert desk.requested == [2, 3, 5]
    assert said == [
        f"{path} cannot be read: No such file or directory. The recipe stays.",
        f"{path} holds no number of a recipe. The recipe stays.",
    ]


def test_nothing_is_requested_after_the_end(path: Path) -> None:
    desk: Any = Desk()
    path.write_text("2")
    watched = RecipeFile(path, desk, print, every=0.01)
    watched.close()
    watched.close()
    watched.changed(StationState(recipe=1))
    watched._thread.join(60)
    assert desk.requested == []
