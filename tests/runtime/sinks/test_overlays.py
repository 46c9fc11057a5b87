from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.evaluation.pictures import heat_overlay
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.image_names import image_name
from dmdd_edge.runtime.sinks.maps import Maps
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay
from dmdd_edge.runtime.sinks.overlays import OverlayCache, Overlays

MakeResult = Callable[..., "tuple[Frame, Result]"]


def test_overlays_mirror_the_folders_of_the_source(
    tmp_path: Path, make_result: MakeResult, broken: BrokenFrame
) -> None:
    sink = Overlays(tmp_path / "out", tmp_path / "images")
    for name in ("a/0.png", "b/0.png", "a/0.jpg"):
        sink.result(*make_result(name=name))
    sink.broken(broken)
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert found == {"a/0.png", "b/0.png", "a/0.jpg.png"}
    assert sink.written == 3


def test_no_two_names_share_an_image() -> None:
    names = [
        "0.png",
        "0.jpg",
        "0.jpg.png",
        "0.jpg.png.png",
        "0.PNG",
        "0.tif",
        "a.b.png",
        "v.mp4/frame-000001",
    ]
    written = [image_name(name, ".png") for name in names]
    assert written[0] == "0.png"
    assert written[-1] == "v.mp4/frame-000001.png"
    assert len(set(written)) == len(names)
    assert all(name.endswith(".png") for name in written)
    maps = [image_name(name, ".tiff") for name in names]
    assert (maps[0], maps[1], maps[-2], maps[-1]) == (
        "0.tiff",
        "0.jpg.tiff",
        "a.b.tiff",
        "v.mp4/frame-000001.tiff",
    )
    assert len(set(maps)) == len(names)


def test_only_anomalous_leaves_good_ones_out(tmp_path: Path, make_result: MakeResult) -> None:
    for kind, suffix in ((Overlays, ".png"), (Maps, ".tiff")):
        folder = tmp_path / kind.__name__
        sink = kind(folder, tmp_path / "images", only_anomalous=True)
        sink.result(*make_result("good", 0.2, "good.png"))
        sink.result(*make_result("unreliable", 0.2, "dark.png"))
        sink.result(*make_result("anomalous", 0.8, "bad.png"))
        assert {path.name for path in folder.iterdir()} == {f"dark{suffix}", f"bad{suffix}"}


def test_an_overlay_never_lands_among_the_images_of_the_source(
    tmp_path: Path, make_result: MakeResult
) -> None:
    original = tmp_path / "images" / "images" / "0.png"
    original.parent.mkdir(parents=True)
    original.write_bytes(b"original")
    sink = Overlays(tmp_path, tmp_path / "images")
    with pytest.raises(DmddError, match="inside the folder of the source's images"):
        sink.result(*make_result(name="images/0.png"))
    assert original.read_bytes() == b"original"
    inside = Overlays(tmp_path / "images" / "out", tmp_path / "images")
    inside.result(*make_result(name="images/0.png"))
    assert (tmp_path / "images" / "out" / "images" / "0.png").is_file()


def test_an_image_appears_whole(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name that a reader looks for is given to a file that is complete, in one step."""
    import os

    real = os.replace
    seen: list[tuple[bool, bool]] = []

    def replace_and_look(part: Path, target: Path) -> None:
        seen.append((target.exists(), cv2.imread(str(part)) is not None))
        real(part, target)

    monkeypatch.setattr(os, "replace", replace_and_look)
    sink = Overlays(tmp_path / "out", tmp_path / "images")
    sink.result(*make_result())
    assert seen == [(False, True)]
    assert [path.name for path in (tmp_path / "out" / "a").iterdir()] == ["0.png"]


def test_the_colours_are_fixed_to_the_results_threshold(tmp_path: Path, make_result: MakeResult) -> None:
    sink = Overlays(tmp_path / "out", tmp_path / "images", longest=96)
    frame, result = make_result(pixel_threshold=0.4)
    sink.result(frame, result)
    written = cv2.imread(str(tmp_path / "out" / "a" / "0.png"))
    assert written is not None
    height = frame.image.shape[0]
    assert written.shape[0] > height, "the verdict is written below the image"
    expected = heat_overlay(frame.image, result.anomaly_map, 0.4)
    for color, thickness in ((0, 0, 0), 3), ((255, 255, 255), 1):
        cv2.rectangle(expected, (24, 16), (47, 31), color, thickness)
    np.testing.assert_array_equal(written[:height], expected)


def test_where_nothing_is_found_the_image_stays_as_it_is(make_result: MakeResult) -> None:
    frame, result = make_result("good", 0.0, regions=())
    drawn = draw_overlay(frame.image, result, enlarge=False)
    np.testing.assert_array_equal(drawn[:64], frame.image)


def test_a_map_of_a_region_of_interest_lies_where_it_was_taken_from(make_result: MakeResult) -> None:
    frame, result = make_result("unreliable", regions=(), preprocess=Preprocess(roi=(32, 0, 64, 64)))
    drawn = draw_overlay(frame.image, result, enlarge=False)
    changed = np.argwhere((drawn[:64] != frame.image).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    # Map pixels 8..15 of 32 are source pixels 16..31 of the 64; interpolation blurs the edge by two.
    assert (top, bottom) == (pytest.approx(16, abs=2), pytest.approx(31, abs=2))
    assert (left, right) == (pytest.approx(48, abs=2), pytest.approx(63, abs=2))


def test_a_map_of_a_rotated_frame_is_turned_back(make_result: MakeResult) -> None:
    frame, result = make_result("unreliable", regions=(), preprocess=Preprocess(rotate=90))
    # The patch is at the upper left of the turned frame, which is the lower left of the frame itself.
    drawn = draw_overlay(frame.image, result, enlarge=False)
    rows, columns = np.nonzero((drawn[:64] != frame.image).any(axis=2))
    assert (rows.min(), rows.max()) == (pytest.approx(32, abs=2), pytest.approx(47, abs=2))
    assert (columns.min(), columns.max()) == (pytest.approx(24, abs=3), pytest.approx(47, abs=3))


def test_frames_of_one_size_give_overlays_of_one_size(make_result: MakeResult) -> None:
    long = "far too blurred for what the training images were like, and too dark as well"
    sizes = {
        draw_overlay(frame.image, result).shape
        for frame, result in (
            make_result(),
            make_result("good", 0.0),
            make_result("unreliable", 0.1, reason=long),
        )
    }
    assert len(sizes) == 1


def test_an_overlay_is_drawn_once_for_all_who_show_it(make_result: MakeResult) -> None:
    frame, result = make_result()
    cache = OverlayCache()
    first = cache.draw(frame, result)
    assert cache.draw(frame, result) is first
    assert OverlayCache().draw(frame, result) is not first
    np.testing.assert_array_equal(first, draw_overlay(frame.image, result))
    other = cache.draw(frame, replace(result, regions=()))
    assert (other != first).any()
    assert cache.draw(frame, result, longest=64).shape[1] == 64


@pytest.mark.parametrize("fsync", ["never", "always"])
def test_a_map_comes_back_bit_for_bit(tmp_path: Path, make_result: MakeResult, fsync: Any) -> None:
    values = np.random.default_rng(5).random((48, 48), np.float32)
    sink = Maps(tmp_path / "maps", tmp_path / "images", options=FileOptions(fsync=fsync))
    sink.result(*make_result(name="test/crack/000.png", anomaly_map=values))
    found = cv2.imread(str(tmp_path / "maps" / "test" / "crack" / "000.tiff"), cv2.IMREAD_UNCHANGED)
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)
