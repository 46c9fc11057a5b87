"""COCO JSON: ``annotations.json`` and a folder of images.

The boxes are the detector's regions on parts that a person called bad: proposals, not drawn by anybody. A
good part has no annotation, whatever the detector marked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dmdd_edge._version import __version__
from dmdd_edge.failures import storage_errors
from dmdd_edge.runtime.archive.export.reviewed import Part, ReviewedParts

CAVEAT = (
    "Image verdicts are those of people. Boxes are regions proposed by the detector, not drawn by a person; "
    "correct them before training on them."
)


def write_coco(found: ReviewedParts, folder: Path) -> dict[str, int]:
    """Write the good and bad parts into ``folder``.

    Returns:
        Number of images and of boxes.

    Raises:
        StorageError: a file cannot be written.
    """
    parts = [part for part in found.parts if part.verdict != "unsure"]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, part in enumerate(parts, start=1):
        part.copy(folder / "images")
        images.append(_image(number, part))
        for x, y, width, height, peak in part.boxes() if part.verdict == "bad" else ():
            right, bottom = x + width, y + height
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "segmentation": [[x, y, right, y, right, bottom, x, bottom]],
                    "iscrowd": 0,
                    "score": peak,
                }
            )
    document = {
        "info": {"description": CAVEAT, "version": "1", "contributor": f"dmdd-edge {__version__}"},
        "licenses": [],
        "categories": [{"id": 1, "name": "anomaly", "supercategory": ""}],
        "images": images,
        "annotations": annotations,
    }
    path = folder / "annotations.json"
    with storage_errors(path):
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return {"images": len(images), "boxes": len(annotations)}


def _image(number: int, part: Part) -> dict[str, Any]:
    record = part.record
    return {
        "id": number,
        "file_name": f"images/{part.name}",
        "width": part.width,
        "height": part.height,
        "date_captured": record.time,
        "verdict": part.verdict,
        "who": part.feedback.who,
        "category": record.category,
        "inspection": record.inspection,
        "score": record.score,
        "threshold": record.threshold,
    }
