"""The feeder of pairs: the same batches whoever makes them and wherever one starts."""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import pytest

from dmdd_edge.train.config import SynthesisConfig
from dmdd_edge.train.synthesis.anomaly import synthesize
from dmdd_edge.train.synthesis.feeder import PairBatch, PairFeeder
from dmdd_edge.train.synthesis.textures import ProceduralTextures

SIZE, COUNT = 32, 7
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)
#: Of these a mask says exactly what changed; damage leaves faint traces beyond what can be seen.
BLENDED = SynthesisConfig(warps=0.0, shades=0.0, smears=0.0)
LEFT = np.zeros((SIZE, SIZE), np.bool_)
LEFT[:, :16] = True


def feeder(
    workers: int = 0, batch_size: int = 3, config: SynthesisConfig | None = None, **values: Any
) -> PairFeeder:
    return PairFeeder(
        list(IMAGES),
        [LEFT if i % 2 else None for i in range(COUNT)],
        ProceduralTextures(SIZE),
        config or BLENDED,
        batch_size=batch_size,
        workers=workers,
        **{"seed": 5, **values},
    )


def take(made: PairFeeder, start: int, count: int) -> list[PairBatch]:
    with closing(made.batches(start)) as batches:
        return list(islice(batches, count))


def content(batches: list[PairBatch]) -> list[tuple[bytes, bytes, bytes]]:
    return [(b.index.tobytes(), b.anomalous.tobytes(), b.masks.tobytes()) for b in batches]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_give_the_batches_that_no_threads_give(workers: int) -> None:
    assert content(take(feeder(workers), 0, 8)) == content(take(feeder(0), 0, 8))


@pytest.mark.parametrize("workers", [0, 2])
def test_starting_later_is_skipping(workers: int) -> None:
    assert content(take(feeder(workers), 4, 3)) == content(take(feeder(0), 0, 7))[4:]


@pytest.mark.parametrize("batch_size", [1, 3, 7, 10])
def test_each_epoch_shows_each_image_once(batch_size: int) -> None:
    made = feeder(batch_size=batch_size)
    stream = [int(i) for batch in take(made, 0, 30 // batch_size + 1) for i in batch.index]
    epochs = [stream[start : start + COUNT] for start in range(0, len(stream) - COUNT + 1, COUNT)]
    assert len(epochs) >= 3
    for epoch in epochs:
        assert Counter(epoch) == Counter(range(COUNT))
    assert len({tuple(epoch) for epoch in epochs}) > 1  # a new order each time


def test_asking_out_of_order_gives_the_same() -> None:
    made = feeder()
    in_order = content([made.batch_at(step) for step in range(6)])
    other = feeder()
    assert content([other.batch_at(step) for step in (5, 0, 3, 1, 4, 2)]) == [
        in_order[step] for step in (5, 0, 3, 1, 4, 2)
    ]


def test_seed_and_stream_each_give_other_anomalies() -> None:
    base = content(take(feeder(), 0, 2))
    assert content(take(feeder(seed=6), 0, 2)) != base
    assert content(take(feeder(stream=1), 0, 2)) != base


def test_one_image_gets_another_anomaly_each_time() -> None:
    batches = take(feeder(batch_size=COUNT), 0, 4)
    shown = [b.anomalous[list(b.index).index(0)].tobytes() for b in batches]
    assert len(set(shown)) == 4


def test_samples_are_of_the_image_that_the_index_names() -> None:
    for batch in take(feeder(2), 0, 4):
        for index, anomalous, mask in zip(batch.index, batch.anomalous, batch.masks, strict=True):
            assert np.array_equal(anomalous[~mask], IMAGES[index][~mask])
            if index % 2:
                assert not mask[:, 16:].any()


def test_without_fas_the_foreground_is_not_asked() -> None:
    batches = take(feeder(batch_size=COUNT, config=BLENDED.model_copy(update={"fas": False})), 0, 6)
    masks = [mask for b in batches for i, mask in zip(b.index, b.masks, strict=True) if i % 2]
    assert any(mask[:, 16:].any() for mask in masks)


def test_anomalies_lie_beside_the_part_too_but_no_farther_than_the_margin() -> None:
    # 16 of 256ths are two of 32 pixels.
    batches = take(feeder(batch_size=COUNT, config=BLENDED.model_copy(update={"margin": 16})), 0, 8)
    masks = [mask for b in batches for i, mask in zip(b.index, b.masks, strict=True) if i % 2]
    assert any(mask[:, 16:18].any() for mask in masks)
    assert not any(mask[:, 18:].any() for mask in masks)


def test_threads_may_ask_for_positions_at_once() -> None:
    """Epochs of two images, so that the threads pass from one to the next all the time."""
    few = PairFeeder(
        IMAGES[:2], [None] * 2, ProceduralTextures(SIZE), SynthesisConfig(), batch_size=4, seed=0
    )
    positions = range(6000)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: [few.index_at(p) for p in positions], range(4)))
    finally:
        sys.setswitchinterval(interval)
    alone = PairFeeder(
        IMAGES[:2], [None] * 2, ProceduralTextures(SIZE), SynthesisConfig(), batch_size=4, seed=0
    )
    assert found == [[alone.index_at(p) for p in positions]] * 4


def test_an_error_in_a_thread_reaches_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > 4:
            raise RuntimeError("no more")
        return synthesize(*arguments)

    monkeypatch.setattr("dmdd_edge.train.synthesis.feeder.synthesize", failing)
    with pytest.raises(RuntimeError, match="no more"):
        take(feeder(1), 0, 5)


def test_nuisances_change_their_share_of_the_good_images_and_the_anomaly_is_made_on_them() -> None:
    batches = take(feeder(config=BLENDED.model_copy(update={"nuisances": 0.5})), 0, 40)
    disturbed = np.concatenate([batch.disturbed for batch in batches])
    normal = np.concatenate([batch.normal for batch in batches])
    index = np.concatenate([batch.index for batch in batches])
    assert 40 <= disturbed.sum() <= 80  # of 120
    assert (normal[~disturbed] == IMAGES[index[~disturbed]]).all()
    changed = (normal[disturbed] != IMAGES[index[disturbed]]).any((1, 2, 3))
    assert changed.mean() > 0.9  # an amount may be next to nothing
    for batch in batches:
        assert (batch.anomalous == batch.normal)[~batch.masks].all()


def test_without_nuisances_the_good_images_and_the_anomalies_stay() -> None:
    plain, changed = (
        take(feeder(config=BLENDED.model_copy(update={"nuisances": share})), 0, 8) for share in (0.0, 0.5)
    )
    for a, b in zip(plain, changed, strict=True):
        assert not a.disturbed.any()
        assert (a.normal == IMAGES[a.index]).all()
        same = ~b.disturbed
        assert (a.anomalous[same] == b.anomalous[same]).all()
        assert (a.masks == b.masks).all()
