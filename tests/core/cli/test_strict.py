"""Values that no option accepts, and the words for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dmdd_edge.cli.main import COMMANDS, app
from dmdd_edge.cli.strict import plain
from dmdd_edge.train.config import make_config


@pytest.mark.parametrize(
    ("message", "value", "words"),
    [
        (
            "Input should be a valid integer, unable to parse string as an integer",
            "thirty",
            "'thirty' is not a whole number.",
        ),
        ("'thirty' is not a valid integer.", "thirty", "'thirty' is not a whole number."),
        ("Input should be a valid number, unable to parse", "abc", "'abc' is not a number."),
        ("Input should be greater than or equal to 1", "0", "'0' is too small: at least 1."),
        ("Input should be less than or equal to 1024", ["2000"], "The value is too large: at most 1024."),
        (
            "Value error, 'grabcat' is not one of 'auto', 'grabcut'.",
            "grabcat",
            "'grabcat' is unknown. Did you mean 'grabcut'? Choose one of auto, grabcut.",
        ),
        ("Value error, something else", "x", "something else"),
    ],
)
def test_a_wrong_value_is_named_in_plain_words(message: str, value: object, words: str) -> None:
    assert plain(message, value) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train --steps thirty", "'thirty' is not a whole number"),
        ("train --foreground grabcat", "Did you mean 'grabcut'?"),
        ("run --threshold abc", "'abc' is not a number"),
        ("run --limit 0", "'0' is too small: at least 1"),
    ],
)
def test_the_commands_say_it(line: str, words: str) -> None:
    done = CliRunner().invoke(app, line.split(), env={"COLUMNS": "400", "TERMINAL_WIDTH": "400"})
    assert done.exit_code == 2
    assert words in done.output


@pytest.mark.parametrize("command", ["", *COMMANDS, "models use"])
def test_a_switch_shows_no_value_in_the_help(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"}).output
    assert "--help " in shown
    assert "<bool>" not in shown
    assert "<int>" not in shown


def test_the_help_of_train_names_the_defaults_and_explains_the_recipes() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "400"}).output
    method = shown.partition("ablation rows")[2]
    assert "--branches" in method
    assert "--nuisances" not in method
    assert "--foreground" not in method
    assert "VisA" in shown
    assert "Default: 8; with --recipe paper 16." in " ".join(shown.split())
    config = make_config("edge", data=Path(), category="")
    paper = make_config("paper", data=Path(), category="")
    assert (config.batch_size, config.lr, config.head_steps, config.model.head) == (8, 0.002, 400, "scaled")
    assert (paper.batch_size, paper.lr, paper.epochs, paper.model.head) == (16, 0.005, 250, "msn")
