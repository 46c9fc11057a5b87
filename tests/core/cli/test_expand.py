"""A model of options becomes the parameters of a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.main import app as program
from dmdd_edge.errors import DmddError
from dmdd_edge.options import Option, Options


def _double(text: str) -> int:
    return 2 * int(text)


@dataclass(frozen=True, kw_only=True)
class Drawing(Options):
    folder: Annotated[Path, Option("Where to.", argument=True, metavar="DIR")]
    count: Annotated[int, Option("How many.", short="-n", minimum=1)] = 3
    seeds: Annotated[tuple[int, ...], Option("Seeds.")] = ()
    twice: Annotated[int, Option("Doubled.", parse=_double, earlier=("--two",))] = 20
    upsampling: Annotated[bool | None, Option("PU.", name="--pu/--no-pu")] = None
    fast: Annotated[bool, Option("Faster.", panel="Speed")] = False
    slow: bool = False

    EXCLUSIVE = (("fast", "slow"),)


Call = Callable[..., "tuple[int, str, list[Drawing]]"]


@pytest.fixture
def call() -> Call:
    """Runs the command line of ``Drawing``: exit code, output, and what the command received."""
    received: list[Drawing] = []
    app = typer.Typer(pretty_exceptions_enable=False)

    def draw(options: Drawing) -> None:
        """Draw something.

        The width of the terminal
        breaks the lines.
        """
        received.append(options)

    add_command(app, "draw", draw, Drawing)

    def run(*arguments: str) -> tuple[int, str, list[Drawing]]:
        received.clear()
        outcome = CliRunner().invoke(app, [*arguments], catch_exceptions=True)
        if isinstance(outcome.exception, DmddError):
            raise outcome.exception
        return outcome.exit_code, outcome.output, received

    return run


def test_the_command_receives_one_object(call: Call) -> None:
    code, _, (options,) = call(
        "out", "-n", "5", "--seeds", "1", "--seeds", "2", "--twice", "4", "--no-pu", "--fast"
    )
    assert code == 0
    assert options == Drawing(folder=Path("out"), count=5, seeds=(1, 2), twice=8, upsampling=False, fast=True)
    assert options.given() == {"folder", "count", "seeds", "twice", "upsampling", "fast"}


def test_what_is_not_given_has_the_default_of_the_model(call: Call) -> None:
    code, _, (options,) = call("out")
    assert code == 0
    assert options == Drawing(folder=Path("out"))
    assert options.given() == {"folder"}


def test_the_help_shows_what_the_model_declares(call: Call) -> None:
    shown = " ".join(call("--help")[1].split())
    for words in ("Draw something.", "DIR", "How many.", "Speed", "Faster.", "--no-pu", "[default: 3]", "-n"):
        assert words in shown
    assert "--two" not in shown
    assert "--no-fast" not in shown
    assert "The width of the terminal breaks the lines." in call("--help")[1]


def test_values_of_an_option_are_completed() -> None:
    root: Any = get_command(program)
    assert {"--install-completion", "--show-completion"} <= {
        name for item in root.params for name in item.opts
    }
    run = root.commands["run"]
    context = run.context_class(run)
    completed = {
        item.name: [found.value for found in item.shell_complete(context, text)]
        for item in run.params
        for name, text in (("fsync", ""), ("backend", "c"), ("notify", "an"))
        if item.name == name
    }
    assert completed == {
        "fsync": ["never", "second", "always"],
        "backend": ["cuda", "cpu"],
        "notify": ["anomalous"],
    }


def test_a_number_out_of_its_range_is_a_usage_error(call: Call) -> None:
    code, output, received = call("out", "--count", "0")
    assert (code, received) == (2, [])
    assert "--count" in output


def test_options_that_exclude_each_other_are_a_usage_error(call: Call) -> None:
    code, output, received = call("out", "--fast", "--slow")
    assert (code, received) == (2, [])
    assert "--fast and --slow exclude each other." in " ".join(output.replace("│", " ").split())


def test_an_earlier_spelling_works_with_one_warning(call: Call) -> None:
    code, output, (options,) = call("out", "--two", "4")
    assert (code, options.twice) == (0, 8)
    assert output.count("--two is now --twice") == 1
    assert "twice" in options.given()
    assert call("out", "--two", "4", "--twice", "3")[0] == 2
