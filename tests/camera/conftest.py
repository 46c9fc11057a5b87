"""What the tests of a real camera share with those of the runtime."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def program() -> list[str]:
    """The command that starts the program."""
    return [sys.executable, "-c", "from dmdd_edge.cli.main import main; main()"]
