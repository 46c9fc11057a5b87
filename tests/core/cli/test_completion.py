"""What the shell offers for the value of an option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dmdd_edge.cli.main import app

ROOT: Any = get_command(app)


def offered(command: str, option: str, incomplete: str, *before: str) -> list[str]:
    """What is offered for an option after other arguments."""
    found = ROOT.commands[command]
    with found.make_context(command, list(before), resilient_parsing=True) as context:
        (parameter,) = [parameter for parameter in found.params if option in parameter.opts]
        return [item.value for item in parameter.shell_complete(context, incomplete)]


@pytest.mark.parametrize(
    ("command", "option", "incomplete", "values"),
    [
        ("export", "--target", "t", ["tensorrt", "triton"]),
        ("export", "--target", "onnx,t", ["onnx,tensorrt", "onnx,triton"]),
        ("export", "--target", "onnx,o", []),
        ("export", "--precision", "fp1", ["fp16"]),
        ("train", "--device", "c", ["cpu", "cuda"]),
        ("train", "--backbone", "r", ["resnet18"]),
        ("bench", "--scenario", "s", ["single", "stream"]),
        ("bench", "--preset", "m", ["mlperf"]),
    ],
)
def test_known_values_are_offered(command: str, option: str, incomplete: str, values: list[str]) -> None:
    assert offered(command, option, incomplete) == values


def test_categories_are_the_folders_of_bundles_runs_and_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("models/screw", "runs/plate", "data/bottle", "data/.hidden"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data" / "readme.txt").touch()
    assert offered("run", "--category", "") == ["screw"]
    assert offered("export", "--category", "") == ["plate", "screw"]
    assert offered("train", "--category", "", "--data", "data") == ["bottle"]
    assert offered("train", "--category", "") == []
    assert offered("run", "--category", "", "--models-dir", "nowhere") == []
