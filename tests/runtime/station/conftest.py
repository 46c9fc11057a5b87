"""``dmdd-edge station`` without the rest of the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dmdd_edge.cli import station


@pytest.fixture
def command() -> Callable[..., Any]:
    """Call ``station`` with arguments."""
    app = typer.Typer()
    station.register(app)

    @app.command()
    def other() -> None:
        """A second command, so that the first one has a name."""

    return lambda *arguments: CliRunner().invoke(app, ["station", *arguments])
