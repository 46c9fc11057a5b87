"""The world of the command lines, around the tiny run; ``python tests/fuzz`` draws its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the generators beside the tests


@pytest.fixture(scope="module")
def world(
    tiny_outcome: Any, graphs_once: None, plates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder of images, a run, a bundle and what goes wrong."""
    from world import make_world

    from dmdd_edge.export.pipeline import export_run

    models = tmp_path_factory.mktemp("exported") / "models"
    export_run(tiny_outcome.run.folder, models)
    folder = tmp_path_factory.mktemp("world")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)  # a part of the lines runs as another user
    return make_world(folder, tiny_outcome.run.folder.parent, models, plates)
