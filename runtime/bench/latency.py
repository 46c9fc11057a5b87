"""The scenarios ``single`` and ``multi``: one query at a time, of one image or of several."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dmdd_edge.data.images import read_image
from dmdd_edge.runtime.bench.pictures import Pictures
from dmdd_edge.runtime.bench.subject import Subject
from dmdd_edge.runtime.bench.timing import Bench, Plan, Query, Series
from dmdd_edge.runtime.frame import Frame

#: Images in a query, by scenario.
BATCHES = {"single": 1, "multi": 8}


def measure_latency(
    subject: Subject, pictures: Pictures, batch: int, plan: Plan, bench: Bench, whole_way: bool = True
) -> Series:
    """Measure queries of ``batch`` images, one after the other.

    Args:
        subject: what is measured.
        pictures: taken in rotation.
        batch: images in a query.
        plan: for how long.
        bench: clock and watch.
        whole_way: take each image its whole way, from the file where there is one; otherwise only prepared
            images through the host call.

    Raises:
        DmddError: a file cannot be read any more, or the back end failed.
    """
    query = _whole_way(subject, pictures, batch, bench) if whole_way else host_call(subject, pictures, batch)
    return bench.repeat(query, plan, batch)


def host_call(subject: Subject, pictures: Pictures, batch: int = 1) -> Query:
    """A query that is the host call alone, on images prepared beforehand."""
    prepared = pictures.prepared(subject.bundle.manifest)

    def query(number: int) -> Mapping[str, float]:
        chosen = _rotation(number, batch, len(pictures))
        subject.stopwatch.infer(prepared[chosen])  # a copy, which is made before the clock is started
        return _of_call(subject)

    return query


def _whole_way(subject: Subject, pictures: Pictures, batch: int, bench: Bench) -> Query:
    detector, now = subject.detector, bench.clock.now
    bits = detector.bundle.manifest.preprocess.bits

    def query(number: int) -> Mapping[str, float]:
        chosen = _rotation(number, batch, len(pictures))
        began = now()
        if pictures.files:
            images = [read_image(pictures.files[index], bits) for index in chosen]
        else:
            images = [pictures.frames[index] for index in chosen]
        decoded = now()
        prepared = [detector.prepare(Frame(image)) for image in images]
        ready = now()
        detector.judge(prepared)
        ended = now()
        found = _of_call(subject)
        found["prepare"] = 1000 * (ready - decoded)
        found["finish"] = 1000 * (ended - ready) - found["call"]
        found["from_frame"] = 1000 * (ended - decoded)
        if pictures.files:
            found["decode"] = 1000 * (decoded - began)
            found["from_encoded"] = 1000 * (ended - began)
        return found

    return query


def _of_call(subject: Subject) -> dict[str, float]:
    """The boundaries of the call that was made last."""
    found, times = {"call": subject.stopwatch.call_ms}, subject.stopwatch.device
    if times is not None:
        found |= {"h2d": times.upload, "compute": times.compute, "d2h": times.download}
        found["device"] = times.upload + times.compute + times.download
    return found


def _rotation(number: int, batch: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return (number * batch + np.arange(batch)) % count
