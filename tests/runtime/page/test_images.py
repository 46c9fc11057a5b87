from __future__ import annotations

import asyncio
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.page.gallery import KEPT_ANOMALIES, Gallery
from dmdd_edge.runtime.page.history import History, Newest
from dmdd_edge.runtime.page.images import CurrentImage, Painter, caption, draw, jpeg
from dmdd_edge.runtime.result import Region
from dmdd_edge.runtime.sinks.overlay_drawing import scaled
from tests.runtime.page.a_run import result_of


def test_a_small_frame_is_drawn_as_it_is() -> None:
    frame, result = result_of(0, 0.75)
    np.testing.assert_array_equal(draw(frame, result, overlay=False), frame.image)
    assert draw(frame, result, 96).shape == (64, 96, 3), "without the verdict below it"
    assert draw(frame, result).shape == (256, 384, 3), "four times as large, so that boxes can be seen"


def test_a_large_frame_shrinks_with_its_regions() -> None:
    _, result = result_of(0, 0.75)
    image = np.zeros((600, 2000, 3), np.uint8)
    result = replace(
        result,
        regions=(Region(1000, 300, 200, 100, 20000, 0.75), Region(1999, 599, 1, 1, 1, 0.6)),
        preprocess=Preprocess(roi=(500, 100, 1500, 500)),
    )
    small, fitted = scaled(image, result, 0.25)
    assert small.shape == (150, 500, 3)
    assert fitted.regions == (Region(250, 75, 50, 25, 20000, 0.75), Region(499, 149, 1, 1, 1, 0.6))
    assert fitted.preprocess.roi == (125, 25, 375, 125)
    assert draw(Frame(image), result, 500).shape == (150, 500, 3)


@pytest.mark.parametrize("shape", [(1201, 1603), (3000, 40), (17, 4000), (700, 700, 3)])
@pytest.mark.parametrize("rotate", [0, 90])
def test_what_is_shrunk_can_be_drawn_whatever_its_shape(shape: tuple[int, ...], rotate: int) -> None:
    _, result = result_of(0, 0.75)
    height, width = shape[:2]
    preprocess = Preprocess(roi=(1, 1, width - 1, height - 1), rotate=rotate)  # type: ignore[arg-type]
    result = replace(result, regions=(Region(0, 0, width, height, 1, 0.7),), preprocess=preprocess)
    drawn = draw(Frame(np.zeros(shape, np.uint8)), result, 256)
    assert min(drawn.shape[:2]) >= 16
    assert max(drawn.shape[:2]) == 256 or min(drawn.shape[:2]) == 16


def test_the_overlay_can_be_left_out() -> None:
    frame, result = result_of(0, 0.75)
    np.testing.assert_array_equal(draw(frame, result, overlay=False), frame.image)
    changed = (draw(frame, result, 96) != frame.image).any(axis=2)
    # Map pixels 8..15 of 32 are source pixels 24..47 across and 16..31 down.
    assert changed[16:32, 24:48].all()
    assert not changed[48:].any()


def test_a_caption_holds_what_json_can_say() -> None:
    frame, result = result_of(4, float("nan"), "unreliable", reason="too dark")
    assert caption(Newest(9, frame, result)) == {
        "number": 9,
        "source": "line/4.png",
        "index": 4,
        "status": "unreliable",
        "score": None,
        "threshold": 0.5,
        "time": 1795507204.0,
        "reason": "too dark",
        "regions": 0,
    }


def test_an_image_that_is_no_jpeg() -> None:
    with pytest.raises((ValueError, cv2.error)):
        jpeg(np.zeros((1, 70000, 3), np.uint8))


def test_the_current_image_is_drawn_four_times_a_second_at_most() -> None:
    now = [0.0]
    history, painter = History(), Painter()
    picture = CurrentImage(history, painter, clock=lambda: now[0])

    async def look() -> None:
        assert await picture.get(overlay=True) is None
        history.add(*result_of(0))
        first = await picture.get(overlay=True)
        assert first is not None
        assert first.caption["number"] == 1
        history.add(*result_of(1))
        now[0] = 0.2
        # All who look in the meantime get the same one.
        assert await asyncio.gather(picture.get(True), picture.get(True)) == [first, first]
        plain = await picture.get(overlay=False)
        assert plain is not None
        assert plain.caption["number"] == 2, "the other kind has its own time"
        now[0] = 0.26
        second = await picture.get(overlay=True)
        assert second is not None
        assert second.caption["number"] == 2
        now[0] = 99
        assert await picture.get(overlay=True) is second, "nothing new: not drawn again"
        decoded = cv2.imdecode(np.frombuffer(second.data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.shape == (256, 384, 3)

    try:
        asyncio.run(look())
    finally:
        painter.close()


def test_anomalies_are_kept_bounded_and_those_passed_over_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.page.gallery.ANOMALIES_PER_SECOND", 1e6)
    painter = Painter()

    async def run() -> None:
        gallery = Gallery(lambda work: work())
        task = asyncio.create_task(gallery.keep(painter))

        async def settle(number: int) -> None:
            while not gallery.listed() or gallery.listed()[0]["number"] != number:
                await asyncio.sleep(0.005)

        # Three before there is time to draw: the newest gets the image.
        for number in (1, 2, 3):
            gallery.offer(number, *result_of(number, 0.75))
        await settle(3)
        assert [(one["number"], one["passed"]) for one in gallery.listed()] == [(3, 2)]
        for number in range(4, KEPT_ANOMALIES + 10):
            gallery.offer(number, *result_of(number, 0.75))
            await settle(number)
        numbers = [one["number"] for one in gallery.listed()]
        assert numbers == list(range(KEPT_ANOMALIES + 9, 9, -1))
        assert gallery.image(9, small=True) is None
        assert [gallery.has_dropped(number) for number in (0, 1, 9, 10, 99)] == [
            False,
            True,
            True,
            False,
            False,
        ]
        large, small = gallery.image(10, small=False), gallery.image(10, small=True)
        assert large is not None
        assert small is not None
        assert large[:2] == small[:2] == b"\xff\xd8"
        monkeypatch.setattr("dmdd_edge.runtime.page.gallery.KEPT_BYTES", 3 * (len(large) + len(small)) + 9)
        gallery.offer(99, *result_of(99, 0.75))
        await settle(99)
        assert len(gallery.listed()) == 3
        task.cancel()

    try:
        asyncio.run(asyncio.wait_for(run(), 60))
    finally:
        painter.close()


def test_an_anomaly_that_cannot_be_drawn_does_not_end_the_gallery(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.page.gallery.ANOMALIES_PER_SECOND", 1e6)
    painter = Painter()

    async def run() -> None:
        gallery = Gallery(lambda work: work())
        task = asyncio.create_task(gallery.keep(painter))
        frame, result = result_of(1, 0.75)
        gallery.offer(1, Frame(np.zeros((2, 2), np.float64)), result)
        while "No image of anomaly line/1.png" not in caplog.text:
            await asyncio.sleep(0.005)
        gallery.offer(2, frame, result)
        while not gallery.listed():
            await asyncio.sleep(0.005)
        task.cancel()

    try:
        asyncio.run(asyncio.wait_for(run(), 60))
    finally:
        painter.close()
