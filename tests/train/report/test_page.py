"""The report's page: whole HTML, nothing from outside, the figures of metrics.json, harmless names."""

from __future__ import annotations

import base64
import copy
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from dmdd_edge.data.datasets import TestImage
from dmdd_edge.evaluation.metrics import FIGURES, evaluate
from dmdd_edge.evaluation.paper import paper_row
from dmdd_edge.evaluation.pictures import heat_overlay
from dmdd_edge.evaluation.test_set import Evaluation, TestSet
from dmdd_edge.train.report.cases import choose, data_uri, located, side_by_side
from dmdd_edge.train.report.content import Content
from dmdd_edge.train.report.page import page
from dmdd_edge.train.report.svg import number, shares, ticks
from dmdd_edge.train.report.words import percent
from dmdd_edge.train.report.writing import write_report
from dmdd_edge.train.session import evaluate_run

VOID = {"meta", "img", "br", "hr", "line", "polyline", "circle", "rect", "path"}
HOSTILE = "<script>alert('x')</script>\"&"


class Reader(HTMLParser):
    """Checks that every tag is closed in order; collects text, attributes, tables and images."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        self.words.append(data)
        if self.rows and self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def row(self, name: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == name)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def content(tiny_outcome: Any) -> Content:
    measured = evaluate_run(tiny_outcome.run, None, torch.device("cpu"), lambda done, total: None)
    return Content(
        run=tiny_outcome.run,
        metrics=measured.metrics,
        test=measured.test,
        evaluation=measured.evaluation,
        threshold=measured.threshold,
        skipped=[],
        single_ms=12.34,
        device="cpu",
        created="2026-01-02 03:04",
    )


def test_the_page_is_whole_and_takes_nothing_from_outside(content: Content) -> None:
    text = page(content)
    read = Reader(text)
    assert text.startswith("<!DOCTYPE html>")
    assert {"script", "link", "iframe", "object", "base"}.isdisjoint(tag for tag, _ in read.tags)
    for tag, attributes in read.tags:
        for name in ("src", "href", "srcset", "style", "onload", "onclick", "action"):
            value = attributes.get(name)
            assert value is None or (tag == "img" and value.startswith("data:image/jpeg;base64,")), (
                tag,
                name,
            )
    assert "url(" not in text
    assert "@import" not in text
    assert re.search(r"https?://", text) is None


def test_the_figures_are_those_of_metrics_json(content: Content) -> None:
    read = Reader(page(content))
    metrics = content.metrics
    assert read.row("this run")[1:] == [f"{100 * metrics[key]:.2f}" for _, key in FIGURES]
    for defect, values in metrics["per_defect"].items():
        row = read.row(defect)
        assert row[1] == str(values["images"])
        assert row[3:] == [percent(values[key]) for key in ("image_auroc", "pixel_auroc", "pro")]
        chosen = [i for i, name in enumerate(content.test.defects) if name == defect]
        assert row[2] == str(int((content.evaluation.scores[chosen] > metrics["threshold"]).sum()))
    for shown in (f"images, AUROC {percent(metrics['image_auroc'])} %", f"PRO {percent(metrics['pro'])} %"):
        assert shown in read.text
    assert f"threshold {metrics['threshold']:.4f}" in read.text
    assert "12.3 ms" in read.text
    assert "2026-01-02 03:04" in read.text
    for name in ("torch", "timm", "model.image_size", "synthesis.beta", "timm:test_efficientnet"):
        assert name in read.text, name


def test_the_chosen_weights_are_told(content: Content) -> None:
    run = copy.copy(content.run)
    choice = {"stages": [1.0, 1.0, 0.25, 0.0], "abnormality": 2.0, "tried": [], "images": 137}
    run.info = {**run.info, "map_weights": choice}
    told = Reader(page(replace(content, run=run))).text
    assert (
        "finest first, 1, 1, 0.25, 0; abnormality branch 2 (selected on 137 images with synthetic damage)"
        in told
    )
    run.info["map_weights"] = None
    assert "synthetic damage" not in Reader(page(replace(content, run=run))).text


def test_the_papers_row_stands_beside(content: Content) -> None:
    read = Reader(page(replace(content, metrics={**content.metrics, "category": "screw"})))
    row = paper_row("screw")
    assert row is not None
    assert read.row("the paper, Wide-ResNet50-2")[1:4] == ["96.19", "99.32", "97.32"]
    difference = 100 * (content.metrics["image_auroc"] - row.image_auroc)
    assert f"the paper 96.19 ({difference:+.2f})" in read.text
    assert "the paper" not in Reader(page(content)).text


def test_hostile_names_are_harmless(content: Content, tiny_outcome: Any) -> None:
    items = [
        TestImage(Path(f"/x/{HOSTILE}.png"), item.defect if item.is_good else HOSTILE, item.mask)
        for item in content.test.items
    ]
    test = TestSet(items, content.test.images, content.test.masks, content.test.has_mask)
    found = content.evaluation
    metrics = evaluate(found.scores, test.labels, found.maps, test.masks, test.defects, test.has_mask)
    info = {
        **tiny_outcome.run.info,
        "layout": HOSTILE,
        "outliers": {"limit": 5.0, "images": [], "furthest": [{"file": f"/gone/{HOSTILE}.png", "z": 9.0}]},
    }
    run = replace(tiny_outcome.run, info=info)
    values = {**content.metrics, **metrics.as_dict(), "category": HOSTILE, "backbone": HOSTILE}
    text = page(
        replace(
            content, test=test, metrics=values, run=run, skipped=[(Path(HOSTILE), HOSTILE)], created=HOSTILE
        )
    )
    read = Reader(text)
    assert "<script" not in text
    assert HOSTILE in read.text
    assert read.row(HOSTILE)[1] == "5"
    alts = [attributes["alt"] for tag, attributes in read.tags if tag == "img"]
    assert any(HOSTILE in (alt or "") for alt in alts)


def test_without_threshold_masks_or_one_kind_of_image(content: Content) -> None:
    """Whatever is undefined is shown as a dash, and nothing breaks."""
    bare = Reader(page(replace(content, threshold=None, metrics={**content.metrics, "threshold": None})))
    assert "at the threshold" not in bare.text
    assert bare.row("chip")[2] == "–"
    good = [i for i, item in enumerate(content.test.items) if item.is_good]
    test = TestSet(
        [content.test.items[i] for i in good],
        content.test.images[good],
        content.test.masks[good],
        content.test.has_mask[good],
    )
    maps, scores = content.evaluation.maps[good], content.evaluation.scores[good]
    metrics = evaluate(scores, test.labels, maps, test.masks, test.defects, test.has_mask)
    found = Evaluation(metrics, maps, scores)
    values = {**content.metrics, **metrics.as_dict()}
    only = Reader(page(replace(content, test=test, evaluation=found, metrics=values)))
    assert only.row("this run")[1:4] == ["–", "–", "–"]
    unknown = TestSet(
        content.test.items, content.test.images, content.test.masks & False, np.zeros(8, np.bool_)
    )
    Reader(page(replace(content, test=unknown)))


def test_the_cases_are_the_worst_and_the_best() -> None:
    names = ["good", "good", "hole", "hole", "crack"]
    items = [TestImage(Path(f"{k}.png"), name, None) for k, name in enumerate(names)]
    masks = np.zeros((5, 16, 16), np.bool_)
    masks[2:, 4:8, 4:8] = True
    maps = np.zeros((5, 16, 16), np.float32)
    maps[2][masks[2]] = 1.0  # found
    maps[3, 12:, 12:] = 1.0  # in the wrong place
    maps[4, 4:6, 4:8] = 1.0  # half of it
    scores = np.array([0.1, 0.9, 0.8, 0.2, 0.7], np.float32)
    test = TestSet(items, np.zeros((5, 16, 16, 3), np.uint8), masks, np.ones(5, np.bool_))
    found = Evaluation(evaluate(scores, test.labels, maps, masks, names), maps, scores)
    chosen = choose(test, found, 0.5, count=4)
    assert set(chosen.worst[:2]) == {1, 3}  # a false alarm and a miss
    assert chosen.best == [0, 2, 4]  # one of each kind
    assert chosen.misplaced == [3, 4]
    # 16 pixels of the truth at zero, 16 others at one, 224 at zero: half of the ties count.
    assert located(masks[3], maps[3]) == pytest.approx(0.5 * 224 / 240)
    assert located(masks[2], maps[2]) == 1.0
    assert located(masks[0], maps[0]) is None


def test_pictures_are_the_image_and_its_heat_map(content: Content) -> None:
    index = int(np.flatnonzero(content.test.labels)[0])
    image, heat = content.test.images[index], content.evaluation.maps[index]
    pair = side_by_side(image, None, heat, 0.4)
    assert pair.shape == (64, 132, 3)
    assert np.array_equal(pair[:, :64], image)
    assert np.array_equal(pair[:, 68:], heat_overlay(image, heat, 0.4))
    marked = side_by_side(image, content.test.masks[index], heat, 0.4)
    assert (marked[:, :64] != image).any()
    data = base64.b64decode(data_uri(pair).removeprefix("data:image/jpeg;base64,"))
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert back is not None
    assert np.abs(back.astype(int) - pair).mean() < 8


def test_a_large_image_keeps_its_shape_and_shows_its_peak_at_full_resolution() -> None:
    image = np.full((512, 2048, 3), 50, np.uint8)
    image[300:306, 1500:1506] = (250, 250, 250)
    heat = np.zeros((512, 2048), np.float32)
    heat[300:306, 1500:1506] = 0.9
    mask = heat > 0
    drawn = side_by_side(image, mask, heat, 0.5)
    assert drawn.shape == (256, 4 * 256 + 12, 3)
    assert (drawn[64:, :256] == 128).all(), "a quarter as high as wide"
    assert drawn[37, 260 + 187, 2] > drawn[10, 260 + 10, 2] + 60, "the small defect is red in the small map"
    closeup = drawn[:, 520:776]
    assert np.count_nonzero((closeup == 250).all(axis=2)) == 16, (
        "4 x 4 within the outline, at full resolution"
    )


def test_the_groups_of_scores_are_complete(content: Content) -> None:
    groups = {name: scores for name, _, scores in content.groups}
    assert len(groups["held-out good images"]) == 3
    assert len(groups["good test images"]) == 3
    assert set(groups) >= {"chip", "dent", "missing_hole", "scratch", "stain"}
    assert sum(len(scores) for scores in groups.values()) == 3 + 8
    alarms, good, caught, bad = content.outcome or (0, 0, 0, 0)
    above = content.evaluation.scores > content.metrics["threshold"]
    assert (alarms + caught, good, bad) == (int(above.sum()), 3, 5)


def test_suspicious_training_images_are_shown(content: Content, plates: Path) -> None:
    file = plates / "plate" / "train" / "good" / "004.png"
    item, other = {"file": str(file), "z": 8.25}, {"file": "/gone/005.png", "z": 1.5}
    info = {**content.run.info, "outliers": {"limit": 5.0, "images": [item], "furthest": [item, other]}}
    read = Reader(page(replace(content, run=replace(content.run, info=info))))
    assert "Training images furthest out of place" in read.text
    assert "8.2 times the usual spread from the others" in read.text
    assert "Images above 5.0, where the warning begins: 1." in read.text
    assert "005.png" in read.text
    assert any(attributes.get("alt") == "004.png" for _, attributes in read.tags)


def test_the_file_is_written_where_it_was_asked_for(copied: Any, tmp_path: Path) -> None:
    device = torch.device("cpu")
    measured = evaluate_run(copied, None, device, lambda done, total: None)
    seen: list[tuple[int, int]] = []
    place = tmp_path / "deep" / "page.html"
    named = write_report(place, copied, measured, device, lambda done, total: seen.append((done, total)))
    shown = Reader(named.read_text(encoding="utf-8")).tags
    cases = sum("heat map" in (attributes.get("alt") or "") for _, attributes in shown)
    assert seen == [(done, cases) for done in range(cases + 1)]
    assert named == place
    placed = write_report(tmp_path / "reports", copied, measured, device)
    assert placed == tmp_path / "reports" / "run.html"
    Reader(placed.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 0.3, [0, 0.1, 0.2, 0.3]),
        (0.41, 0.83, [0.5, 0.6, 0.7, 0.8]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_bars_are_relative_to_the_highest() -> None:
    assert shares([0.1, 0.1, 0.6], [0.0, 0.5, 1.0]) == [1.0, 0.5]
    assert shares([], [0.0, 0.5, 1.0]) == [0.0, 0.0]
    assert [number(value) for value in (0.30000000000000004, 12.0, 0.12345)] == ["0.3", "12", "0.1235"]
