"""Each refusal of a model reads as a sentence of this program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.validation import in_words
from dmdd_edge.train.config import make_config


class _Inner(BaseModel):
    pass


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    low: int = Field(1, ge=1)
    high: float = Field(1, lt=2, allow_inf_nan=False)
    name: Literal["a", "b"] = "a"
    flag: bool = False
    text: Annotated[str, Field(min_length=2)] = "ab"
    place: Path = Path()
    pair: tuple[int, ...] = ()
    inner: _Inner = _Inner()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"low": 0}, "must be at least 1"),
        ({"low": "x"}, "must be a whole number"),
        ({"high": 2.0}, "must be less than 2.0"),
        ({"high": float("nan")}, "must be a finite number"),
        ({"name": "c"}, "must be 'a' or 'b'"),
        ({"flag": "maybe"}, "must be true or false"),
        ({"text": 1}, "must be a text"),
        ({"text": "a"}, "must have at least 2 characters"),
        ({"pair": 5}, "must be a list"),
        ({"inner": 5}, "must be an object"),
        ({"other": 5}, "is unknown"),
    ],
)
def test_a_refusal_is_a_predicate(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _Model(**values)
    assert in_words(caught.value.errors()[0]) == words  # type: ignore[arg-type]


def test_a_training_names_the_value() -> None:
    with pytest.raises(OptionError) as caught:
        make_config("edge", data=Path("a"), category="a", steps=0)
    assert caught.value.message == "Invalid training configuration: steps is 0; it must be at least 1."
