"""A threshold belongs to a precision: the manifest has one for int8, and so has a calibration."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dmdd_edge import BundleError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import (
    calibration_path,
    effective_threshold,
    other_calibration,
    read_calibration,
    write_calibration,
)
from dmdd_edge.bundle.manifest import parse_manifest
from dmdd_edge.bundle.threshold import threshold_from_normals

Write = Callable[..., Bundle]


def _with_int8(write_bundle: Write) -> Bundle:
    return write_bundle(thresholds={"int8": threshold_from_normals([0.2, 0.625])})


def test_a_manifest_without_int8_has_no_field_of_it(write_bundle: Write) -> None:
    bundle = write_bundle()
    text = (bundle.path / "manifest.json").read_bytes()
    assert "thresholds" not in json.loads(text)
    assert parse_manifest(text).to_json().encode() == text


def test_a_manifest_with_int8_is_read_back(write_bundle: Write) -> None:
    bundle = _with_int8(write_bundle)
    text = (bundle.path / "manifest.json").read_bytes()
    assert json.loads(text)["thresholds"]["int8"]["image"] == 0.625
    assert parse_manifest(text) == bundle.manifest


def test_only_int8_decides_by_its_own_threshold(write_bundle: Write) -> None:
    bundle = _with_int8(write_bundle)
    assert effective_threshold(bundle).image == 0.5
    assert bundle.at("fp16") is bundle
    assert bundle.at("fp32") is bundle
    assert effective_threshold(bundle.at("int8")).image == 0.625


def test_a_bundle_without_a_threshold_for_int8_does_not_decide_in_it(write_bundle: Write) -> None:
    with pytest.raises(BundleError, match="has no threshold for int8") as caught:
        write_bundle().at("int8")
    assert caught.value.fix == "Export it: dmdd-edge export --category screw --precision int8"


def test_a_threshold_that_no_score_exceeds_is_refused(write_bundle: Write) -> None:
    with pytest.raises(Exception, match="would be 1, which no score exceeds"):
        write_bundle(thresholds={"int8": threshold_from_normals([0.2, 1.0])})


def test_a_calibration_counts_for_the_precision_that_it_was_made_with(write_bundle: Write) -> None:
    bundle = _with_int8(write_bundle)
    coarse = bundle.at("int8")
    write_calibration(bundle, threshold_from_normals([0.3]), "good/")
    assert effective_threshold(bundle).image == 0.3
    found = effective_threshold(coarse)
    assert (found.image, found.origin) == (0.625, "manifest")
    assert "was not made with int8" in other_calibration(coarse, found)
    assert other_calibration(bundle, effective_threshold(bundle)) == ""
    written = write_calibration(coarse, threshold_from_normals([0.7]), "good/")
    assert written.precision == "int8"
    found = effective_threshold(coarse)
    assert (found.image, found.origin) == (0.7, "calibration")
    assert other_calibration(coarse, found) == ""
    assert effective_threshold(bundle).image == 0.3
    calibration_path(bundle).unlink()
    warning = other_calibration(bundle, effective_threshold(bundle))
    assert "was made with int8 only; this precision keeps its exported threshold 0.5000" in warning
    assert warning.endswith("dmdd-edge calibrate --category screw --source GOOD_PARTS")
    assert calibration_path(coarse).name == f"calibration-{bundle.version}-int8.json"


def test_a_calibration_of_another_precision_in_its_place_is_refused(write_bundle: Write) -> None:
    bundle = _with_int8(write_bundle)
    write_calibration(bundle, threshold_from_normals([0.3]), "good/")
    calibration_path(bundle).rename(calibration_path(bundle.at("int8")))
    with pytest.raises(BundleError, match="belongs to screw"):
        read_calibration(bundle.at("int8"))


def test_the_file_of_a_calibration_without_int8_has_no_field_of_it(write_bundle: Write) -> None:
    bundle = _with_int8(write_bundle)
    write_calibration(bundle, threshold_from_normals([0.3]), "good/")
    stored: dict[str, Any] = json.loads(calibration_path(bundle).read_text())
    assert "precision" not in stored
