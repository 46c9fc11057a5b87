"""The calibration before: what it was, and how it is in force again."""

from __future__ import annotations

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import (
    Calibration,
    as_entry,
    calibration_path,
    delete_calibration,
    history_path,
    read_calibration,
)
from dmdd_edge.bundle.calibration_history import Entry, read_entries, write_entries
from dmdd_edge.errors import BundleError, OptionError
from dmdd_edge.messages.commands import command
from dmdd_edge.storage import write_atomically
from dmdd_edge.strict_json import NotStrict, validate


def earlier_calibrations(bundle: Bundle) -> list[Calibration | None]:
    """What was in force before, the oldest first; None stands for the threshold set at export.

    Raises:
        DmddError: a file cannot be read.
    """
    return [_parsed(bundle, entry) for entry in _entries(bundle)]


def before_undo(bundle: Bundle) -> Calibration | None:
    """What ``undo_calibration`` puts in force; None for the threshold set at export.

    Raises:
        OptionError: there was nothing before.
        DmddError: a file cannot be read.
    """
    entries = _entries(bundle)
    if not entries:
        raise OptionError(
            f"{bundle.category} has no earlier calibration of {bundle.version}.",
            "List its calibrations: "
            + command("calibrate", model=bundle.path, precision=bundle.precision or None, history=True),
        )
    return _parsed(bundle, entries[-1])


def undo_calibration(bundle: Bundle) -> Calibration | None:
    """Put the calibration before in force again; a second call goes one further back.

    Returns:
        What is in force now; None for the threshold set at export.

    Raises:
        OptionError: there was nothing before.
        DmddError: a file cannot be read or written.
    """
    target, entries = before_undo(bundle), _entries(bundle)
    if target is None:
        delete_calibration(bundle)
    else:
        write_atomically(calibration_path(bundle), target.model_dump_json(indent=2) + "\n")
    write_entries(history_path(bundle), entries[:-1])
    return target


def _entries(bundle: Bundle) -> list[Entry]:
    try:
        in_force = as_entry(read_calibration(bundle))
    except BundleError:  # broken, so it equals no entry
        in_force = {}
    return read_entries(history_path(bundle), in_force)


def _parsed(bundle: Bundle, entry: Entry) -> Calibration | None:
    if entry is None:
        return None
    try:
        found = validate(Calibration, entry)
    except NotStrict as error:
        raise BundleError(
            f"An earlier calibration in {history_path(bundle)} cannot be read: {error}.",
            "Remove the file: the calibration in force does not depend on it.",
        ) from error
    if (found.category, found.version) != (bundle.category, bundle.version):
        raise BundleError(
            f"{history_path(bundle)} belongs to {found.category} {found.version}, "
            f"not to {bundle.category} {bundle.version}.",
            "Remove the file: the calibration in force does not depend on it.",
        )
    return found
