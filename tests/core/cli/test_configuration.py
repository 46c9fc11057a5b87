"""Options from a file and from variables: precedence, what is refused, and what is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from dmdd_edge.cli import configuration
from dmdd_edge.cli.configuration import variable_of
from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.main import app as program
from dmdd_edge.cli.unexpected import without_secrets
from dmdd_edge.errors import DmddError
from dmdd_edge.options import Option, Options
from dmdd_edge.options.model import option_fields

#: Variables that have another meaning than an option.
OTHER_VARIABLES = {
    *("DMDD_DATA", "DMDD_TELEMETRY", "DMDD_TRACEBACK", "DMDD_PROXY", "DMDD_MAX_MEGAPIXELS", "DMDD_CONFIG"),
    *("DMDD_MQTT_USER", "DMDD_MQTT_PASSWORD", "DMDD_RTSP_LOGIN"),
}


def _double(text: str) -> int:
    return 2 * int(text)


@dataclass(frozen=True, kw_only=True)
class Reading(Options):
    source: Annotated[str | None, Option("Source.")] = None
    watch: Annotated[str | None, Option("Folder.")] = None
    save_to: Annotated[Path | None, Option("Folder.")] = None
    rate: Annotated[float | None, Option("Rate.", above=0)] = None
    category: str | None = None
    model: str | None = None
    count: Annotated[int, Option("Count.", minimum=1)] = 3
    twice: Annotated[int, Option("Doubled.", parse=_double)] = 8
    names: Annotated[tuple[str, ...], Option("Names.", name="--name")] = ()
    pair: tuple[str, str] | None = None
    how: Literal["auto", "none"] = "auto"
    fast: Annotated[bool, Option("Fast.", name="--fast/--no-fast")] = True

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (("source", "watch"),)
    ALTERNATIVES: ClassVar[tuple[tuple[str, ...], ...]] = (("category", "model"),)


Call = Callable[..., tuple[str, Reading | None]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs ``read`` in ``tmp_path``: what it printed, and what it received."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer(name="dmdd-edge", pretty_exceptions_enable=False)
    received: list[Reading] = []
    add_command(app, "read", received.append, Reading)
    add_command(app, "train", lambda options: None, Reading)

    def run(*arguments: str) -> tuple[str, Reading | None]:
        received.clear()
        done = CliRunner().invoke(app, ["read", *arguments], prog_name="dmdd-edge")
        if done.exception is not None:
            raise done.exception
        return done.stdout, received[0] if received else None

    return run


def test_the_command_line_wins_over_a_variable_and_that_over_the_file(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.toml").write_text(
        'source = "top"\ncount = 10\nrate = 2\n[read]\ncount = 11\nsave-to = "out"\n[train]\ncount = 12\n'
    )
    monkeypatch.setenv("DMDD_RATE", "7.5")
    monkeypatch.setenv("DMDD_COUNT", "20")
    monkeypatch.setenv("DMDD_SAVE_TO", "")  # empty is not set
    assert call("--config", "run.toml", "--count", "30")[1] == Reading(
        source="top", count=30, rate=7.5, save_to=Path("out")
    )
    monkeypatch.delenv("DMDD_COUNT")
    monkeypatch.setenv("DMDD_CONFIG", "run.toml")
    _, options = call()
    assert options == Reading(source="top", count=11, rate=7.5, save_to=Path("out"))
    assert options.given() == {"source", "count", "rate", "save_to"}


def test_values_of_every_kind(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.toml").write_text(
        'twice = "5"\nname = ["a b", "c"]\npair = ["x", "y"]\nhow = "none"\nfast = false\nrate = 1\n'
    )
    expected = Reading(twice=10, names=("a b", "c"), pair=("x", "y"), how="none", fast=False, rate=1.0)
    assert call("--config", "a.toml")[1] == expected
    for name, text in {
        "TWICE": "5",
        "NAME": "'a b' c",
        "PAIR": "x y",
        "HOW": "none",
        "FAST": "off",
        "RATE": "1",
    }.items():
        monkeypatch.setenv(f"DMDD_{name}", text)
    assert call()[1] == expected
    (tmp_path / "b.toml").write_text("twice = 7\n")  # a number has been read already
    monkeypatch.delenv("DMDD_TWICE")
    _, options = call("--config", "b.toml")
    assert options is not None
    assert options.twice == 7


def test_of_options_that_exclude_each_other_the_nearer_origin_counts(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text('watch = "in"\n')
    monkeypatch.setenv("DMDD_SOURCE", "camera")
    assert call("--config", "a.toml")[1] == Reading(source="camera")
    assert call("--config", "a.toml", "--watch", "other")[1] == Reading(watch="other")
    monkeypatch.setenv("DMDD_CATEGORY", "screw")
    assert call("--model", "m")[1] == Reading(source="camera", model="m")
    assert call("--model", "m", "--category", "c")[1] == Reading(source="camera", model="m", category="c")


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("rate = 1\n\n[read]\ncuont = 3\n", "a.toml, line 4: 'cuont' is not an option of read.", "'count'"),
        ("steps = 3\n", "a.toml, line 1: 'steps' is not an option of read.", "[train]"),
        ("[raed]\ncount = 3\n", "a.toml, line 1: unknown table [raed].", "'read'"),
        ('[read]\n"count" = "3"\n', 'a.toml, line 2: count is "3"; it must be a whole number.', "such as 3"),
        ("count = true\n", "a.toml, line 1: count is true; it must be a whole number.", "whole"),
        ("count = 0\n", "a.toml, line 1: count is 0; it must be at least 1.", "at least 1"),
        ("rate = nan\n", "a.toml, line 1: rate is nan; it must be a finite number.", ""),
        ('how = "aut"\n', "a.toml, line 1: how 'aut' is unknown.", "'auto'"),
        ('fast = "yes"\n', 'a.toml, line 1: fast is "yes"; it must be true or false.', ""),
        ('save_to = "http://h/"\n', "a.toml, line 1: save_to must be a path on this machine", ""),
        ("name = 3\n", "a.toml, line 1: name is 3; it must be a list.", "list"),
        ("count = 1979-05-27\n", "a.toml, line 1: count is 1979-05-27; it must be", ""),
        ("count = \n", "--config a.toml is not TOML: ", "NAME = VALUE"),
        ("\udcff", "--config a.toml, line 1, is not a text in UTF-8.", "UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    call: Call, tmp_path: Path, text: str, message: str, fix: str
) -> None:
    (tmp_path / "a.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DmddError) as caught:
        call("--config", "a.toml")
    assert caught.value.message.startswith(message)
    assert fix in caught.value.fix


def test_a_missing_file_and_a_wrong_variable(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.toml").touch()
    with pytest.raises(DmddError, match=r"--config rum\.toml: there is no such file") as caught:
        call("--config", "rum.toml")
    assert caught.value.fix == "Did you mean 'run.toml'?"
    monkeypatch.setenv("DMDD_COUNT", "many")
    with pytest.raises(DmddError, match='DMDD_COUNT: count is "many"; it must be a whole number'):
        call()


def test_what_is_printed_names_each_origin_and_reads_as_a_file(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text('[read]\nname = ["a\\"b"]\nsource = "rtsp://line:hunter22@cam/x"\n')
    monkeypatch.setenv("DMDD_RATE", "0.5")
    monkeypatch.setenv("DMDD_SAVE_TO", "a\x7fb\u2028c")
    printed, received = call("--config", "a.toml", "--print-config", "--count", "4", "--no-fast")
    assert received is None
    lines = printed.split("\n")
    assert lines[0] == "[read]"
    for line in (
        'source = "rtsp://***@cam/x"  # a.toml, line 3',
        "# watch is not set",
        "rate = 0.5  # DMDD_RATE",
        'save_to = "a\\u007fb\u2028c"  # DMDD_SAVE_TO',
        "count = 4  # command line",
        "# twice = 8  # default",
        'name = ["a\\"b"]  # a.toml, line 2',
        "fast = false  # command line",
    ):
        assert line in lines
    monkeypatch.delenv("DMDD_RATE")
    monkeypatch.delenv("DMDD_SAVE_TO")
    (tmp_path / "b.toml").write_text(printed, encoding="utf-8")
    assert call("--config", "b.toml")[1] == Reading(
        source="rtsp://***@cam/x",
        save_to=Path("a\x7fb\u2028c"),
        rate=0.5,
        count=4,
        names=('a"b',),
        fast=False,
    )


def test_a_secret_of_a_file_or_a_variable_is_in_no_message(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "secrets", set())
    monkeypatch.setenv("DMDD_SOURCE", "rtsp://line:hunter22@cam/x")
    call()
    assert without_secrets("cannot log in as line with hunter22", ["run"]) == "cannot log in as line with ***"


def test_no_option_has_a_variable_of_another_meaning() -> None:
    root: Any = get_command(program)
    commands = [*root.commands.values(), *root.commands["models"].commands.values()]
    models = [command.callback.model for command in commands]
    variables = {variable_of(field) for model in models for field in option_fields(model)}
    assert variables & OTHER_VARIABLES == set()
    assert {"DMDD_SOURCE", "DMDD_DATA_DIR", "DMDD_CAMERA_CONTROL", "DMDD_STEPS"} <= variables


def test_every_command_has_a_configuration_file() -> None:
    def lacking(command: Any) -> list[str]:
        inner = [name for below in getattr(command, "commands", {}).values() for name in lacking(below)]
        named = {option for parameter in command.params for option in parameter.opts}
        return inner if {"--config", "--print-config"} <= named else [*inner, command.name]

    root: Any = get_command(program)
    assert [name for command in root.commands.values() for name in lacking(command)] == []
