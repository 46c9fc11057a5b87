"""The page of formats names every field that the program writes."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dmdd_edge import Region, Result, Summary
from dmdd_edge.bundle.manifest import Manifest
from dmdd_edge.evaluation.metrics import Metrics
from dmdd_edge.runtime.page import metrics
from dmdd_edge.runtime.station.page import metrics as station_metrics
from tests.docs import pages


def named() -> set[str]:
    """The words in the page's code spans."""
    page = pages.text(pages.ROOT / "docs" / "reference" / "formats.md")
    return set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", page))))


def test_the_fields_of_a_result_line_are_named() -> None:
    region = Region(x=1, y=2, width=3, height=4, area=5, peak=0.5)
    values = {"source": "a.png", "index": 0, "status": "unreliable", "time": 0.0, "score": 0.5}
    result = Result(
        **values,  # type: ignore[arg-type]
        normalized_score=0.5,
        threshold=0.5,
        is_anomalous=False,
        anomaly_map=np.zeros((2, 2), np.float32),
        regions=(region,),
        reason="too dark",
    )
    line = result.to_json()
    names = {*line, *line["regions"][0], *line["timings_ms"]} - {"type"}
    assert len(names) > 20
    assert names - named() == set()


def test_the_fields_of_the_summary_are_named() -> None:
    assert {field.name for field in fields(Summary)} - named() == set()


def test_the_fields_of_the_manifest_are_named() -> None:
    assert set(Manifest.model_fields) - named() == set()


def test_the_figures_of_metrics_json_are_named() -> None:
    assert {field.name for field in fields(Metrics)} - named() == set()


@pytest.mark.parametrize("module", [metrics, station_metrics])
def test_the_metrics_are_named(module: ModuleType) -> None:
    assert module.__file__ is not None
    code = Path(module.__file__).read_text(encoding="utf-8")
    counters = re.findall(r'(?:\bcounter|CounterMetricFamily)\((?:full\()?"(\w+)"', code)
    kinds = r"(?:\bgauge|\bhistogram|(?:Gauge|Histogram|Summary)MetricFamily)"
    others = re.findall(kinds + r'\((?:full\()?"(\w+)"', code)
    assert len(counters) > 3
    assert len(others) > 6
    assert {*(f"{name}_total" for name in counters), *others} - named() == set()
