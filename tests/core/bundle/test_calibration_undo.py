"""The calibrations before: kept, bounded, and whole after a crash between the two files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle import calibration as calibration_module
from dmdd_edge.bundle import calibration_undo
from dmdd_edge.bundle.bundle import Bundle, use_version
from dmdd_edge.bundle.calibration import (
    calibration_path,
    effective_threshold,
    history_path,
    read_calibration,
    remove_calibration,
    write_calibration,
)
from dmdd_edge.bundle.calibration_history import MOST
from dmdd_edge.bundle.calibration_undo import earlier_calibrations, undo_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.bundle.versions import remove_version

Write = Callable[..., Bundle]


def calibrate(bundle: Bundle, level: float) -> None:
    write_calibration(bundle, threshold_from_normals([level]), f"parts at {level}")


def levels(bundle: Bundle) -> list[float | None]:
    return [None if found is None else found.threshold.image for found in earlier_calibrations(bundle)]


def test_undo_restores_what_was_before_byte_for_byte(write_bundle: Write) -> None:
    bundle = write_bundle()  # its threshold is 0.5
    calibrate(bundle, 0.1)
    first = calibration_path(bundle).read_bytes()
    calibrate(bundle, 0.2)
    assert levels(bundle) == [None, 0.1]
    undo_calibration(bundle)
    assert calibration_path(bundle).read_bytes() == first
    assert undo_calibration(bundle) is None
    assert effective_threshold(bundle).origin == "manifest"
    with pytest.raises(DmddError, match="no earlier calibration"):
        undo_calibration(bundle)


def test_a_reset_can_be_undone(write_bundle: Write) -> None:
    bundle = write_bundle()
    calibrate(bundle, 0.1)
    assert remove_calibration(bundle)
    assert not remove_calibration(bundle)
    undone = undo_calibration(bundle)
    assert undone is not None
    assert undone.threshold.image == 0.1


def test_the_oldest_go_first(write_bundle: Write) -> None:
    bundle = write_bundle()
    for at in range(MOST + 3):
        calibrate(bundle, at / 100)
    assert levels(bundle) == [at / 100 for at in range(2, MOST + 2)]


@pytest.mark.parametrize("at", [0, 1])
def test_a_crash_between_two_files_loses_nothing(
    write_bundle: Write, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    bundle = write_bundle()
    calibrate(bundle, 0.1)
    calibrate(bundle, 0.2)
    if at == 0:  # the entry is written, the calibration is not
        with monkeypatch.context() as patched:
            patched.setattr(calibration_module, "write_atomically", _crash)
            with pytest.raises(OSError, match="power"):
                calibrate(bundle, 0.3)
        in_force = 0.2
    else:  # the calibration is undone, the entry is still there
        with monkeypatch.context() as patched:
            patched.setattr(calibration_undo, "write_entries", _crash)
            with pytest.raises(OSError, match="power"):
                undo_calibration(bundle)
        in_force = 0.1
    assert effective_threshold(bundle).image == in_force
    assert levels(bundle) == [None, 0.1][: 2 - at]
    undo_calibration(bundle)
    assert effective_threshold(bundle).image == [0.1, 0.5][at]


def _crash(*arguments: object) -> None:
    raise OSError("power")


def test_a_broken_history_prevents_no_calibration(write_bundle: Write) -> None:
    bundle = write_bundle()
    calibrate(bundle, 0.1)
    history_path(bundle).write_text("{")
    with pytest.raises(DmddError, match="cannot be read") as caught:
        undo_calibration(bundle)
    assert "Remove the file" in caught.value.fix
    calibrate(bundle, 0.2)
    assert levels(bundle) == [0.1]


def test_a_broken_calibration_is_not_kept_and_undo_replaces_it(write_bundle: Write) -> None:
    bundle = write_bundle()
    calibrate(bundle, 0.1)
    calibrate(bundle, 0.2)
    calibration_path(bundle).write_text("{")
    undone = undo_calibration(bundle)
    assert undone is not None
    assert undone.threshold.image == 0.1


def test_the_history_of_another_bundle_is_refused(write_bundle: Write) -> None:
    screw, bottle = write_bundle("screw"), write_bundle("bottle")
    calibrate(screw, 0.1)
    calibrate(screw, 0.2)
    history_path(bottle).write_bytes(history_path(screw).read_bytes())
    with pytest.raises(DmddError, match="belongs to screw"):
        undo_calibration(bottle)
    assert read_calibration(bottle) is None


def test_it_goes_with_its_version(write_bundle: Write, tmp_path: Path) -> None:
    old = write_bundle()
    calibrate(old, 0.1)
    new = write_bundle()
    use_version(tmp_path / "models", "screw", new.version)
    remove_version(tmp_path / "models" / "screw", old.version)
    assert not history_path(old).exists()
