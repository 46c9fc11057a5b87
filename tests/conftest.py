"""What every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _data_folder() -> Path:
    named = os.environ.get("DMDD_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real images (DMDD_DATA, or shared/data beside the repository); skips without it."""
    folder = _data_folder()
    if not (folder / "mvtec").is_dir():
        pytest.skip(f"no real images at {folder}: set DMDD_DATA to a folder that holds mvtec/")
    return folder
