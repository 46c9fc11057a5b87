"""A context with simulated replies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.subprocess_call import Reply


class Replies:
    """Replies by the name of the called function, and its arguments where they matter.

    Args:
        given: by ``function`` or ``function argument``; a plain value is a reply with that value.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.called: list[tuple[Any, ...]] = []

    def __call__(self, function: str, *arguments: Any, limit: float = 0) -> Reply:
        name = function.partition(":")[2]
        self.called.append((name, *arguments))
        keys = [f"{name} {argument}" for argument in arguments]
        value = next(self.given[key] for key in [*keys, name] if key in self.given)
        return value if isinstance(value, Reply) else Reply(value=value)


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., Context]:
    """Build a context with such replies: ``make_context({...}, gpu=True, platform=Platform(...))``."""

    def make(given: dict[str, Any], gpu: bool = False, platform: Platform | None = None) -> Context:
        return Context(Replies(given), platform or Platform(), tmp_path / "models", None, gpu)

    return make


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module that subprocesses can import; returns its name."""

    def write(source: str) -> str:
        folder = tmp_path / "modules"
        folder.mkdir(exist_ok=True)
        (folder / "sample_module.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        return "sample_module"

    return write
