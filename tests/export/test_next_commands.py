"""Each command's last line names the next one: it is pasted and run, in folders with spaces."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dmdd_edge.cli.main import app


def pasted(line: str, *more: object) -> str:
    """Run a printed command as a shell would split it; returns the command that it names in turn."""
    words = shlex.split(line)
    assert words[0] == "dmdd-edge"
    done = CliRunner().invoke(app, [*words[1:], *map(str, more)])
    assert done.exit_code == 0, (line, done.stderr, done.exception)
    last = done.stderr.strip().splitlines()[-1]
    return last.removeprefix("next: ") if last.startswith("next: ") else ""


@pytest.mark.slow
@pytest.mark.usefixtures("graphs_once")
def test_each_command_leads_to_the_next(copied: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs, models, parts = tmp_path / "my runs", tmp_path / "my models", tmp_path / "data" / "plate" / "test"
    runs.mkdir()
    copied.folder.rename(runs / "line 1")

    export = pasted("dmdd-edge evaluate --category plate --run 'line 1' --runs-dir 'my runs'")
    assert export.startswith("dmdd-edge export")
    run = pasted(export, "--target", "onnx", "--models-dir", models)
    assert (models / "plate" / "CURRENT").is_file()
    assert run.startswith("dmdd-edge run")
    pasted(run.split(" --source")[0], "--source", parts, "--save", "out")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 8

    calibrated = pasted(
        "dmdd-edge calibrate --category plate --models-dir 'my models'", "--source", parts / "good", "--yes"
    )
    assert calibrated.startswith("dmdd-edge models show plate")
    pasted(calibrated)
    measured = pasted("dmdd-edge bench --models-dir 'my models' --duration 0.1 --warm-up 0 --scenario single")
    assert measured.startswith("dmdd-edge bench")
    pasted(measured.replace("DIR", str(tmp_path / "data")), "--duration", 0.1, "--warm-up", 0)
