"""Surroundings whose answers are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.isolate import Answer
from dmdd_edge.runtime.doctor.surroundings import Surroundings


class Answers:
    """Answers by the name of the function that is asked for, and the arguments where it matters.

    Args:
        given: by ``function`` or ``function argument``; a plain value stands for an answer that has it.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.asked: list[tuple[Any, ...]] = []

    def __call__(self, question: str, *arguments: Any, limit: float = 0) -> Answer:
        function = question.partition(":")[2]
        self.asked.append((function, *arguments))
        keys = [f"{function} {argument}" for argument in arguments]
        found = next(self.given[key] for key in [*keys, function] if key in self.given)
        return found if isinstance(found, Answer) else Answer(value=found)


@pytest.fixture
def surroundings(tmp_path: Path) -> Callable[..., Surroundings]:
    """Make surroundings with such answers: ``surroundings({...}, gpu=True, here=Platform(...))``."""

    def make(given: dict[str, Any], gpu: bool = False, here: Platform | None = None) -> Surroundings:
        return Surroundings(Answers(given), here or Platform(), tmp_path / "models", None, gpu)

    return make


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module that processes can import; gives its name."""

    def write(source: str) -> str:
        folder = tmp_path / "questions"
        folder.mkdir(exist_ok=True)
        (folder / "made_up.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        return "made_up"

    return write
