"""Bundles whose score is the bluest pixel, known-bad parts with a known score, and the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import typer
from typer.testing import CliRunner

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.cli import calibrate, challenge, models
from tests.runtime.conftest import picture

#: The bluest pixel of each part; the score is this / 255.
PARTS = {"faint": 153, "deep": 255, "clear": None}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images of three parts: with a score of 0.6, of 1, and of a good part's 30 / 255."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, patch in PARTS.items():
        cv2.imwrite(str(folder / f"{name}.png"), picture(patch=patch))
    return folder


@pytest.fixture
def at_threshold(make_bundle: Callable[..., Bundle]) -> Callable[..., Bundle]:
    """Write a version with a threshold, and put it to use."""

    def make(threshold: float, **fields: Any) -> Bundle:
        return make_bundle(threshold=threshold_from_normals([threshold / 2, threshold]), **fields)

    return make


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Call a command in ``tmp_path``; returns what it printed as JSON, or raises what it raised."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    for module in (models, calibrate, challenge):
        module.register(app)

    def call(*arguments: object, code: int = 0) -> Any:
        done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        if isinstance(done.exception, DmddError):
            raise done.exception
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    return call


@pytest.fixture
def journal(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The lines of the journal, without those of ``challenge add``."""

    def read() -> list[dict[str, Any]]:
        file = tmp_path / "models" / "screw" / "challenge" / "journal.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in lines if line["action"] != "add"]

    return read
