"""What a person sees of a result: sizes, boxes, the mark of the peak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Region, Result
from dmdd_edge.runtime.sinks.closeups import closeup, places, with_closeups
from dmdd_edge.runtime.sinks.overlay_drawing import boxes, draw_overlay
from dmdd_edge.runtime.sinks.overlays import Overlays

MakeResult = Callable[..., "tuple[Frame, Result]"]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@pytest.mark.parametrize(
    ("shape", "longest", "drawn"),
    [
        ((64, 64), None, (320, 320)),  # five times: the first whole number that gives 320
        ((64, 96), None, (256, 384)),
        ((400, 40), None, (1200, 120)),  # three times: four would be more than 1280 high
        ((240, 320), None, (240, 320)),
        ((1920, 2560), None, (1920, 2560)),
        ((3000, 4000), None, (1920, 2560)),  # a large frame is shrunk, whatever is asked for
        ((3000, 4000), 4000, (3000, 4000)),  # but for this
        ((16000, 1000), None, (7680, 480)),  # a long web stays 480 wide
        ((40000, 1000), None, (10240, 256)),  # as far as it is not longer than this
        ((3000, 4000), 1000, (750, 1000)),
        ((64, 64), 200, (192, 192)),
        ((4000, 20), 256, (3200, 16)),  # no side falls under 16
    ],
)
def test_the_size_of_an_overlay(
    make_result: MakeResult, shape: tuple[int, int], longest: int | None, drawn: tuple[int, int]
) -> None:
    _, result = make_result(regions=())
    image = np.zeros((*shape, 3), np.uint8)
    assert draw_overlay(image, result, longest, caption=False).shape == (*drawn, 3)
    captioned = draw_overlay(image, result, longest)
    assert captioned.shape[1] == drawn[1]
    assert captioned.shape[0] > drawn[0]
    np.testing.assert_array_equal(captioned[: drawn[0]], draw_overlay(image, result, longest, caption=False))


@pytest.mark.parametrize("ground", [0, 255])
def test_a_box_is_seen_on_any_ground(make_result: MakeResult, ground: int) -> None:
    _, result = make_result("good", 0.0, regions=(Region(100, 80, 60, 40, 2400, 0.6),))
    image = np.full((240, 320, 3), ground, np.uint8)
    drawn = draw_overlay(image, result, caption=False)
    assert tuple(drawn[80, 120]) == WHITE
    assert tuple(drawn[79, 120]) == tuple(drawn[81, 120]) == BLACK
    assert tuple(drawn[119, 159]) == WHITE, "the corner that still belongs to the region"
    assert tuple(drawn[100, 130]) == (ground,) * 3


def test_boxes_are_enlarged_with_the_frame(make_result: MakeResult) -> None:
    frame, result = make_result()
    drawn = draw_overlay(frame.image, result, caption=False)
    # 96 x 64 is drawn four times as large: the region from (24, 16) to (47, 31) has its corners there.
    for x, y in ((96, 64), (191, 127)):
        assert tuple(drawn[y, x]) == WHITE


def test_specks_get_a_box_that_can_be_seen_and_do_not_litter() -> None:
    speck = Region(100, 50, 2, 2, 4, 0.9)
    assert boxes([speck], 640, 480) == [(95, 45, 106, 56)]
    # At the corners it stays within the image.
    corners = [Region(0, 0, 1, 1, 1, 0.9), Region(639, 479, 1, 1, 1, 0.9)]
    assert boxes(corners, 640, 480) == [(0, 0, 11, 11), (628, 468, 639, 479)]
    # Specks beside each other become one box, also where one joins two that were apart.
    row = [Region(x, 50, 2, 2, 4, 0.9) for x in (100, 130, 115)]
    assert boxes(row, 640, 480) == [(95, 45, 136, 56)]
    apart = [Region(40 * (n % 15), 40 * (n // 15), 2, 2, 4, 0.9) for n in range(150)]
    assert len(boxes(apart, 640, 480)) == 12
    large = [Region(60 * (n % 10), 60 * (n // 10), 20, 20, 400, 0.5) for n in range(70)]
    assert len(boxes(large, 640, 480)) == 40
    assert boxes([*apart, Region(300, 300, 20, 20, 400, 0.5)], 640, 480)[-1] == (300, 300, 319, 319)
    assert boxes([Region(0, 0, 8, 8, 64, 0.9)], 8, 8) == [(0, 0, 7, 7)]


@pytest.mark.parametrize(
    ("preprocess", "centre"),
    [
        (Preprocess(), (150, 105)),  # the middle of map pixel (row 14, column 14) of 32 in 320 x 240
        (Preprocess(roi=(160, 0, 160, 240)), (232, 108)),
    ],
)
def test_an_anomalous_frame_without_a_region_shows_where_the_peak_is(
    make_result: MakeResult, preprocess: Preprocess, centre: tuple[int, int]
) -> None:
    anomaly_map = np.zeros((32, 32), np.float32)
    anomaly_map[14, 14] = 0.01  # too small for a color
    _, result = make_result(regions=(), anomaly_map=anomaly_map, preprocess=preprocess)
    image = np.full((240, 320, 3), 120, np.uint8)
    drawn = draw_overlay(image, result, caption=False)
    rows, columns = np.nonzero((drawn > 200).all(axis=2))
    assert ((columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2) == pytest.approx(
        centre, abs=6
    )
    for quiet in (
        replace(result, status="good"),
        replace(result, anomaly_map=np.zeros((32, 32), np.float32)),
        replace(result, anomaly_map=np.full((32, 32), np.nan, np.float32), status="unreliable"),
    ):
        assert cv2.absdiff(draw_overlay(image, quiet, caption=False), image).max() <= 1, "no mark"


def test_a_long_reason_is_cut_rather_than_written_too_small(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, float]] = []
    real = cv2.putText

    def put(image: object, text: str, origin: object, font: int, scale: float, *rest: object) -> object:
        written.append((text, scale))
        return real(image, text, origin, font, scale, *rest)  # type: ignore[call-overload]

    monkeypatch.setattr(cv2, "putText", put)
    frame, result = make_result("unreliable", 0.1, reason="far too blurred for the training images " * 4)
    draw_overlay(frame.image, result)
    text, scale = written[0]
    assert scale >= 0.42
    assert text.startswith("unreliable: far too blurred")
    assert text.endswith("...")


@pytest.mark.parametrize(("format", "start"), [("png", b"\x89PNG"), ("jpg", b"\xff\xd8"), ("webp", b"RIFF")])
def test_the_format_is_the_one_asked_for(
    tmp_path: Path, make_result: MakeResult, format: str, start: bytes
) -> None:
    sink = Overlays(tmp_path / "out", tmp_path / "images", format=format, longest=48)  # type: ignore[arg-type]
    sink.result(*make_result())
    data = (tmp_path / "out" / "a" / f"0.{format}").read_bytes()
    assert data.startswith(start)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape[1] == 48


def test_a_small_defect_of_a_large_frame_is_seen_and_shown_at_full_resolution(
    make_result: MakeResult,
) -> None:
    image = np.full((3000, 4000, 3), 90, np.uint8)
    image[2000:2012, 1000:1012] = (0, 200, 0)
    tiles = Preprocess(tiling=Tiling(tile=256, overlap=32))
    geometry = tiles.geometry(image.shape, 256)
    anomaly_map = np.zeros(geometry.shape, np.float32)
    anomaly_map[2000:2003, 1000:1003] = 0.9
    region = Region(1000, 2000, 12, 12, 144, 0.9)
    _, result = make_result(
        regions=(region,), anomaly_map=anomaly_map, preprocess=tiles, geometry=geometry, pixel_threshold=0.5
    )
    drawn = draw_overlay(image, result, 1000, caption=False)
    # Three pixels of the map are less than one of the drawing, and still red: the box is around them.
    assert (drawn[498:504, 247:254, 2] > 160).any()
    sheet = with_closeups(drawn, image, result, 1000)
    assert sheet.shape[1] == 1000
    below = sheet[drawn.shape[0] :].astype(int)
    rows, columns = np.nonzero((below[..., 1] > 145) & (below[..., 0] < 45))
    # 96 pixels around the box are shown on 320, so that 12 become 40; interpolation blurs the edge.
    assert np.ptp(rows) + 1 == pytest.approx(40, abs=4)
    assert np.ptp(columns) + 1 == pytest.approx(40, abs=4)
    assert with_closeups(drawn, image, replace(result, regions=()), 1000) is drawn


@pytest.mark.parametrize(
    ("shape", "side", "longest", "needed"),
    [
        # On a screen 1280 pixels wide 24 of them are enough, whatever the size of the frame.
        ((1000, 1000), 23, None, True),
        ((1000, 1000), 24, None, False),
        ((3000, 4000), 74, None, True),  # shrunk to 2560, and to 1280 on the screen: 23.7
        ((3000, 4000), 75, None, False),
        ((1000, 1000), 40, 500, True),
        ((1000, 1000), 10, 320, True),
        ((1000, 1000), 10, 319, False),  # a thumbnail has no room for them
        ((200, 200), 6, None, False),  # enlarged twice: every pixel is seen
    ],
)
def test_a_region_has_a_closeup_where_it_is_small_on_the_shown_image(
    make_result: MakeResult, shape: tuple[int, int], side: int, longest: int | None, needed: bool
) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    large = Region(100, 60, 80, 5, 400, 0.95)
    _, result = make_result(regions=(Region(20, 20, side, 2, 2 * side, 0.9),), pixel_threshold=0.5)
    drawn = draw_overlay(image, result, longest)
    assert (with_closeups(drawn, image, result, longest) is not drawn) == needed
    both = replace(result, regions=(large, *result.regions))
    assert len(places(shape, both, longest)) == 2 * needed


@pytest.mark.parametrize(("at", "size"), [((0, 0), 12), ((3990, 2990), 10), ((1500, 1000), 900)])
def test_a_closeup_stays_within_the_frame(at: tuple[int, int], size: int) -> None:
    image = np.zeros((3000, 4000, 3), np.uint8)
    x, y = at
    image[y : y + size, x : x + size] = 255
    drawn = closeup(image, (x, y, size, size), 320)
    assert drawn.shape == (320, 320, 3)
    shown = max(96, min(3 * size, max(320, 3 * size // 2)))
    white = np.count_nonzero((drawn > 250).all(axis=2)) / drawn[..., 0].size
    assert white == pytest.approx((size / shown) ** 2, rel=0.35)
