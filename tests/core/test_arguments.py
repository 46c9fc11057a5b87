"""Arguments of a wrong type: one error that names the argument, its value and what is expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dmdd_edge
from dmdd_edge.arguments import ArgumentError, check_callable, check_count, checked_number, checked_path
from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.backends.selection import select
from dmdd_edge.runtime.detector_stream import check_stream

NOT_PATHS: list[Any] = [None, 5, b"x", ["a"], Path]


@pytest.mark.parametrize("value", NOT_PATHS)
def test_what_is_not_a_path_is_named(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^path is .*; it must be a path") as caught:
        checked_path("path", value)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, OptionError)


@pytest.mark.parametrize("value", ["", "a\0b", Path("a\0b"), "x" * 256, "é" * 128, "x/" * 2048])
def test_what_no_path_can_be_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match=r"^path "):
        checked_path("path", value)


def test_the_longest_paths_are_accepted() -> None:
    for text in ("x" * 255, "x/" * 2047 + "x", "odd\udcff"):
        assert checked_path("path", text) == Path(text)


def test_numbers_are_checked() -> None:
    assert checked_number("threshold", np.float32(0.5), 0, 1) == 0.5
    assert checked_number("threshold", 1, 0, 1) == 1.0
    for value in ("0.5", True, None, [0.5]):
        with pytest.raises(ArgumentError, match=r"threshold is .* must be a number in 0..1"):
            checked_number("threshold", value, 0, 1)
    for number in (1.1, -0.1, float("nan")):
        with pytest.raises(OptionError, match=r"it must be in 0..1"):
            checked_number("threshold", number, 0, 1)
    check_count("limit", None, 1)
    check_count("limit", np.int64(1), 1)
    for count in ("a", 1.5, True, 0, -1):
        with pytest.raises(OptionError, match=r"^limit is"):
            check_count("limit", count, 1)


def test_long_values_are_left_out() -> None:
    with pytest.raises(ArgumentError, match=r"^say is a str; it must be a function\.\n"):
        check_callable("say", "x" * 100)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: dmdd_edge.Detector.load(5), "path"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.Bundle.load(None), "path"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.Detector.load("x" * 5000), "path"),
        (lambda: select(None, None), "backend"),  # type: ignore[arg-type]
        (lambda: select(None, "auto", {}), "options"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.open_source(5), "source"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.open_source("a", 5), "options"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.run_source(None), "options"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.train_detector(None), "options"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.export_bundle(dmdd_edge.ExportOptions(), 5), "progress"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.evaluate_detector({}), "options"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.write_sample(5), "folder"),  # type: ignore[arg-type]
        (lambda: dmdd_edge.write_sample("a", train="5"), "train"),  # type: ignore[arg-type]
    ],
)
def test_the_public_functions_name_the_argument(call: Any, name: str) -> None:
    with pytest.raises(OptionError, match=rf"^{name} "):
        call()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("source", value) for value in (None, 5, b"a", [np.zeros(1)])),
        *(("limit", value) for value in ("a", -1, 1.5)),
        *(("options", 5), ("on_error", 5)),
    ],
)
def test_a_stream_names_the_argument(name: str, value: Any) -> None:
    arguments = {"source": "a", "options": None, "limit": None, "on_error": None, name: value}
    with pytest.raises(OptionError, match=rf"^{name} is"):
        check_stream(**arguments)
