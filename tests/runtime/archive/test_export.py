"""Reviewed images as folders, COCO and Label Studio JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import load_category
from dmdd_edge.errors import DataError, OptionError
from dmdd_edge.runtime.archive.export.export import ExportFormat, export_reviewed
from dmdd_edge.runtime.archive.feedback import Feedback
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import Box
from tests.runtime.archive.shelf import drop, gray, keep, name_of, record_of, stocked

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFolder:
    """14 images: 9 good, 2 bad, one unsure, one deleted, one not reviewed."""
    archive = stocked(tmp_path / "archive", 14)
    verdicts = ["good"] * 4 + ["bad", "good", "unsure", "good", "good", "bad", "good", "good", "good"]
    for number, verdict in enumerate(verdicts):
        archive.feedback.add(Feedback.on(record_of(number), verdict, "Ann"))  # type: ignore[arg-type]
    drop(archive, record_of(12))
    keep(archive, record_of(9, regions=(Box(x=-2, y=20, width=12, height=9, area=30, peak=0.75),)))
    return archive


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_false_alarm_called_good_is_trained_on(tmp_path: Path) -> None:
    archive = ArchiveFolder.make(tmp_path / "archive")
    for number in (0, 3, 6):
        name = f"20261129T08000{number}000Z-anomalous"
        record = record_of(number, id=name, image=f"kept/2026-11-29/{name}.png")
        keep(archive, record)
        archive.feedback.add(Feedback.on(record, "good"))
    done = export_reviewed(archive, tmp_path / "out", "mvtec")
    assert done.written == {"plate/train/good": 2, "plate/test/good": 1}
    # Training takes a file that says "anomalous" for a defective part.
    category = load_category(tmp_path / "out" / "plate")
    assert [path.name for path in category.train] == ["20261129T080000000Z.png", "20261129T080006000Z.png"]


def test_folders_are_a_data_set_that_training_takes(archive: ArchiveFolder, tmp_path: Path) -> None:
    done = export_reviewed(archive, tmp_path / "out", "mvtec")
    assert done.written == {"plate/train/good": 7, "plate/test/good": 2, "plate/test/bad": 2}
    assert done.left_out == {"unsure": 1, "deleted from the archive": 1}
    out = tmp_path / "out" / "plate"
    # By time, the second and the seventh good part.
    assert [path.stem for path in sorted((out / "test" / "good").iterdir())] == [name_of(1), name_of(8)]
    assert [path.stem for path in sorted((out / "test" / "bad").iterdir())] == [name_of(4), name_of(9)]
    source = archive.path / record_of(4).image
    assert (out / "test" / "bad" / f"{name_of(4)}.png").read_bytes() == source.read_bytes()
    category = load_category(out)
    assert (category.layout, len(category.train)) == ("mvtec", 7)
    assert sorted((image.defect, image.mask) for image in category.test) == [
        ("bad", None),
        ("bad", None),
        ("good", None),
        ("good", None),
    ]
    assert done.next_command() == (
        f"dmdd-edge train --continue plate --add {tmp_path / 'out' / 'plate' / 'train' / 'good'}"
    )


def test_a_jpeg_stays_one_and_categories_have_their_folders(tmp_path: Path) -> None:
    archive = ArchiveFolder.make(tmp_path / "archive")
    for number, category in ((0, "my cap"), (1, "plate")):
        image = f"kept/2026-11-29/{name_of(number)}.jpg"
        keep(archive, record_of(number, category=category, image=image))
        archive.feedback.add(Feedback.on(record_of(number, category=category), "good"))
    done = export_reviewed(archive, tmp_path / "out", "mvtec")
    assert done.written == {"my cap/train/good": 1, "plate/train/good": 1}
    assert (tmp_path / "out" / "my cap" / "train" / "good" / f"{name_of(0)}.jpg").is_file()


def test_coco_has_boxes_of_bad_parts_within_their_images(archive: ArchiveFolder, tmp_path: Path) -> None:
    done = export_reviewed(archive, tmp_path / "out", "coco")
    assert done.written == {"images": 11, "boxes": 1}
    document = read(tmp_path / "out" / "annotations.json")
    assert "not drawn by a person" in document["info"]["description"]
    assert document["categories"] == [{"id": 1, "name": "anomaly", "supercategory": ""}]
    images = {image["id"]: image for image in document["images"]}
    assert len(images) == 11
    for image in images.values():
        seen = cv2.imread(str(tmp_path / "out" / image["file_name"]))
        assert seen is not None
        assert seen.shape == (image["height"], image["width"], 3)
    (annotation,) = document["annotations"]
    assert images[annotation["image_id"]]["file_name"] == f"images/{name_of(9)}.png"
    # x from -2 and height to 29 are cut at the edges of 32 x 24 pixels.
    assert annotation == {
        "id": 1,
        "image_id": annotation["image_id"],
        "category_id": 1,
        "bbox": [0, 20, 10, 4],
        "area": 40,
        "segmentation": [[0, 20, 10, 20, 10, 24, 0, 24]],
        "iscrowd": 0,
        "score": 0.75,
    }
    assert {image["verdict"] for image in images.values()} == {"good", "bad"}


def test_pycocotools_reads_it(archive: ArchiveFolder, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools")
    export_reviewed(archive, tmp_path / "out", "coco")
    read_back = coco.COCO(str(tmp_path / "out" / "annotations.json"))
    (number,) = read_back.getAnnIds()
    assert read_back.annToMask(read_back.loadAnns(number)[0]).sum() == 40


def test_label_studio_gets_tasks_with_predictions(archive: ArchiveFolder, tmp_path: Path) -> None:
    done = export_reviewed(archive, tmp_path / "my out", "labelstudio")
    # One of the bad part, one of the part that nobody is sure of.
    assert done.written == {"tasks": 12, "boxes": 2}
    assert done.left_out == {"deleted from the archive": 1}
    tasks = {task["data"]["id"]: task for task in read(tmp_path / "my out" / "tasks.json")}
    task = tasks[name_of(9)]
    assert task["data"]["image"] == f"/data/local-files/?d=my%20out/images/{name_of(9)}.png"
    (prediction,) = task["predictions"]
    verdict, region = prediction["result"]
    assert (verdict["type"], verdict["value"]) == ("choices", {"choices": ["bad"]})
    assert region["value"] == {
        "x": 0.0,
        "y": pytest.approx(100 * 20 / 24),
        "width": pytest.approx(100 * 10 / 32),
        "height": pytest.approx(100 * 4 / 24),
        "rotation": 0,
        "rectanglelabels": ["anomaly"],
    }
    assert (region["original_width"], region["original_height"]) == (32, 24)
    interface = (tmp_path / "my out" / "labeling_interface.xml").read_text()
    for result in prediction["result"]:
        assert f'name="{result["from_name"]}" toName="{result["to_name"]}"' in interface
    assert tasks[name_of(6)]["predictions"][0]["result"][0]["value"] == {"choices": ["unsure"]}
    root = str(tmp_path)
    assert any(f"DOCUMENT_ROOT={root}," in line for line in done.remarks())


@pytest.mark.parametrize("format", ["mvtec", "coco", "labelstudio"])
def test_what_is_there_is_not_touched(format: ExportFormat, archive: ArchiveFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export_reviewed(archive, out, format)
    with pytest.raises(OptionError, match="already exists"):
        export_reviewed(archive, out, format)
    archive.feedback.add(Feedback.on(record_of(4), "good", "Bo"))
    again = export_reviewed(archive, out, format, overwrite=True)
    assert (
        again.written
        == {
            "mvtec": {"plate/train/good": 8, "plate/test/good": 2, "plate/test/bad": 1},
            "coco": {"images": 11, "boxes": 1},
            "labelstudio": {"tasks": 12, "boxes": 2},
        }[format]
    )
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(OptionError, match="was not exported by this command"):
        export_reviewed(archive, other, format, overwrite=True)
    assert (other / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "other", "out"]


def test_a_failure_leaves_nothing(
    archive: ArchiveFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="no space is left"):
        export_reviewed(archive, tmp_path / "out", "mvtec")
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_damaged_images_are_counted(archive: ArchiveFolder, tmp_path: Path) -> None:
    (archive.path / record_of(0).image).write_bytes(b"x")
    assert export_reviewed(archive, tmp_path / "out", "mvtec").left_out["damaged"] == 1


@pytest.mark.parametrize("where", ["../../secret.png", "feedback.jsonl", "link.png", "pipe.png"])
def test_one_image_elsewhere_concerns_itself_alone(
    archive: ArchiveFolder, tmp_path: Path, where: str
) -> None:
    record = record_of(0)
    (tmp_path / "secret.png").write_bytes((archive.path / record.image).read_bytes())
    (archive.path / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(archive.path / "pipe.png")
    before = export_reviewed(archive, tmp_path / "whole", "mvtec")
    file = (archive.path / record.image).with_suffix(".json")
    file.write_text(record.model_copy(update={"image": where}).model_dump_json())
    done = export_reviewed(archive, tmp_path / "out", "mvtec")
    assert sum(done.left_out.values()) == sum(before.left_out.values()) + 1
    assert sum(done.written.values()) == sum(before.written.values()) - 1


def test_a_category_that_names_no_folder_is_refused_by_folders_alone(tmp_path: Path) -> None:
    archive = ArchiveFolder.make(tmp_path / "archive")
    archive.feedback.add(Feedback.on(keep(archive, record_of(0, category="../x")), "good"))
    with pytest.raises(DataError, match="cannot name a folder"):
        export_reviewed(archive, tmp_path / "out", "mvtec")
    assert export_reviewed(archive, tmp_path / "out", "coco").written == {"images": 1, "boxes": 0}


def test_the_command_prints_exports_and_names_what_is_next(dmdd_edge: Program, tmp_path: Path) -> None:
    archive = stocked(tmp_path / "my archive", 4)
    fresh = dmdd_edge("review", "my archive", "--summary")
    assert fresh.returncode == 0, fresh.stderr
    first, *_, last = fresh.stderr.splitlines()
    assert first == "0 of 4 images reviewed: 0 good, 0 bad, 0 unsure"
    assert last == "next: dmdd-edge review 'my archive'"
    none = dmdd_edge("review", "my archive", "--export", "out")
    assert (none.returncode, "holds no reviewed image" in none.stderr) == (1, True)
    for number, verdict in ((0, "bad"), (1, "good"), (2, "unsure")):
        archive.feedback.add(Feedback.on(record_of(number), verdict))  # type: ignore[arg-type]
    summary = dmdd_edge("review", "my archive", "--summary")
    first, *_, last = summary.stderr.splitlines()
    assert first == "3 of 4 images reviewed: 1 good, 1 bad, 1 unsure"
    assert last == "next: dmdd-edge calibrate --from-feedback 'my archive' --category plate"
    counted = json.loads(dmdd_edge("review", "my archive", "--json").stdout)
    assert counted["verdicts"] == {"good": 1, "bad": 1, "unsure": 1, "none": 1}
    assert counted["status"] == {
        "anomalous": {"good": 0, "bad": 1, "unsure": 0, "none": 1},
        "good": {"good": 1, "bad": 0, "unsure": 1, "none": 0},
    }
    assert (counted["records"], counted["reviewed"], counted["deleted"], counted["unreadable"]) == (
        4,
        3,
        0,
        0,
    )
    exported = dmdd_edge("review", "my archive", "--export", "out dir", "--json")
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["written"] == {"plate/test/bad": 1, "plate/train/good": 1}
    *_, bad, last = exported.stderr.splitlines()
    assert bad.endswith("dmdd-edge challenge add 'out dir/plate/test/bad' --category plate")
    assert last == "next: dmdd-edge train --continue plate --add 'out dir/plate/train/good'"
    wrong = dmdd_edge("review", "my archive", "--format", "coco")
    assert (wrong.returncode, "has no effect without --export" in wrong.stderr) == (1, True)
    assert np.array_equal(gray(1), cv2.imread(str(tmp_path / f"out dir/plate/train/good/{name_of(1)}.png")))
