"""A small share of ``python tests/fuzz``, the same seeds each time; a failure names its seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import LOCALES, fuzz_addresses, fuzz_command_lines, fuzz_pictures, fuzz_trees


@pytest.mark.slow
def test_no_data_set_is_misread(tmp_path: Path) -> None:
    assert fuzz_trees(range(150), tmp_path) == []


def test_no_picture_is_misread(tmp_path: Path) -> None:
    assert fuzz_pictures(range(150), tmp_path) == []


def test_no_address_crashes_or_shows_its_password() -> None:
    assert fuzz_addresses(range(200)) == []


#: These take seconds a line; the large run has them.
_SLOW = ("bench", "doctor", "evaluate", "export", "train")


@pytest.mark.slow
@pytest.mark.parametrize("locale", LOCALES)
def test_no_command_line_ends_in_a_traceback_or_never(world: Path, locale: str) -> None:
    first = 10 * list(LOCALES).index(locale)
    assert fuzz_command_lines(range(first, first + 10), world, locale, without=_SLOW) == []
