"""Checks that the cameras of a station file can be triggered as it says, before any of them is opened."""

from __future__ import annotations

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.station.file.tables import Reading
from dmdd_edge.runtime.station.leaders import leaders
from dmdd_edge.runtime.station.settings import StationSettings


def check_triggers(reading: Reading, settings: StationSettings) -> None:
    """Note sources that are not cameras, triggers that do not suit one, and recipes that disagree."""
    from dmdd_edge.runtime.station.camera_devices import camera_device  # needs OpenCV

    for name, camera in settings.cameras.items():
        try:
            camera_device(camera)
        except DmddError as error:
            reading.refused(("cameras", name), error, "cameras.NAME", otherwise="source")
    try:
        leaders(settings)
    except DmddError as error:
        reading.refused((), error, "", otherwise="recipes")
