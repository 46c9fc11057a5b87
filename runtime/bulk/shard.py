"""A shard: consecutive images of the list that one process works on, and its rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmdd_edge.runtime.bulk.images import Images, ShardSource
from dmdd_edge.runtime.bulk.rows import Row, broken_row, error_row, result_row
from dmdd_edge.runtime.frame import BrokenFrame

if TYPE_CHECKING:
    from dmdd_edge.runtime.detector import Detector

#: How often a process says how far it is, in seconds.
_SAYS_EVERY = 1.0


@dataclass
class Shard:
    """Consecutive images of the list.

    Attributes:
        first: the index of the first one.
        names: of them.
        deaths: how many processes ended while they worked on it.
        last_at: the image that the last of them worked on, where that is known.
        fatal: images at which processes ended repeatedly, by index: why.
    """

    first: int
    names: list[str]
    deaths: int = 0
    last_at: int | None = None
    fatal: dict[int, str] = field(default_factory=dict)

    @property
    def careful(self) -> bool:
        """Whether to work on one image at a time, so that it is known which one ends a process."""
        return self.deaths > 1


def decide_shard(
    detector: Detector,
    images: Images,
    shard: Shard,
    stopping: Callable[[], bool],
    at: Callable[[int, int], None],
) -> list[Row]:
    """The rows of a shard, or of its beginning.

    Args:
        detector: decides.
        images: where the images are.
        shard: which ones.
        stopping: whether to end after the images that are under way.
        at: called with the index of the image that comes next and the number of those that are done; before
            each image of a careful shard, else now and then.

    Returns:
        One row for each image, from the first one on, without a gap.

    Raises:
        BackendError: the backend failed.
    """
    if shard.careful:
        return _one_by_one(detector, images, shard, stopping, at)
    rows: dict[int, Row] = {}
    source = ShardSource(images, shard.names, shard.first)
    said = time.monotonic()

    def keep(index: int, row: Row) -> None:
        nonlocal said
        rows[index] = row
        if time.monotonic() - said > _SAYS_EVERY:
            said = time.monotonic()
            at(shard.first + len(rows), len(rows))
        if stopping():
            source.stop()

    def broken(frame: BrokenFrame) -> None:
        keep(frame.index, broken_row(frame))

    for result in detector.stream(source, on_error=broken):
        keep(result.index, result_row(result))
    whole: list[Row] = []
    # An image that cannot be read overtakes those ahead of it.
    while (row := rows.get(shard.first + len(whole))) is not None:
        whole.append(row)
    return whole


def _one_by_one(
    detector: Detector,
    images: Images,
    shard: Shard,
    stopping: Callable[[], bool],
    at: Callable[[int, int], None],
) -> list[Row]:
    rows: list[Row] = []
    for index, name in enumerate(shard.names, shard.first):
        if index in shard.fatal:
            rows.append(error_row(f"{images.name}/{name}", index, shard.fatal[index]))
            continue
        at(index, len(rows))
        single = Shard(index, [name])
        rows += decide_shard(detector, images, single, lambda: False, lambda index, done: None)
        if stopping():
            break
    return rows
