"""Which of the cameras found is meant."""

from __future__ import annotations

from collections.abc import Sequence

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.messages.suggest import did_you_mean
from dmdd_edge.runtime.sources.genicam.address import PREFIX
from dmdd_edge.runtime.sources.genicam.interface import Found

_NONE = (
    "Check its power and its cable, and that this machine has an address in the camera's network; "
    "`dmdd-edge doctor` looks at the network's settings."
)


def choose_camera(found: Sequence[Found], serial: str) -> Found:
    """The camera with a serial number or an address; the only one if ``serial`` is empty.

    Raises:
        SourceError: there is no such camera, or several; lists those found.
    """
    if not found:
        wanted = f" with the serial number {serial}" if serial else ""
        raise SourceError(f"No GenICam camera{wanted} was found.", _NONE)
    if not serial:
        if len(found) > 1:
            raise SourceError(
                f"{len(found)} GenICam cameras were found, and {PREFIX} names none of them.", _listed(found)
            )
        return found[0]
    matches = [one for one in found if serial in (one.serial, one.address)]
    if not matches:
        near = did_you_mean(serial, [one.serial for one in found])
        raise SourceError(
            f"No GenICam camera with the serial number {serial} was found.",
            f"{near} {_listed(found)}".lstrip(),
        )
    if len(matches) > 1:
        raise _twice(serial, matches)
    return matches[0]


def _twice(serial: str, matches: Sequence[Found]) -> DmddError:
    places = ", ".join(f"{PREFIX}{one.address}" for one in matches)
    return SourceError(
        f"{len(matches)} GenICam cameras have the serial number {serial}.",
        f"Name one by its address: {places}.",
    )


def _listed(found: Sequence[Found]) -> str:
    return "Found: " + "; ".join(f"{PREFIX}{one.serial} {str(one).partition(' ')[2]}" for one in found) + "."
