"""A folder in which command lines find what they name: images, a run, a bundle, and places that refuse."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np


def make_world(folder: Path, runs: Path, models: Path, data: Path) -> Path:
    """Copy a run, a bundle and their data into ``folder`` and add what goes wrong elsewhere.

    Args:
        folder: new.
        runs: holds the run ``plate``.
        models: holds the bundle ``plate``.
        data: the data set of the category ``plate``.
    """
    shutil.copytree(runs, folder / "runs")
    shutil.copytree(models, folder / "models")
    shutil.copytree(data, folder / "data")
    good = sorted((data / "plate" / "train" / "good").iterdir())
    images = folder / "lot [1] größe"
    images.mkdir()
    for path in good[:3]:
        shutil.copy(path, images)
    shutil.copy(good[0], folder / "part.png")
    (folder / "text.txt").write_text("not an image\n")
    (folder / "broken.png").write_bytes(good[0].read_bytes()[:100])
    (folder / "empty").mkdir()
    (folder / "only_text").mkdir()
    (folder / "only_text" / "notes.txt").write_text("x")
    (folder / "list.txt").write_text("part.png\nnowhere.png\n")
    (folder / "gone.png").symlink_to("/nowhere/at/all.png")
    os.mkfifo(folder / "pipe")
    (folder / "config.toml").write_text("limit = 1\n")
    cv2.imwrite(os.fspath(folder / "mask.png"), np.zeros((64, 64), np.uint8))
    _film(folder / "film.avi")
    damaged = folder / "damaged" / "plate" / (models / "plate" / "CURRENT").read_text().strip()
    shutil.copytree(models, folder / "damaged")
    (damaged / "manifest.json").write_text('{"schema_version": true, "version": "../../x"}')
    halved = folder / "half_run" / "plate"
    shutil.copytree(runs, folder / "half_run")
    for name in ("run.json", "config.json"):
        text = (halved / name).read_text()
        (halved / name).write_text(text[: len(text) // 2])
    return folder


def _film(path: Path) -> None:
    film = cv2.VideoWriter(os.fspath(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for level in range(0, 200, 40):
        film.write(np.full((64, 64, 3), level, np.uint8))
    film.release()
