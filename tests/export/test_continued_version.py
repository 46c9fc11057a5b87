"""The version of a continued run waits beside the one in use, until someone switches."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dmdd_edge.bundle.versions import read_current, version_names
from dmdd_edge.cli.main import app
from dmdd_edge.sample import write_sample


def called(*words: object) -> Result:
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, (words, done.stderr, done.exception)
    return done


def last(done: Result) -> list[str]:
    """The words of the command that a result names."""
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("next: dmdd-edge ")
    return shlex.split(line.removeprefix("next: dmdd-edge "))


@pytest.mark.slow
@pytest.mark.usefixtures("graphs_once")
@pytest.mark.long
def test_from_more_images_to_the_switch(copied: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    copied.folder.rename(tmp_path / "runs" / "plate")
    write_sample(tmp_path / "more", train=4, test_good=0, test_bad=0, size=64, seed=73)
    folder, test = tmp_path / "models" / "plate", tmp_path / "data" / "plate" / "test"

    called("export", "--category", "plate", "--target", "onnx")
    first = read_current(folder)
    trained = called("train", "--continue", "plate", "--add", tmp_path / "more", "--steps", 1)
    assert last(trained) == ["export", "--category", "plate", "--run", "plate-2"]
    exported = called(*last(trained), "--target", "onnx")
    second = next(name for name in version_names(folder) if name != first)
    assert read_current(folder) == first
    assert f"models use plate {second}" in exported.stderr
    words = last(exported)
    assert words == ["compare", "plate", f"plate@{second}", "--good", "DIR", "--known-bad", "DIR"]
    (tmp_path / "bad").mkdir()
    for kind in ("dent", "chip"):
        (test / kind).rename(tmp_path / "bad" / kind)
    words[words.index("DIR")] = str(test / "good")
    words[words.index("DIR")] = str(tmp_path / "bad")
    compared = called(*words, "--backend", "cpu")
    assert last(compared) == ["models", "use", "plate", second]
    called(*last(compared))
    assert read_current(folder) == second

    third = called("export", "--run", "plate-2", "--target", "onnx", "--use")
    assert last(third)[0] == "run"
    assert read_current(folder) not in (first, second)
