from __future__ import annotations

import pytest

from dmdd_edge.data.spread import spread


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(0, 3, []), (1, 3, [0]), (3, 3, [0, 1, 2]), (3, 9, [0, 1, 2]), (9, 1, [0]), (9, 3, [0, 4, 8])],
)
def test_some_of_many(count: int, most: int, expected: list[int]) -> None:
    assert spread(count, most) == expected


def test_none_stands_twice() -> None:
    for count in range(1, 60):
        for most in range(2, 60):
            found = spread(count, most)
            assert len(set(found)) == len(found) == min(count, most)
            assert (found[0], found[-1]) == (0, count - 1)
