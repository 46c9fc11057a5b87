"""The scenarios with queries back to back: ``single`` and ``multi`` (latency), ``offline`` (throughput)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmdd_edge.data.images import read_image
from dmdd_edge.runtime.backends import OverlappingBackend
from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.timed_detector import TimedDetector
from dmdd_edge.runtime.bench.timing import Bench, Plan, Query, Series

#: Images per query, by latency scenario.
BATCHES = {"single": 1, "multi": 8}


@dataclass(frozen=True)
class Offline:
    """The throughput of a batch size.

    Attributes:
        batch: images per batch.
        series: the measurement; None where it was not possible.
        reason: why not; else empty.
    """

    batch: int
    series: Series | None
    reason: str = ""


def measure_latency(
    timed: TimedDetector, images: ImageSet, batch: int, plan: Plan, bench: Bench, whole_way: bool = True
) -> Series:
    """Measure queries of ``batch`` images, one after the other.

    Args:
        timed: what is measured.
        images: used in rotation.
        batch: images per query.
        plan: for how long.
        bench: clock and watch.
        whole_way: measure each image end to end, from the file where there is one; else only prepared
            images through the host call.

    Raises:
        DmddError: a file can no longer be read, or the backend failed.
    """
    query = _whole_way(timed, images, batch, bench) if whole_way else host_call(timed, images, batch)
    return bench.repeat(query, plan, batch)


def host_call(timed: TimedDetector, images: ImageSet, batch: int = 1) -> Query:
    """A query that is the host call alone, on images prepared beforehand; on tiles where they are tiled."""
    prepared = images.prepared(timed.bundle.manifest)

    def query(number: int) -> Mapping[str, float]:
        chosen = _rotation(number, batch, len(prepared))
        timed.stopwatch.infer(prepared[chosen])  # indexing copies, before the clock starts
        return _call_times(timed)

    return query


def sweep(
    timed: TimedDetector, images: ImageSet, batches: Sequence[int], plan: Plan, bench: Bench
) -> list[Offline]:
    """Measure the throughput of each batch size, on prepared images; they share the plan's seconds.

    A backend that supports it computes one batch while the next is handed over.

    Raises:
        DmddError: the backend failed.
    """
    largest = timed.stopwatch.largest_batch
    share = Plan(plan.seconds / len(batches), plan.fewest, plan.warm_up_seconds / len(batches), 2)
    rows: list[Offline] = []
    for batch in batches:
        if bench.stop():
            rows.append(Offline(batch, None, "stopped"))
        elif largest is not None and batch > largest:
            rows.append(Offline(batch, None, f"the engine's largest batch is {largest}"))
        else:
            series = _throughput(timed, images, batch, share, bench)
            rows.append(Offline(batch, series) if series.count else Offline(batch, None, "stopped"))
    return rows


def best(rows: Sequence[Offline]) -> Offline | None:
    """The batch size with the highest throughput; None when nothing was measured."""
    measured = [row for row in rows if row.series is not None]
    return max(measured, key=lambda row: row.series.throughput if row.series else 0.0, default=None)


def _whole_way(timed: TimedDetector, images: ImageSet, batch: int, bench: Bench) -> Query:
    detector, now = timed.detector, bench.clock.now
    bits = detector.bundle.manifest.preprocess.bits

    def query(number: int) -> Mapping[str, float]:
        chosen = _rotation(number, batch, len(images))
        began = now()
        if images.files:
            decoded_images = [read_image(images.files[index], bits) for index in chosen]
        else:
            decoded_images = [images.frames[index] for index in chosen]
        decoded = now()
        prepared = [
            detector.prepare(images.frame(int(index), image))
            for index, image in zip(chosen, decoded_images, strict=True)
        ]
        ready = now()
        if detector.is_tiled:
            inferred = detector.collect(detector.start(prepared))
            times = {"call": 1000 * (now() - ready)}
            detector.decide(inferred)
        else:
            detector.infer(prepared)
            times = _call_times(timed)
        ended = now()
        times["prepare"] = 1000 * (ready - decoded)
        times["finish"] = 1000 * (ended - ready) - times["call"]
        times["from_frame"] = 1000 * (ended - decoded)
        if images.files:
            times["decode"] = 1000 * (decoded - began)
            times["from_encoded"] = 1000 * (ended - began)
        return times

    return query


def _call_times(timed: TimedDetector) -> dict[str, float]:
    """The boundaries of the last call, in milliseconds."""
    times, device = {"call": timed.stopwatch.call_ms}, timed.stopwatch.device
    if device is not None:
        times |= {"h2d": device.upload, "compute": device.compute, "d2h": device.download}
        times["device"] = device.upload + device.compute + device.download
    return times


def _rotation(number: int, batch: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return (number * batch + np.arange(batch)) % count


def _throughput(timed: TimedDetector, images: ImageSet, batch: int, plan: Plan, bench: Bench) -> Series:
    backend = timed.stopwatch.backend
    if not isinstance(backend, OverlappingBackend) or backend.slots < 2:
        return bench.repeat(host_call(timed, images, batch), plan, batch)
    prepared = images.prepared(timed.bundle.manifest)
    in_flight: deque[Any] = deque()

    def query(number: int) -> Mapping[str, float]:
        if len(in_flight) == backend.slots:
            backend.collect(in_flight.popleft())
        in_flight.append(backend.submit(prepared[_rotation(number, batch, len(prepared))]))
        return {}

    try:
        series = bench.repeat(query, plan, batch)
        began = bench.clock.now()
        while in_flight:
            backend.collect(in_flight.popleft())
        series.seconds += bench.clock.now() - began  # the counted batches must also finish
        return series
    finally:
        while in_flight:
            backend.collect(in_flight.popleft())
