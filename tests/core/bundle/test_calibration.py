from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle, check
from dmdd_edge.bundle.calibration import (
    calibration_path,
    effective_threshold,
    read_calibration,
    remove_calibration,
    write_calibration,
)
from dmdd_edge.bundle.threshold import threshold_from_normals

Write = Callable[..., Bundle]


def test_it_lies_beside_the_bundle_which_stays_as_it_was(write_bundle: Write, tmp_path: Path) -> None:
    bundle = write_bundle()
    threshold = threshold_from_normals([0.1, 0.3])
    written = write_calibration(bundle, threshold, "good/", "cpu", unreliable=2, skipped=1)
    assert calibration_path(bundle) == tmp_path / "models" / "screw" / f"calibration-{bundle.version}.json"
    assert read_calibration(bundle) == written
    assert written.threshold.scores == (0.1, 0.3)
    assert (written.source, written.unreliable, written.skipped) == ("good/", 2, 1)
    assert check(bundle.path) == []
    assert Bundle.load(bundle.path.parent).version == bundle.version


def test_the_option_goes_before_the_calibration_and_that_before_the_manifest(write_bundle: Write) -> None:
    bundle = write_bundle()  # its threshold is 0.5
    found = effective_threshold(bundle)
    assert (found.image, found.pixel, found.origin) == (0.5, 0.5, "manifest")
    write_calibration(bundle, threshold_from_normals([0.1, 0.3]), "good/")
    found = effective_threshold(bundle)
    assert (found.image, found.pixel, found.origin) == (0.3, 0.3, "calibration")
    found = effective_threshold(bundle, image=0.8)
    assert (found.image, found.pixel, found.origin) == (0.8, 0.8, "option")
    assert effective_threshold(bundle, pixel=0.9).pixel == 0.9
    assert remove_calibration(bundle)
    assert not remove_calibration(bundle)
    assert effective_threshold(bundle).origin == "manifest"


def test_a_pixel_threshold_of_its_own_stays(write_bundle: Write) -> None:
    bundle = write_bundle(threshold=threshold_from_normals([0.5], pixel=0.7))
    assert effective_threshold(bundle).pixel == 0.7
    assert effective_threshold(bundle, image=0.2).pixel == 0.7
    write_calibration(bundle, threshold_from_normals([0.1]), "good/")
    assert effective_threshold(bundle).pixel == 0.7


def test_a_new_version_is_not_calibrated(write_bundle: Write) -> None:
    write_calibration(write_bundle(), threshold_from_normals([0.1]), "good/")
    assert read_calibration(write_bundle()) is None


def test_a_threshold_out_of_range_is_named(write_bundle: Write) -> None:
    with pytest.raises(DmddError, match=r"--threshold is 1\.5"):
        effective_threshold(write_bundle(), image=1.5)
    with pytest.raises(DmddError, match="--pixel-threshold is -1"):
        effective_threshold(write_bundle(), pixel=-1)


def test_a_broken_calibration_is_never_silently_left_out(write_bundle: Write) -> None:
    bundle = write_bundle()
    calibration_path(bundle).write_text('{"category": "screw"')
    with pytest.raises(DmddError, match="cannot be read") as caught:
        effective_threshold(bundle)
    assert "--reset" in caught.value.fix
    assert effective_threshold(bundle, image=0.4).origin == "option"
    assert remove_calibration(bundle)


def test_the_calibration_of_another_bundle_is_refused(write_bundle: Write) -> None:
    screw, bottle = write_bundle("screw"), write_bundle("bottle")
    write_calibration(screw, threshold_from_normals([0.1]), "good/")
    shutil.copy(calibration_path(screw), calibration_path(bottle))
    with pytest.raises(DmddError, match="belongs to screw"):
        read_calibration(bottle)


def test_a_calibration_with_its_own_pixel_threshold_wins(write_bundle: Write) -> None:
    bundle = write_bundle(threshold=threshold_from_normals([0.5], pixel=0.7))
    write_calibration(bundle, threshold_from_normals([0.1], peaks=[0.3]), "good/")
    found = effective_threshold(bundle)
    assert (found.image, found.pixel) == (0.1, 0.3)
