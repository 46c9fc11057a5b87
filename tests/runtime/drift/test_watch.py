"""The drift watch of an inspection on drawn frames: what it says, since when, and that it is silent."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.runtime.drift.observation import Notice, Observation, Place, Promise
from dmdd_edge.runtime.drift.watch import FIRST, DriftWatch
from dmdd_edge.runtime.drift.words import ended, percent, sentence

#: Light, sharpness, x, y and score while nothing changes, and how they vary.
USUAL = np.array([120.0, 1.5, 0.5, 0.5, 0.3])
SPREAD = np.array([2.0, 0.05, 0.01, 0.01, 0.03])


def frames(count: int, moved: Iterable[float] = (0, 0, 0, 0, 0), seed: int = 0) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).standard_normal((count, 5))
    return USUAL + SPREAD * (noise + np.asarray(list(moved)))


def feed(
    watch: DriftWatch, values: NDArray[np.float64], start: int = 0, threshold: float = 0.9
) -> list[Notice]:
    found = []
    for number, (light, sharpness, x, y, score) in enumerate(values.tolist(), start):
        status = "anomalous" if score > threshold else "good"
        place = Place(number, 1.7e9 + number)
        found += watch.add(Observation(place, status, score, (light, sharpness, x, y)))
    return found


def test_nothing_is_said_while_nothing_changes() -> None:
    watch = DriftWatch()
    assert watch.learning
    assert feed(watch, frames(FIRST)) == []
    assert not watch.learning
    assert feed(watch, frames(5000, seed=1)) == []
    assert watch.cause() is None
    state = watch.state()
    assert (state["stride"], state["independent"], state["learning"]) == (1, True, False)
    json.dumps(state, allow_nan=False)


@pytest.mark.parametrize(
    ("moved", "measures", "cause"),
    [
        ((-3, 0, 0, 0, 0), {"light"}, "light"),
        ((-3, 0, 0, 0, 2), {"light", "score"}, "light"),
        ((0, -2, 0, 0, 1), {"sharpness", "score"}, "focus"),
        ((0, 0, 3, 0, 0), {"x"}, "position"),
        ((0, 0, 0, -3, 0), {"y"}, "position"),
        ((0, 0, 0, 0, 1), {"score"}, "part"),
        ((0, 2, 0, 0, 1), {"sharpness", "score"}, "part"),
    ],
)
def test_a_change_is_named_with_its_cause_and_its_beginning(
    moved: tuple[float, ...], measures: set[str], cause: str
) -> None:
    watch = DriftWatch()
    feed(watch, frames(2000))
    notices = feed(watch, frames(400, moved, seed=2), 2000)
    assert {notice.drift.measure for notice in notices if notice.begins} == measures
    assert watch.cause() == cause
    for drift in watch.drifts():
        assert 1940 <= drift.since.frame <= 2040
        assert 2000 < drift.warned.frame < 2250
    largest = max(watch.drifts(), key=lambda drift: abs(drift.now - drift.before))
    place = ["light", "sharpness", "x", "y", "score"].index(largest.measure)
    assert largest.now - largest.before == pytest.approx(moved[place] * SPREAD[place], rel=0.25)


def test_a_warning_ends_when_the_cause_has_gone_and_not_before() -> None:
    watch = DriftWatch()
    feed(watch, frames(2000))
    feed(watch, frames(4000, (-2, 0, 0, 0, 0), seed=3), 2000)
    assert [drift.measure for drift in watch.drifts()] == ["light"]  # it was not learned as usual
    [over] = feed(watch, frames(1200, seed=4), 6000)
    assert not over.begins
    assert 6000 < over.place.frame < 6800
    assert watch.drifts() == []
    assert ended(over.drift) == "The light is as before again."


def test_a_slow_change_is_seen_long_before_its_end() -> None:
    watch = DriftWatch()
    feed(watch, frames(2000))
    values = frames(10_000, seed=5)
    values[:, 0] *= np.linspace(1, 0.8, 10_000)  # light - 20 % over 10,000 frames
    notices = feed(watch, values, 2000)
    first = next(notice for notice in notices if notice.drift.measure == "light")
    assert first.drift.now > 0.97 * USUAL[0]


def test_alarms_are_held_against_what_the_threshold_supports() -> None:
    def first_warning(promise: Promise, share: float) -> str | None:
        watch = DriftWatch(promise)
        values = frames(3000)
        values[np.random.default_rng(1).random(3000) < share, 4] = 0.95
        found = [n.drift.measure for n in feed(watch, values) if n.begins]
        return found[0] if found else None

    assert first_warning(Promise(999, 9), 0.10) == "alarms"  # 1 % is promised
    assert first_warning(Promise(10, 0), 0.10) is None  # ten parts support 9 %
    assert first_warning(Promise(999, 9), 0.008) is None


def test_frames_of_the_same_part_are_not_counted_as_new_ones() -> None:
    values = np.repeat(frames(300), 8, axis=0)
    watch = DriftWatch()
    feed(watch, values[: 8 * 60])
    assert watch.state()["stride"] in (8, 16)
    assert [n for n in feed(watch, values[8 * 60 :], 480) if n.begins] == []


def test_without_looks_the_scores_are_watched_and_the_cause_is_unknown() -> None:
    watch = DriftWatch()
    scores = np.concatenate([frames(2000)[:, 4], frames(400, (0, 0, 0, 0, 2), seed=1)[:, 4]])
    notices = [
        notice
        for number, score in enumerate(scores.tolist())
        for notice in watch.add(Observation(Place(number, 0.0), "good", score, None))
    ]
    assert [notice.drift.measure for notice in notices] == ["score"]
    assert watch.cause() == "unknown"


def test_another_threshold_begins_the_scores_anew_and_keeps_the_pictures() -> None:
    watch = DriftWatch()
    feed(watch, frames(2000))
    feed(watch, frames(400, (-3, 0, 0, 0, 2), seed=1), 2000)
    assert {drift.measure for drift in watch.drifts()} == {"light", "score"}
    watch.restart_scores(None)
    assert [drift.measure for drift in watch.drifts()] == ["light"]
    assert watch.learning
    assert feed(watch, frames(1000, (-3, 0, 0, 0, 2), seed=2), 2400) == []  # the scores are usual now


@pytest.mark.parametrize("at", [100, 2000, 2200])
def test_a_watch_continues_as_if_it_had_not_been_interrupted(at: int) -> None:
    values = np.concatenate([frames(2000), frames(600, (-1, 0, 0, 0, 1), seed=1)])
    promise = Promise(30, 0, tuple(0.25 + 0.01 * k for k in range(10)))
    whole = DriftWatch(promise)
    expected = feed(whole, values)
    before = DriftWatch(promise)
    found = feed(before, values[:at])
    after = DriftWatch(promise)
    assert after.restore(json.loads(json.dumps(before.to_json(), allow_nan=False)))
    found += feed(after, values[at:], at)
    assert found == expected
    assert len(found) >= 2
    assert after.to_json() == whole.to_json()


def test_damaged_and_foreign_states_are_refused() -> None:
    watch = DriftWatch()
    feed(watch, frames(1000))
    kept = watch.to_json()
    for damage in ({}, {"form": 0}, {"streams": {}}, {"alarms": None}, {"stride": "x"}):
        broken = DriftWatch()
        assert not broken.restore({**kept, **damage} if damage else {})
        assert (broken.frames, broken.stride) == (0, 0)
    assert not DriftWatch(run_length=20_000).restore(kept)


def test_sentences_say_how_much_and_since_when() -> None:
    watch = DriftWatch()
    feed(watch, frames(2000))
    feed(watch, frames(400, (-6, 0, 4, 0, 0), seed=1), 2000)
    light, x = watch.drifts()
    assert sentence(light).startswith(f"The light is {percent(6 * 2 / 120)[:2]}")
    assert "% lower since frame 19" in sentence(light) or "% lower since frame 20" in sentence(light)
    assert "(2023-11-14 " in sentence(light)
    assert sentence(x).startswith("The part is further right, by 3.9 %")
