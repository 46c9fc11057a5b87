"""Time a peer's file against dmdd-edge's: interleaved bare calls on the same images, in rounds."""

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

#: Number of rounds; both files are opened again for each.
ROUNDS = 8
#: Minimum calls per round; over all rounds enough for a 90th percentile, which needs 64.
_FEWEST = 8 // 2
#: Maximum extension, as a factor, of a comparison whose interval is wider than 1 %.
_MOST_TIMES = 2


@dataclass(frozen=True)
class Pair:
    """Interleaved times of two files.

    Attributes:
        own, peer: milliseconds of each call.
        ratio: time of the peer over that of dmdd-edge.
        reasons: why the figures are unreliable; else empty.
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
        own: dmdd-edge's file.
        peer: the peer's file.
        images: prepared images, uint8 S x S x 3 BGR, in the same order for both. The conversion to the file's
            input is not timed, although anomalib leaves more of it to the host.
        threads: threads of each session.
        seconds: total of all rounds, unless the minimum number of calls takes longer.

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
