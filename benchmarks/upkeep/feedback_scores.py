"""Scores of good and defective images under a changed line: darker, a JPEG stream, a lens that went soft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.detector import Detector

Image = NDArray[np.uint8]

#: Ranges of the light (a factor), of a Gaussian blur (its width in pixels) and of the JPEG quality.
CHANGE = {"light": (0.92, 1.0), "blur": (0.2, 0.35), "jpeg": (95, 99)}
_SEED = 19


def changed(image: Image, rng: np.random.Generator) -> Image:
    """An image under the changed line: its light, focus and compression are drawn evenly from ``CHANGE``."""
    gain, sigma, quality = (rng.uniform(*CHANGE[name]) for name in ("light", "blur", "jpeg"))
    dark = np.clip(np.rint(image.astype(np.float32) * np.float32(gain)), 0, 255).astype(np.uint8)
    soft = cv2.GaussianBlur(dark, (0, 0), sigma)
    done, data = cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def line_scores(model: Path, data: Path, cache: Path) -> dict[str, Any]:
    """Scores of every image under the changed line; kept in a file, since they take minutes.

    Args:
        model: folder of the bundle.
        data: the category in MVTec AD's layout.
        cache: folder of the file.

    Returns:
        ``threshold`` (exported), ``version``, and ``good`` and ``bad``: scores, None of unreliable frames.
    """
    bundle = Bundle.load(model)
    key = {"version": bundle.version, "change": {name: list(bounds) for name, bounds in CHANGE.items()}}
    kept = cache / f"{bundle.category}.json"
    if kept.exists():
        document: dict[str, Any] = json.loads(kept.read_text())
        if document["key"] == key:
            return document
    good = [*sorted((data / "train" / "good").glob("*.png")), *sorted((data / "test" / "good").glob("*.png"))]
    bad = sorted(path for path in (data / "test").glob("*/*.png") if path.parent.name != "good")
    rng = np.random.default_rng(_SEED)

    def score(path: Path, detector: Detector) -> float | None:
        image = cv2.imread(str(path))
        assert image is not None, path
        result = detector(changed(np.asarray(image, np.uint8), rng))
        return None if result.status == "unreliable" else result.score

    with Detector.load(bundle.path, "cpu") as detector:
        document = {
            "key": key,
            "version": bundle.version,
            "threshold": bundle.manifest.threshold.image,
            **{
                name: [score(path, detector) for path in paths]
                for name, paths in (("good", good), ("bad", bad))
            },
        }
    cache.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(document))
    return document
