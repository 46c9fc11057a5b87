"""A model of options checks its values, whoever builds it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.options import Option, Options, UsageError, needs
from dmdd_edge.options.model import option_fields


def _size(text: str) -> int:
    number, unit = text[:-2], text[-2:]
    if unit != "kB" or not number.isdecimal():
        raise DmddError(f"--limit is {text}; it must be like 5kB.")
    return 1000 * int(number)


@dataclass(frozen=True, kw_only=True)
class Saving(Options):
    save: Annotated[Path | None, Option("Folder.")] = None
    size: Annotated[int | None, Option("Pixels.", minimum=64, maximum=4096)] = None
    kind: Annotated[str, Option("Format.", choices=("png", "jpg"))] = "png"

    RULES = (needs(("size", "kind"), "save"),)


@dataclass(frozen=True, kw_only=True)
class Reading(Options):
    source: Annotated[str | None, Option("Where frames are from.")] = None
    watch: Annotated[str | None, Option("Folder.")] = None
    camera_fps: Annotated[float | None, Option("Rate.", above=0)] = None
    sizes: Annotated[tuple[int, ...], Option("Sizes.", name="--size-of", parse=_size)] = ()
    pair: tuple[str, str] | None = None
    how: Literal["auto", "none"] = "auto"
    quiet: bool = False

    EXCLUSIVE = (("source", "watch"),)


@dataclass(frozen=True, kw_only=True)
class Both(Saving, Reading):
    """The groups of both."""

    limit: Annotated[int | None, Option("At most.", minimum=1)] = None


def test_values_become_their_types_where_nothing_is_lost() -> None:
    both = Both(save="out", camera_fps=3, sizes=["2kB", 7], pair=["a", "b"], size=np.int64(64))  # type: ignore[arg-type]
    assert both.save == Path("out")
    assert (both.camera_fps, type(both.camera_fps)) == (3.0, float)
    assert both.sizes == (2000, 7)
    assert both.pair == ("a", "b")
    assert (both.size, type(both.size)) == (64, int)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit": "3"}, '--limit is "3"; it must be a whole number.'),
        ({"limit": 2.5}, "--limit is 2.5; it must be a whole number."),
        ({"limit": True}, "--limit is true; it must be a whole number."),
        ({"limit": 0}, "--limit is 0; it must be at least 1."),
        ({"quiet": 1}, "--quiet is 1; it must be true or false."),
        ({"camera_fps": 0}, "--camera-fps is 0; it must be more than 0."),
        ({"camera_fps": float("nan")}, "--camera-fps is nan; it must be a finite number."),
        ({"save": "s", "size": 5000}, "--size is 5000; it must be at most 4096."),
        ({"save": 3}, "--save is 3; it must be a path."),
        ({"save": "rtsp://u:p@h/"}, "--save must be a path on this machine, not an address."),
        ({"source": "a\0"}, "--source contains a NUL byte."),
        ({"source": "x" * 5000}, "--source has 5000 characters; at most 4096 are allowed."),
        ({"sizes": ["2MB"]}, "--limit is 2MB; it must be like 5kB."),
        ({"pair": ("a",)}, '--pair is ["a"]; it must be a list of 2.'),
        ({"how": "aut"}, "--how 'aut' is unknown."),
        ({"save": "s", "kind": "pngg"}, "--kind 'pngg' is unknown."),
        ({"size": 64}, "--size has no effect without --save."),
    ],
)
def test_a_value_that_does_not_fit_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DmddError) as caught:
        Both(**values)
    assert caught.value.message.startswith(message)


def test_an_unknown_choice_is_answered_with_the_nearest() -> None:
    with pytest.raises(DmddError) as caught:
        Both(save=Path("s"), kind="pngg")
    assert caught.value.fix == "Did you mean 'png'? Choose one of png, jpg."


def test_options_that_exclude_each_other_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--source and --watch exclude each other"):
        Both(source="a", watch="b")


def test_an_option_given_with_its_default_is_given() -> None:
    assert Both(kind="png").given() == frozenset()
    assert Both(limit=3).given() == {"limit"}
    with pytest.raises(DmddError, match="--kind has no effect without --save"):
        Both.build({"kind": "png"}, frozenset({"kind"}))
    assert Both.build({"limit": 3}, frozenset({"limit", "quiet"})).given() == {"limit", "quiet"}


def test_the_fields_of_groups_come_in_the_order_of_their_declaration() -> None:
    names = [field.name for field in option_fields(Both)]
    assert names == [
        *("source", "watch", "camera_fps", "sizes", "pair", "how", "quiet", "save", "size", "kind", "limit")
    ]
    assert {field.name: field.spelling for field in option_fields(Both)}["sizes"] == "--size-of"


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Both().limit = 3  # type: ignore[misc]


def test_a_group_takes_its_values_from_a_model_and_others_from_the_caller() -> None:
    @dataclass
    class Lower:
        source: str
        camera_fps: float | None
        slots: int

    both = Both(source="a", camera_fps=2.0, limit=4)
    assert both.pick(Lower, slots=2) == Lower("a", 2.0, 2)
    assert both.pick(Lower, slots=2, source="b") == Lower("b", 2.0, 2)
