"""Feeds synthetic pairs to the trainer from background threads.

Every sample is a pure function of (seed, stream, position): its normal image, its mask, its texture. So the
order in which threads finish does not matter, and a resumed run gets the same samples as an uninterrupted
one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.cores import usable_cores
from dmdd_edge.train.config import SynthesisConfig
from dmdd_edge.train.synthesis import nuisances
from dmdd_edge.train.synthesis.anomaly import synthesize
from dmdd_edge.train.synthesis.foreground import grown
from dmdd_edge.train.synthesis.textures import Textures

#: Batches prepared ahead of the one in use.
_AHEAD = 3


@dataclass
class PairBatch:
    """A batch of pairs.

    Attributes:
        index: which normal images, int64 N.
        normal: the normal images themselves, uint8 N x S x S x 3 BGR.
        disturbed: which of them are changed by a nuisance, bool N.
        anomalous: made from them, uint8 N x S x S x 3 BGR.
        masks: bool N x S x S.
    """

    index: NDArray[np.int64]
    normal: NDArray[np.uint8]
    disturbed: NDArray[np.bool_]
    anomalous: NDArray[np.uint8]
    masks: NDArray[np.bool_]


class PairFeeder:
    """Makes batches in order, ahead of their use.

    Args:
        images: the normal images, uint8 n x S x S x 3 BGR.
        foreground: where the part is in each image, bool S x S; None for everywhere.
        textures: source of foreign textures.
        config: ranges of the synthesis.
        batch_size: pairs per batch.
        seed: run's seed.
        stream: number of the random stream, so that student and head see different anomalies.
        workers: threads; 0 prepares each batch on request, on the requesting thread.
    """

    def __init__(
        self,
        images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
        foreground: Sequence[NDArray[np.bool_] | None],
        textures: Textures,
        config: SynthesisConfig,
        *,
        batch_size: int,
        seed: int,
        stream: int = 0,
        workers: int = 2,
    ) -> None:
        self.images = images
        self.foreground = [None if mask is None else grown(mask, config.margin) for mask in foreground]
        self.textures, self.config = textures, config
        self.batch_size, self.seed, self.stream = batch_size, seed, stream
        self.workers = min(workers, usable_cores())
        self.wait_seconds = 0.0  # total time spent waiting for batches
        self._orders: dict[int, NDArray[np.int64]] = {}

    def index_at(self, position: int) -> int:
        """Index of the normal image at a position of the endless stream: a new permutation every epoch."""
        epoch, offset = divmod(position, len(self.images))
        known = self._orders  # replaced as a whole, never changed: several threads read it at once
        order = known.get(epoch)
        if order is None:
            order = np.random.default_rng([self.seed, self.stream, epoch]).permutation(len(self.images))
            self._orders = {key: known[key] for key in known if key >= epoch - 1} | {epoch: order}
        return int(order[offset])

    def batch_at(self, step: int) -> PairBatch:
        """The batch of a step, 0 the first."""
        positions = range(step * self.batch_size, (step + 1) * self.batch_size)
        index = np.array([self.index_at(position) for position in positions], np.int64)
        normal, disturbed = zip(
            *(self._normal(int(i), position) for i, position in zip(index, positions, strict=True)),
            strict=True,
        )
        made = [
            self._make(image, int(i), position)
            for image, i, position in zip(normal, index, positions, strict=True)
        ]
        anomalous, masks = zip(*made, strict=True)
        return PairBatch(
            index, np.stack(normal), np.array(disturbed, np.bool_), np.stack(anomalous), np.stack(masks)
        )

    def _normal(self, index: int, position: int) -> tuple[NDArray[np.uint8], bool]:
        """The normal image of a position, and whether it is changed by a nuisance."""
        if not self.config.nuisances:
            return self.images[index], False
        # Random numbers apart from the anomaly's, which stays the same whatever the share.
        rng = np.random.default_rng([self.seed, self.stream, 1 << 21, position])
        if rng.random() >= self.config.nuisances:
            return self.images[index], False
        return nuisances.disturbed(self.images[index], rng), True

    def _make(
        self, image: NDArray[np.uint8], index: int, position: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        rng = np.random.default_rng([self.seed, self.stream, 1 << 20, position])
        foreground = self.foreground[index] if self.config.fas else None
        return synthesize(image, foreground, self.textures, self.config, rng)

    def batches(self, start: int) -> Generator[PairBatch, None, None]:
        """Yield batches from a step on, endlessly. Closing the iterator stops the threads."""
        if self.workers == 0:
            step = start
            while True:
                began = time.perf_counter()
                batch = self.batch_at(step)
                self.wait_seconds += time.perf_counter() - began
                yield batch
                step += 1
        ahead = max(_AHEAD, self.workers)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="synthesis") as pool:
            queue: deque[Future[PairBatch]] = deque()
            try:
                step = start
                while True:
                    while len(queue) < ahead:
                        queue.append(pool.submit(self.batch_at, step))
                        step += 1
                    began = time.perf_counter()
                    batch = queue.popleft().result()
                    self.wait_seconds += time.perf_counter() - began
                    yield batch
            finally:
                for future in queue:
                    future.cancel()
