"""The scenario ``offline``: as many images a second as can be, by batch size."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.backends import OverlappingBackend
from dmdd_edge.runtime.bench.latency import host_call
from dmdd_edge.runtime.bench.pictures import Pictures
from dmdd_edge.runtime.bench.subject import Subject
from dmdd_edge.runtime.bench.timing import Bench, Plan, Series

#: Batch sizes that are tried unless others are asked for.
SWEEP = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Offline:
    """The throughput of a batch size.

    Attributes:
        batch: images in a batch.
        series: what was measured; None where it could not be.
        reason: why not; empty otherwise.
    """

    batch: int
    series: Series | None
    reason: str = ""


def parse_batches(text: str) -> tuple[int, ...]:
    """Read ``1,8,16``.

    Raises:
        DmddError: it is no list of batch sizes.
    """
    try:
        sizes = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        sizes = ()
    if not sizes or not all(1 <= size <= 1024 for size in sizes):
        raise OptionError(
            f"--batches {text}: not a list of batch sizes.", "Whole numbers from 1 to 1024, such as 1,8,16."
        )
    return sizes


def sweep(
    subject: Subject, pictures: Pictures, batches: Sequence[int], plan: Plan, bench: Bench
) -> list[Offline]:
    """Measure the throughput of each batch size, on prepared images; they share the plan's seconds.

    A back end that can works on one batch while the next is handed over.

    Raises:
        DmddError: the back end failed.
    """
    largest = subject.stopwatch.largest_batch
    share = Plan(plan.seconds / len(batches), plan.fewest, plan.warm_up_seconds / len(batches), 2)
    rows: list[Offline] = []
    for batch in batches:
        if bench.stop():
            rows.append(Offline(batch, None, "stopped"))
        elif largest is not None and batch > largest:
            rows.append(Offline(batch, None, f"the engine takes at most {largest} at once"))
        else:
            series = _measure(subject, pictures, batch, share, bench)
            rows.append(Offline(batch, series) if series.count else Offline(batch, None, "stopped"))
    return rows


def best(rows: Sequence[Offline]) -> Offline | None:
    """The batch size with the highest throughput; None when nothing was measured."""
    measured = [row for row in rows if row.series is not None]
    return max(measured, key=lambda row: row.series.throughput if row.series else 0.0, default=None)


def _measure(subject: Subject, pictures: Pictures, batch: int, plan: Plan, bench: Bench) -> Series:
    backend = subject.stopwatch.backend
    if not isinstance(backend, OverlappingBackend) or backend.slots < 2:
        return bench.repeat(host_call(subject, pictures, batch), plan, batch)
    prepared = pictures.prepared(subject.bundle.manifest)
    under_way: deque[Any] = deque()

    def query(number: int) -> Mapping[str, float]:
        if len(under_way) == backend.slots:
            backend.collect(under_way.popleft())
        start = number * batch
        under_way.append(
            backend.submit(prepared[[index % len(pictures) for index in range(start, start + batch)]])
        )
        return {}

    try:
        series = bench.repeat(query, plan, batch)
        began = bench.clock.now()
        while under_way:
            backend.collect(under_way.popleft())
        series.seconds += bench.clock.now() - began  # what was counted must be finished, too
        return series
    finally:
        while under_way:
            backend.collect(under_way.popleft())
