"""Values that no option accepts, and the words for them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from dmdd_edge.cli.main import app
from dmdd_edge.cli.strict import plain


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
