"""A collection from its options: which frames are taken, what is refused, what is said of the set."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import cv2
import pytest

from dmdd_edge import CollectOptions, OptionError, SourceError, collect_images
from dmdd_edge.data.images import BITS
from dmdd_edge.options import UsageError
from dmdd_edge.runtime.collect.collect import OpenCollection
from dmdd_edge.runtime.collect.faults import KEEPABLE
from dmdd_edge.runtime.collect.good_set import GoodSet
from dmdd_edge.runtime.collect.spread import spread_of
from dmdd_edge.runtime.collect.taking import Interval, Wish
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.options import collect as options_module
from tests.runtime.collect.parts import blurred, folder_of, moved, part, shot


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    images = {f"{seed:02d}.png": part(seed) for seed in range(12)}
    return folder_of(tmp_path / "shots", images)


def test_the_option_names_what_can_be_kept() -> None:
    assert options_module.KEEPABLE == KEEPABLE
    assert options_module._BITS == BITS


def test_faults_are_refused_counted_and_named(shots: Path, tmp_path: Path) -> None:
    folder_of(
        shots,
        {
            "a.png": shot(part(3), 50),
            "b.png": blurred(part(40)),
            "c.png": shot(part(41) * 0.6, 2),
            "d.png": moved(part(42), 14, 0),
            "e.png": part(43, 200),
            "f.png": part(44),
        },
    )
    (shots / "g.png").write_bytes(b"no image")
    seen = []
    outcome = collect_images(CollectOptions(source=str(shots), into=tmp_path / "set"), on_image=seen.append)
    assert outcome.counts.refused == {"repeated": 1, "blurred": 1, "dark": 1, "moved": 1, "size": 1}
    assert (outcome.counts.images, outcome.counts.unreadable, outcome.ended_by) == (13, 1, "source")
    assert "g.png" in outcome.first_unreadable
    kept = [Path(taken.source).name for taken in seen if taken.number is not None]
    assert kept == [f"{seed:02d}.png" for seed in range(12)] + ["f.png"]


def test_kept_kinds_are_marked_in_the_record(shots: Path, tmp_path: Path) -> None:
    folder_of(shots, {"a.png": shot(part(41) * 0.6, 2)})
    into = tmp_path / "set"
    outcome = collect_images(CollectOptions(source=str(shots), into=into, accept=("dark",)))
    assert (outcome.counts.refused, outcome.counts.marked) == ({}, {"dark": 1})
    (mark,) = json.loads((into / "000013.json").read_text())["marks"]
    assert mark["kind"] == "dark"
    assert mark["text"].startswith("darker: mean level ")
    assert outcome.doubtful == ()


def test_what_is_missing_is_said_of_live_sources_only(shots: Path, tmp_path: Path) -> None:
    files = collect_images(CollectOptions(source=str(shots), into=tmp_path / "a"))
    assert files.missing == ()
    live = collect_images(
        CollectOptions(source=f"images:{shots}?fps=50", into=tmp_path / "b", take="all", target=12)
    )
    assert live.missing == ("all from one minute; collect again after the next lot",)


@pytest.mark.parametrize(
    ("seconds", "missing"),
    [(59, "one minute"), (61, "one hour"), (3601, "one day"), (86401, "")],
)
def test_the_span_of_a_set_says_what_it_lacks(seconds: float, missing: str) -> None:
    made = GoodSet()
    for number in range(1, 10):
        made.add(number, made.look_at(part(number)))
    times: list[float | None] = [1e9 + seconds * index / 8 for index in range(9)]
    spread = spread_of(made.members, times, None)
    assert spread is not None
    assert [line for line in spread.missing() if "all from" in line] == (
        [line for line in spread.missing() if missing in line] if missing else []
    )
    assert bool(spread.missing()) == bool(missing)


def test_light_that_drifts_is_said(tmp_path: Path) -> None:
    made = GoodSet()
    for number in range(1, 31):
        made.add(number, made.look_at(part(number, level=1 - 0.004 * number)))
    spread = spread_of(made.members, [None] * 30, None)
    assert spread is not None
    # The middle of the first ten and of the last ten are 20 images apart: 0.08 of about 0.978.
    assert spread.drift == pytest.approx(-0.08 / 0.978, abs=0.015)
    assert spread.missing() == [f"the light became {-spread.drift:.0%} darker since the first images"]


def test_a_video_gives_an_image_of_each_part_that_comes_to_rest(tmp_path: Path) -> None:
    parts = [moved(part(seed, noise=0), x=3 * seed) for seed in range(4)]
    film = tmp_path / "belt.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 25, (160, 160))
    for place, image in enumerate(parts):
        for x in (-90, -40):
            writer.write(moved(image, x=x))
        for _ in range(7):
            writer.write(shot(image, place))
    writer.release()
    seen = []
    collect_images(
        CollectOptions(source=str(film), into=tmp_path / "set", take="change"), on_image=seen.append
    )
    # Each part enters for two frames and rests for seven; the third frame at rest is taken.
    assert [
        json.loads((tmp_path / "set" / f"{n:06d}.json").read_text())["frame"]["index"] for n in (1, 2, 3, 4)
    ] == [
        4,
        13,
        22,
        31,
    ]
    assert [taken.number for taken in seen] == [1, 2, 3, 4]


def test_a_wish_takes_the_next_frame_only(shots: Path, tmp_path: Path) -> None:
    wish, kept = Wish(), threading.Event()
    options = CollectOptions(source=f"images:{shots}?fps=50", into=tmp_path / "set", target=2)
    with OpenCollection(options, lambda line: None, wish) as collection:
        assert collection.way == "key"
        numbers: list[int | None] = []

        def ask() -> None:
            wish.ask()
            kept.wait(60)
            wish.ask()

        asking = threading.Thread(target=ask)
        asking.start()
        outcome = collection.process(lambda taken: (numbers.append(taken.number), kept.set()))
        asking.join()
    assert numbers == [1, 2]
    assert outcome.ended_by == "target"


def test_a_frame_from_before_the_wish_is_not_taken() -> None:
    wish, frame = Wish(), part(1)
    wish.ask()
    assert not wish.takes(Frame(frame, time=time.time() - 5))
    assert wish.takes(Frame(frame, time=time.time() + 5))
    assert not wish.takes(Frame(frame, time=time.time() + 6))


def test_an_interval_has_its_own_clock() -> None:
    now = [100.0]
    interval, frame = Interval(5.0, lambda: now[0]), Frame(part(1))
    took = []
    for _ in range(12):
        took.append(interval.takes(frame))
        now[0] += 2.0
    assert [index for index, taken in enumerate(took) if taken] == [0, 3, 5, 8, 10]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"take": "key"}, "--take key applies to cameras and streams"),
        ({"take": "interval"}, "--take interval applies to cameras and streams"),
        ({"take": "change"}, "--take change applies to cameras, streams and videos"),
        ({"take": "trigger"}, "does not wait for triggers"),
    ],
)
def test_a_way_that_does_not_fit_to_files_is_refused(
    shots: Path, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        collect_images(CollectOptions(source=str(shots), into=tmp_path / "set", **options))  # type: ignore[arg-type]
    assert not (tmp_path / "set").exists()


def test_nobody_can_ask_without_a_terminal(shots: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Nobody can ask for an image"):
        collect_images(CollectOptions(source=f"images:{shots}", into=tmp_path / "set"))


def test_what_is_missing_or_has_no_effect_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="A source is missing"):
        CollectOptions(into=tmp_path)
    with pytest.raises(UsageError, match="A folder is missing"):
        CollectOptions(source="x")
    with pytest.raises(OptionError, match="--interval has no effect without --take interval"):
        CollectOptions(source="x", into=tmp_path, interval=3)
    with pytest.raises(OptionError, match="--accept 'size' is unknown"):
        CollectOptions(source="x", into=tmp_path, accept=("size",))


def test_a_watched_folder_ends_when_it_is_asked_to(shots: Path, tmp_path: Path) -> None:
    seen = []
    outcome = collect_images(
        CollectOptions(watch=str(shots), watch_existing=True, into=tmp_path / "set", target=50),
        on_image=seen.append,
        stop=lambda: len(seen) >= 12,
    )
    assert (outcome.counts.images, outcome.ended_by) == (12, "stop")


def test_a_source_that_is_not_there_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        collect_images(CollectOptions(source=str(tmp_path / "none"), into=tmp_path / "set"))
    assert not (tmp_path / "set").exists()
