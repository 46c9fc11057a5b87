"""Every option of every command refuses odd values with one message: no traceback, no endless loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from typer.main import get_command

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cli import main as program
from dmdd_edge.errors import DmddError

ROOT: Any = get_command(program.app)
ENOUGH = "the work would begin here"
#: Values that no number can have, and numbers at the edge of what is meant.
NOT_NUMBERS = ("nan", "inf", "-inf", "1e400", "text", "", "0x10", "1,5", "9" * 5000)
EDGES = ("-1", "0", "-0.5", "2", "1e30", "9" * 30)
#: Odd texts for options that take text: paths, names, addresses, sizes, lists.
TEXTS = (
    "",
    " ",
    "-",
    "0:0",
    "\udcff",
    "x" * 300,
    "../..",
    "rtsp://u:hunter2@[",
    "99999x99999",
    "-1MB",
    "1" * 40,
)
#: What each command needs to get as far as its options' values.
NEEDED = {
    "sample": ["DRAWN", "--train", "1", "--test-good", "0", "--test-bad", "0", "--size", "64"],
    "collect": ["--source", "pictures", "--into", "set"],
    "train": ["--data", "data", "--steps", "1", "--image-size", "64", "--device", "cpu"],
    "evaluate": [],
    "export": ["--target", "onnx"],
    "calibrate": ["--source", "pictures", "--backend", "cpu"],
    "run": ["--source", "pictures", "--backend", "cpu"],
    "bench": ["--source", "pictures", "--backend", "cpu"],
    "models": [],
    "station": [],
    "doctor": [],
    "compare": ["plate", "plate", "--good", "pictures", "--backend", "cpu"],
    "challenge": [],
    "review": ["kept"],
    "drift": ["results.jsonl"],
    "judge": ["--source", "pictures", "--into", "results.parquet", "--backend", "cpu"],
}
#: What gives a meaning to an option that has none by itself.
BESIDE = {
    "--video-fps": ["--video", "v.webm"],
    "--save-size": ["--save", "out"],
    "--save-format": ["--save", "out"],
    "--rotate-size": ["--jsonl", "r.jsonl"],
    "--keep": ["--jsonl", "r.jsonl"],
    "--fsync": ["--jsonl", "r.jsonl"],
    "--notify": ["--webhook", "http://127.0.0.1:1/"],
    "--spool": ["--webhook", "http://127.0.0.1:1/"],
    "--spool-limit": ["--webhook", "http://127.0.0.1:1/"],
    "--webhook-secret-env": ["--webhook", "http://127.0.0.1:1/"],
    "--webhook-token-env": ["--webhook", "http://127.0.0.1:1/"],
    "--serve-token-env": ["--serve", "127.0.0.1:0"],
    "--head-steps": ["--head", "msn"],
    "--triton-dir": ["--target", "onnx,triton"],
    "--precision": ["--target", "auto"],
    "--batch": ["--target", "auto"],
    "--workspace": ["--target", "auto"],
    "--opt-level": ["--target", "auto"],
    "--gpu": ["--target", "auto"],
}


#: Where the work of a command begins; what would take long ends there at once.
WORK = {
    "sample": ["sample.write_sample"],
    "train": ["train.session.train"],
    "export": ["export.export_bundle.choose_targets"],
    "calibrate": ["runtime.detector.Detector.load"],
    "run": ["runtime.detector.Detector.load"],
    "bench": ["runtime.bench.measure.circumstances"],
    "doctor": ["runtime.doctor.examination.examine"],
}


def options(numbers: bool) -> Iterator[tuple[str, str]]:
    """Every command with each of its options that takes a number, or with each that takes something else."""
    for name, command in ROOT.commands.items():
        for parameter in command.params:
            named = [option for option in parameter.opts if option.startswith("--")]
            if named and not getattr(parameter, "is_flag", False) and parameter.nargs == 1:
                kind = str(getattr(parameter, "type", "")) + parameter_kind(parameter)
                if numbers == any(word in kind.lower() for word in ("int", "float")):
                    yield name, named[0]


def parameter_kind(parameter: Any) -> str:
    """What the parameter takes, in whatever way this version of typer keeps it."""
    descriptor = getattr(parameter, "type_descriptor", None)
    return "" if descriptor is None else str(descriptor.annotation)


def test_there_are_options_of_both_kinds() -> None:
    assert ("run", "--fps") in set(options(numbers=True))
    assert ("run", "--source") in set(options(numbers=False))
    assert len(list(options(numbers=True))) > 35
    assert len(list(options(numbers=False))) > 60
    assert set(NEEDED) >= set(ROOT.commands)


def refused(command: str, option: str, value: str) -> bool:
    """Whether the program's own parser refuses a value, as its usage error."""
    with ROOT.make_context("dmdd-edge", [command]) as context:
        found = ROOT.get_command(context, command)
        try:
            found.make_context(command, [option, value], parent=context)
        except Exception as error:
            usage = getattr(error, "exit_code", None) == 2
            return usage and "Invalid value" in error.format_message()  # type: ignore[attr-defined]
    return False


@pytest.mark.parametrize("value", [*NOT_NUMBERS, "\0", "x" * 5000])
def test_what_is_no_number_is_refused_where_it_is_read(value: str) -> None:
    taken = [name for name in options(numbers=True) if not refused(*name, value)]
    assert taken == []


@pytest.mark.parametrize("value", ["a\0b", "x" * 5000])
def test_a_text_that_can_name_nothing_is_refused_where_it_is_read(value: str) -> None:
    taken = [name for name in options(numbers=False) if not refused(*name, value)]
    assert taken == []


def test_an_address_is_no_path() -> None:
    paths = [
        (name, parameter.opts[0])
        for name, command in ROOT.commands.items()
        for parameter in command.params
        if "Path" in parameter_kind(parameter) and parameter.opts[0].startswith("--")
    ]
    assert ("models", "--models-dir") in paths
    assert ("evaluate", "--report") in paths
    for value in ("rtsp://u:hunter2@host/x", "file:///models", "rtsp:/u:hunter2@host"):
        assert [name for name in paths if not refused(*name, value)] == []
    assert not refused("run", "--source", "rtsp://u:hunter2@host/x")
    assert not refused("run", "--save", "out:/x")


@pytest.fixture
def place(
    command: str, write_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with a bundle, pictures and a data set, where a command ends before its work begins."""
    write_bundle("plate")
    for folder in ("pictures", "data/plate/train/good"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(4):
            image = np.full((64, 64, 3), 60 * number, np.uint8)
            cv2.imwrite(str(tmp_path / folder / f"{number}.png"), image)
    # Deep in the folder of the test, so that ``../..`` leads to nothing but its own files.
    inside = tmp_path / "line" / "cell"
    inside.mkdir(parents=True)
    for folder in ("models", "pictures", "data"):
        (tmp_path / folder).rename(inside / folder)
    monkeypatch.chdir(inside)
    monkeypatch.setattr(program, "build_app", lambda names: ROOT)  # built once

    def enough(*_: object, **__: object) -> Any:
        raise DmddError(ENOUGH)

    for name in WORK.get(command, ()):
        monkeypatch.setattr(f"dmdd_edge.{name}", enough)
    return inside


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(NEEDED))
def test_odd_values_end_in_one_message(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [(option, value) for name, option in options(True) if name == command for value in EDGES]
    odd += [(option, value) for name, option in options(False) if name == command for value in TEXTS]
    for option, value in odd:
        monkeypatch.setattr(
            sys, "argv", ["dmdd-edge", command, *NEEDED[command], *BESIDE.get(option, []), option, value]
        )
        try:
            program.main()
            code: object = 0
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr().err
        assert code in (0, 1, 2), (option, value, said)
        assert "Unexpected error" not in said, (option, value, said)
        assert "Traceback" not in said, (option, value, said)
        assert "hunter2" not in said, (option, value, said)
        if code == 1:
            assert said.count("error: ") == 1, (option, value, said)


def test_the_check_itself_sees_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = typer.Typer()

    @broken.command()
    def fail() -> None:
        raise ValueError("of no kind that is expected")

    monkeypatch.setattr(program, "build_app", lambda names: broken)
    monkeypatch.setattr(sys, "argv", ["dmdd-edge"])
    with pytest.raises(SystemExit):
        program.main()
    assert "Unexpected error" in capsys.readouterr().err
