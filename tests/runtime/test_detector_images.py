"""Images as users hold them (paths, Pillow images, RGB arrays), the overlay of a result, and streams."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import BackendError, DataError, OptionError, SourceError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.detector_input import frame_of
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.result import Region
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def detector(make_bundle: Make) -> Iterator[Detector]:
    with Detector.load(make_bundle().path, backend="cpu") as opened:
        yield opened


def test_every_form_of_an_image_gives_the_same_score(
    detector: Detector, make_picture: Picture, tmp_path: Path
) -> None:
    bgr = make_picture(patch=204)  # blue; a channel order mixed up on the way would give 30 / 255
    rgb = np.ascontiguousarray(bgr[:, :, ::-1])
    path = tmp_path / "part.png"
    cv2.imwrite(str(path), bgr)
    rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    assert detector(str(path)).score == pytest.approx(0.8)
    assert detector(path).source == str(path)
    assert detector(rgb, color="rgb").score == pytest.approx(0.8)
    assert detector(rgba, color="rgb").score == pytest.approx(0.8)
    assert detector(np.stack([rgb, rgb]), color="rgb")[1].score == pytest.approx(0.8)
    assert detector(Image.open(path)).score == pytest.approx(0.8)
    assert detector(Image.fromarray(rgba)).score == pytest.approx(0.8)
    mixed = detector([path, bgr, Image.fromarray(rgb)])
    assert [result.score for result in mixed] == pytest.approx([0.8] * 3)
    assert [result.index for result in mixed] == [0, 1, 2]


def test_gray_is_gray_in_either_order(detector: Detector) -> None:
    gray = np.full((64, 64), 51, np.uint8)
    for image in (gray, gray[:, :, None]):
        assert detector(image, color="rgb").score == pytest.approx(0.2)
    assert detector(Image.fromarray(gray)).score == pytest.approx(0.2)
    assert detector(Image.fromarray(gray).convert("P")).score == pytest.approx(0.2)


def test_sixteen_bits_of_a_pillow_image_are_scaled_as_those_of_a_file(tmp_path: Path) -> None:
    values = np.full((32, 32), 2048, np.uint16)
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), values)
    for bits, expected in ((16, 8), (12, 128)):  # 2048 / 65535 and 2048 / 4095 of 255, rounded
        from_file = frame_of(path, "bgr", bits, 0)
        from_pillow = frame_of(Image.open(path), "bgr", bits, 0)
        assert from_pillow.image[0, 0].tolist() == from_file.image[0, 0].tolist() == [expected] * 3
        assert from_pillow.peak == from_file.peak == 2048


def test_thirty_two_bits_of_a_pillow_image_are_sixteen_where_the_values_need_them() -> None:
    deep = frame_of(Image.new("I", (32, 32), 32896), "bgr", 16, 0)  # 128 * 257
    assert deep.image[0, 0].tolist() == [128] * 3
    assert deep.peak == 32896


def _cut_off() -> Image.Image:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, "png")
    return Image.open(io.BytesIO(file.getvalue()[:3000]))


def _closed() -> Image.Image:
    image = Image.new("RGB", (32, 32))
    image.close()
    return image


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_cut_off, "mode RGB cannot be read: image file is truncated"),
        (_closed, "cannot be read: Operation on closed image"),
        (lambda: Image.Image, "not the class Image"),
        (lambda: Image.new("F", (32, 32), 0.5), "mode F holds floating-point numbers"),
        (lambda: Image.new("I", (32, 32), 255), "mode I with no value above 255 may have 8 or 16 bits"),
        (lambda: Image.new("I", (32, 32), -1), "values from -1 to 0; 0..65535"),
        (lambda: Image.new("I", (32, 32), 65536), "values from 0 to 65536"),
    ],
)
def test_a_pillow_image_that_cannot_be_used_is_a_data_error(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        frame_of(make(), "bgr", 16, 0)
    assert caught.value.fix


def test_premultiplied_gray_of_a_pillow_image_is_read() -> None:
    image = Image.new("LA", (32, 32), (51, 255)).convert("La")
    assert frame_of(image, "bgr", 16, 0).image[0, 0].tolist() == [51] * 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_of_a_pillow_image_is_applied(orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(image)
    assert upright is not None
    np.testing.assert_array_equal(frame_of(image, "bgr", 16, 0).image, np.asarray(upright)[:, :, ::-1])


def test_an_unknown_color_order_is_refused(detector: Detector, make_picture: Picture) -> None:
    with pytest.raises(OptionError, match="color is 'grb'"):
        detector(make_picture(), color="grb")  # type: ignore[call-overload]


def test_a_broken_file_is_a_data_error(detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(DataError, match=r"empty\.png: the file is empty"):
        detector(tmp_path / "empty.png")


def test_a_closed_detector_says_so(make_bundle: Make, make_picture: Picture) -> None:
    detector = Detector.load(make_bundle().path, backend="cpu")
    detector.close()
    detector.close()
    for use in (lambda: detector(make_picture()), lambda: detector([]), lambda: detector.stream("0")):
        with pytest.raises(BackendError, match="This Detector is closed"):
            use()
    assert "closed" in repr(detector)


def test_the_overlay_is_the_one_that_the_sinks_draw(
    make_bundle: Make, make_picture: Picture, tmp_path: Path
) -> None:
    image = make_picture(patch=204)
    path = tmp_path / "part.png"
    cv2.imwrite(str(path), image)
    bundle = make_bundle(preprocess=Preprocess(roi=(64, 0, 128, 128)))
    with Detector.load(bundle.path, backend="cpu") as detector:
        from_file, from_array = detector([path, image])
    expected = draw_overlay(image, from_array)
    assert from_file.image is None
    np.testing.assert_array_equal(from_file.plot(), expected)
    np.testing.assert_array_equal(from_array.plot(), expected)
    np.testing.assert_array_equal(from_file.plot(caption=False, longest=128).shape, (64, 128, 3))
    from_array.save(tmp_path / "overlay.png")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "overlay.png")), expected)
    with pytest.raises(DataError, match="cannot write"):
        from_array.save(tmp_path / "overlay.doc")
    path.unlink()
    with pytest.raises(DataError, match=r"not available .*part\.png"):
        from_file.plot()
    np.testing.assert_array_equal(from_file.plot(image), expected)


def test_readable_forms(make_bundle: Make, make_picture: Picture) -> None:
    bundle = make_bundle()
    with Detector.load(bundle.path, backend="cpu") as detector:
        result = detector(make_picture(patch=204))
        assert repr(detector) == f"<Detector screw {bundle.version} on cpu, threshold 0.5000>"
        assert repr(result) == "<Result 0: anomalous, score 0.8000 > threshold 0.5000, 1 region>"
        assert repr(detector(make_picture())) == "<Result 0: good, score 0.1176 <= threshold 0.5000>"
    assert repr(result.regions) == "(Region(x=100, y=20, width=40, height=20, area=800, peak=0.8),)"
    assert result.regions[0] == eval(repr(Region(1, 2, 3, 4, 5, 0.5))) or result.regions[0].peak > 0.5
    assert repr(bundle) == f"<Bundle screw {bundle.version} at {bundle.path}>"


def test_a_stream_over_a_folder_has_a_result_per_image(
    detector: Detector, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (images / "good" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with caplog.at_level(logging.WARNING, "dmdd_edge"):
        results = list(detector.stream(images))
    assert [result.status for result in results] == ["anomalous", "anomalous", "good", "good"]
    assert [result.index for result in results] == [0, 1, 2, 3]
    assert len(caplog.records) == 1
    assert "good/2.png" in caplog.text
    broken: list[BrokenFrame] = []
    assert len(list(detector.stream(str(images), on_error=broken.append))) == 4
    assert [Path(frame.source).name for frame in broken] == ["2.png"]
    assert len(list(detector.stream(images, limit=2))) == 2


def test_a_stream_ends_with_its_loop_and_holds_the_frames_of_a_video(
    detector: Detector, make_picture: Picture, tmp_path: Path
) -> None:
    video = tmp_path / "belt.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 25, (256, 128))
    for _ in range(30):
        writer.write(make_picture(patch=204))
    writer.release()
    stream = detector.stream(video)
    first = next(stream)
    assert first.image is not None
    assert first.plot().shape[1] == 512  # 256 pixels wide, enlarged by a whole number to 320 or more
    stream.close()  # type: ignore[attr-defined]
    assert next(stream, None) is None
    live = detector.stream(f"replay:{video}", limit=3)
    assert [result.status for result in live] == ["anomalous"] * 3


def test_a_stream_of_a_missing_source_is_a_source_error(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        next(detector.stream(tmp_path / "nowhere"))


def test_an_open_source_can_be_streamed(detector: Detector, images: Path) -> None:
    from dmdd_edge.runtime.sources import open_source

    assert len(list(detector.stream(open_source(str(images))))) == 4


def test_a_source_that_fails_midway_gives_what_came_before(detector: Detector, images: Path) -> None:
    from dmdd_edge.runtime.sources import open_source

    source: Any = open_source(str(images))

    class Failing(type(source)):  # type: ignore[misc]
        def __iter__(self) -> Iterator[Any]:
            yield from list(super().__iter__())[:3]
            raise SourceError("The camera was lost.")

    source.__class__ = Failing
    results = detector.stream(source)
    assert [next(results).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match="camera was lost"):
        next(results)
