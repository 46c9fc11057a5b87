"""A peer's file against dmdd-edge's: bare calls in turns, on the same images, in rounds of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.bench.interleave import interleave
from dmdd_edge.runtime.bench.statistics import Ratio
from dmdd_edge.runtime.bench.timing import Bench, Plan, Query
from peers.files import File

#: Both files are opened anew for each round.
ROUNDS = 8
#: Calls of each in a round at least; in all rounds enough for a 90th percentile, which takes 64.
_FEWEST = 8 // 2
#: A comparison goes on until its interval is within 1 % of it, so many times as long at most.
_MOST_TIMES = 2


@dataclass(frozen=True)
class Pair:
    """Two files that took turns.

    Attributes:
        own, peer: milliseconds of each call.
        ratio: how many times as long the peer takes as dmdd-edge.
        reasons: why the figures cannot be relied on; empty when nothing was seen.
    """

    own: NDArray[np.float64]
    peer: NDArray[np.float64]
    ratio: Ratio
    reasons: list[str]


def time_pair(
    own: File, peer: File, images: Sequence[NDArray[np.uint8]], threads: int, seconds: float
) -> Pair:
    """Time two files.

    Args:
        own: dmdd-edge's.
        peer: the other.
        images: prepared, uint8 S x S x 3 BGR; both take them in the same order. What turns them into the
            input that a file takes is not timed, though anomalib leaves more of that to the host.
        threads: of either session.
        seconds: of all rounds together, unless the calls that are needed take longer.

    Raises:
        DmddError: a file cannot be opened.
    """
    files = (own, peer)
    given = [[file.form.to_input(image) for image in images] for file in files]

    @contextmanager
    def open_sides(forwards: bool) -> Iterator[list[Query]]:
        order = (0, 1) if forwards else (1, 0)
        sessions = {index: files[index].open(threads) for index in order}
        yield [_query(files[index], sessions[index], given[index]) for index in (0, 1)]

    plan = Plan(seconds, _FEWEST, warm_up_seconds=0.3, warm_up_count=4)
    turns = interleave(open_sides, plan, Bench(), _MOST_TIMES, ROUNDS)
    return Pair(turns.values(0), turns.values(1), turns.ratio, turns.interference.texts)


def _query(file: File, session: Any, given: Sequence[NDArray[Any]]) -> Query:
    def query(number: int) -> dict[str, float]:
        image = given[number % len(given)]
        began = time.perf_counter()
        file.call(session, image)
        return {"call": 1000 * (time.perf_counter() - began)}

    return query
