from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.images import choose_images

Make = Callable[..., Bundle]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """100 images whose level is their number."""
    (tmp_path / "many").mkdir()
    for number in range(100):
        cv2.imwrite(str(tmp_path / "many" / f"{number}.png"), np.full((20, 20, 3), number, np.uint8))
    return tmp_path / "many"


def test_a_source_gives_images_evenly_with_their_files(make_bundle: Make, many: Path) -> None:
    found = choose_images(make_bundle().manifest, str(many), most=10)
    assert [int(frame[0, 0, 0]) for frame in found.frames] == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert [path.name for path in found.files] == [f"{n}.png" for n in range(0, 100, 10)]
    assert found.as_dict() == {"kind": "source", "origin": str(many), "count": 10, "sizes": ["20x20"]}


def test_broken_files_are_skipped(make_bundle: Make, many: Path, tmp_path: Path) -> None:
    (many / "10.png").write_bytes(b"")
    assert len(choose_images(make_bundle().manifest, str(many), most=10)) == 9
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "0.png").write_bytes(b"broken")
    with pytest.raises(DmddError, match=r"0\.png"):
        choose_images(make_bundle().manifest, str(tmp_path / "one"))


def test_the_frames_of_a_video_have_no_files_to_decode(make_bundle: Make, tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for level in range(0, 200, 10):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    found = choose_images(make_bundle().manifest, str(path), most=8)
    assert 1 <= len(found) <= 8
    assert found.files == ()
    assert found.frames[0].shape == (48, 64, 3)


def test_the_test_images_of_the_bundles_category(make_bundle: Make, plates: Path) -> None:
    found = choose_images(make_bundle("plate").manifest, data=plates, most=4)
    assert found.kind == "test images"
    assert len(found) == 4
    assert {path.parent.name for path in found.files} > {"good"}, "good and defective ones"
    with pytest.raises(DmddError, match="no category 'screw'"):
        choose_images(make_bundle().manifest, data=plates)


def test_without_images_noise_is_generated_that_fits_the_region(make_bundle: Make) -> None:
    plain = choose_images(make_bundle().manifest)
    assert plain.kind == "generated"
    assert plain.as_dict()["sizes"] == ["64x64"]
    assert plain.files == ()
    manifest = make_bundle(preprocess=Preprocess(roi=(30, 20, 100, 50))).manifest
    found = choose_images(manifest)
    assert found.as_dict()["sizes"] == ["130x70"]
    assert found.prepared(manifest).shape == (8, 64, 64, 3)


def test_images_are_prepared_as_the_runtime_does_it(
    make_bundle: Make, make_picture: Callable[..., NDArray[np.uint8]], tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), make_picture(patch=204))
    manifest = make_bundle(preprocess=Preprocess(rotate=90)).manifest
    found = choose_images(manifest, str(tmp_path / "a.png"))
    expected = manifest.preprocess.prepare(found.frames[0], 64)
    assert np.array_equal(found.prepared(manifest)[0], expected)


def test_of_tiled_images_the_tiles_are_counted_and_are_the_input_of_the_graph(make_bundle: Make) -> None:
    manifest = make_bundle(preprocess=Preprocess(tiling=Tiling(tile=64, overlap=16))).manifest
    images = choose_images(manifest)  # noise of three by three tiles: 3 * 64 - 2 * 16 pixels a side
    assert {frame.shape for frame in images.frames} == {(160, 160, 3)}
    assert images.tiles_per_image(manifest) == (9,)
    tiles = images.prepared(manifest)
    assert tiles.shape == (32, 64, 64, 3)  # four of each of eight images
    np.testing.assert_array_equal(tiles[0], images.frames[0][:64, :64])
    np.testing.assert_array_equal(tiles[5], images.frames[1][:64, 48:112])


def test_large_images_are_held_up_to_a_bound(
    make_bundle: Make, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.bench.images.MOST_BYTES", 3 * 20 * 20 * 3)
    assert len(choose_images(make_bundle().manifest, str(many), most=10)) == 3
