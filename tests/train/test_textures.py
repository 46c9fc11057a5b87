"""Sources of textures: folders with broken files, and the drawn bank."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.train.synthesis.textures import FolderTextures, MixedTextures, OwnTextures, ProceduralTextures


def plain(path: Path, level: int, side: int = 32) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((side, side, 3), level, np.uint8))
    return path


def test_broken_files_are_passed_over(tmp_path: Path) -> None:
    plain(tmp_path / "banded" / "a.png", 10)
    plain(tmp_path / "dotted" / "deep" / "c.png", 200, side=300)
    (tmp_path / "banded" / "b.png").write_bytes(b"not an image")
    (tmp_path / "dotted" / "d.jpg").write_bytes(b"")
    textures = FolderTextures(tmp_path, 48)
    rng = np.random.default_rng(0)
    levels = set()
    for _ in range(40):
        texture = textures.draw(rng)
        assert texture.shape == (48, 48, 3)
        assert texture.dtype == np.uint8
        levels |= set(np.unique(texture).tolist())
    assert levels == {10, 200}


def test_only_broken_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(DmddError, match="No texture image can be read") as error:
        FolderTextures(tmp_path, 48).draw(np.random.default_rng(0))
    assert "--textures" in (error.value.fix or "")


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_images_is_named(made: bool, tmp_path: Path) -> None:
    folder = tmp_path / "dtd"
    if made:
        folder.mkdir()
        (folder / "readme.txt").write_text("nothing here")
    with pytest.raises(DmddError) as error:
        FolderTextures(folder, 48)
    assert str(folder) in error.value.message
    assert "--textures" in (error.value.fix or "")


def test_each_file_of_a_folder_is_drawn(tmp_path: Path) -> None:
    for level in range(5):
        plain(tmp_path / f"{level}.png", 40 * level)
    textures = FolderTextures(tmp_path, 32)
    rng = np.random.default_rng(0)
    assert {int(textures.draw(rng)[0, 0, 0]) for _ in range(60)} == {0, 40, 80, 120, 160}


def test_drawn_textures_vary_and_repeat() -> None:
    bank = ProceduralTextures(64)
    drawn = [bank.draw(np.random.default_rng(seed)) for seed in range(60)]
    assert all(texture.shape == (64, 64, 3) and texture.dtype == np.uint8 for texture in drawn)
    assert len({texture.tobytes() for texture in drawn}) == 60
    assert sum(float(texture.std()) > 5 for texture in drawn) > 50
    coloured = [float(np.abs(t[..., 0].astype(int) - t[..., 2]).mean()) > 10 for t in drawn]
    assert sum(coloured) > 30
    for seed in (0, 1, 2):
        assert np.array_equal(ProceduralTextures(64).draw(np.random.default_rng(seed)), drawn[seed])


def test_every_kind_of_drawn_pattern_stays_within_zero_and_one() -> None:
    bank = ProceduralTextures(64)
    for pattern in bank._patterns:
        for seed in range(8):
            values = pattern(np.random.default_rng(seed))
            assert values.shape == (64, 64)
            assert float(values.min()) >= 0.0, pattern.__name__
            assert float(values.max()) <= 1.0, pattern.__name__
            assert float(values.std()) > 0.01, pattern.__name__


def test_own_textures_are_views_of_the_images() -> None:
    """Turned and shifted with mirrored borders, so no level appears that the light cannot explain."""
    image = np.full((64, 64, 3), 100, np.uint8)
    image[:, :, 2] = 50
    rng = np.random.default_rng(0)
    for _ in range(20):
        texture = OwnTextures([image]).draw(rng)
        blue, red = (np.unique(texture[..., channel]) for channel in (0, 2))
        assert texture.shape == image.shape
        assert len(blue) == len(red) == 1
        assert blue[0] >= red[0]
    shown = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    first, again = (OwnTextures([image, shown]).draw(np.random.default_rng(8)) for _ in range(2))
    assert np.array_equal(first, again)


class _Level:
    def __init__(self, level: int) -> None:
        self.level = level

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return np.full((4, 4, 3), self.level, np.uint8)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.25, 30, 70), (1.0, 200, 200)])
def test_mixed_textures_keep_to_their_share(share: float, low: int, high: int) -> None:
    mixed = MixedTextures(_Level(1), _Level(2), share)
    rng = np.random.default_rng(0)
    drawn = [int(mixed.draw(rng)[0, 0, 0]) for _ in range(200)]
    assert low <= drawn.count(2) <= high


def test_drawn_textures_are_as_lively_as_photographs() -> None:
    # DTD's images have a mean deviation of 43 to 45 gray levels, and their neighboring rows differ by 8 to 9.
    bank, rng = ProceduralTextures(256), np.random.default_rng(3)
    gray = [bank.draw(rng).astype(np.float64).mean(axis=2) for _ in range(60)]
    assert 25 < np.mean([image.std() for image in gray]) < 55
    assert 4 < np.mean([np.abs(np.diff(image, axis=0)).mean() for image in gray]) < 12
