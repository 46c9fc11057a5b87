"""Label Studio: ``tasks.json`` with predictions, a folder of images, and the labeling interface for them.

Images are named by path, for Label Studio's local file serving, whose document root is the folder that holds
the export: embedded images would make a file that is too large to import. The verdict and the regions are
predictions, so that a person confirms them; nothing counts as labeled yet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dmdd_edge.failures import storage_errors
from dmdd_edge.runtime.archive.export.reviewed import Part, ReviewedParts

INTERFACE = """<View>
  <Image name="image" value="$image" zoom="true"/>
  <RectangleLabels name="region" toName="image">
    <Label value="anomaly" background="#b4231a"/>
  </RectangleLabels>
  <Choices name="verdict" toName="image" choice="single">
    <Choice value="good"/>
    <Choice value="bad"/>
    <Choice value="unsure"/>
  </Choices>
</View>
"""


def write_label_studio(found: ReviewedParts, folder: Path, name: str) -> dict[str, int]:
    """Write all reviewed parts into ``folder``.

    Args:
        found: see above.
        folder: where to.
        name: that the folder will have.

    Returns:
        Number of tasks and of boxes.

    Raises:
        StorageError: a file cannot be written.
    """
    tasks = []
    boxes = 0
    for part in found.parts:
        part.copy(folder / "images")
        tasks.append(_task(part, name))
        boxes += len(tasks[-1]["predictions"][0]["result"]) - 1
    for path, text in (
        (folder / "tasks.json", json.dumps(tasks, indent=1) + "\n"),
        (folder / "labeling_interface.xml", INTERFACE),
    ):
        with storage_errors(path):
            path.write_text(text, encoding="utf-8")
    return {"tasks": len(tasks), "boxes": boxes}


def _task(part: Part, name: str) -> dict[str, Any]:
    record = part.record
    result: list[dict[str, Any]] = [
        {
            "id": f"{record.id}-verdict",
            "type": "choices",
            "from_name": "verdict",
            "to_name": "image",
            "value": {"choices": [part.verdict]},
        }
    ]
    for number, (x, y, width, height, peak) in enumerate(part.boxes() if part.verdict != "good" else ()):
        result.append(
            {
                "id": f"{record.id}-{number}",
                "type": "rectanglelabels",
                "from_name": "region",
                "to_name": "image",
                "original_width": part.width,
                "original_height": part.height,
                "image_rotation": 0,
                "score": peak,
                "value": {
                    "x": 100 * x / part.width,
                    "y": 100 * y / part.height,
                    "width": 100 * width / part.width,
                    "height": 100 * height / part.height,
                    "rotation": 0,
                    "rectanglelabels": ["anomaly"],
                },
            }
        )
    facts = {"id": record.id, "time": record.time, "category": record.category, "status": record.status}
    return {
        "data": {
            "image": f"/data/local-files/?d={quote(f'{name}/images/{part.name}')}",
            **facts,
            "inspection": record.inspection,
            "who": part.feedback.who,
        },
        "predictions": [
            {
                "model_version": f"{record.category} {record.version}",
                "score": record.score if record.score is not None else 0.0,
                "result": result,
            }
        ],
    }
