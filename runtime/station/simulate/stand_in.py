"""The settings of a station for a simulation: other cameras, no results, a Modbus server for its PLC."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.options.run import LiveOptions
from dmdd_edge.runtime.sources.devices import is_live
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.urls import DRAWN_PREFIX, IMAGES_PREFIX, REPLAY_PREFIX
from dmdd_edge.runtime.station.settings import CameraSettings, ModbusSettings, ResultOptions, StationSettings

#: What names drawn images as ``--images``.
DRAWN = "drawn"
#: Sides of drawn images, in pixels.
_SMALLEST, _LARGEST = 256, 2048


def stand_in(
    settings: StationSettings, state_dir: Path, images: str | None = None, port: int | None = None
) -> StationSettings:
    """The settings with which a station is simulated.

    Counters and part numbers of the real station stay as they are, and nothing is written to its results.

    Args:
        settings: what the station file says.
        state_dir: an empty folder.
        images: for every camera, a folder of images or a video, or ``drawn``; None draws for each camera that
            is real, and leaves those that the file simulates.
        port: of the Modbus server; 0 chooses one that is free; None: the file's, or a free one without it.

    Raises:
        OptionError: there are no such images.
    """
    if images not in (None, DRAWN) and not Path(images).exists():
        raise OptionError(f"{images} does not exist.", f"Name a folder of images, or write {DRAWN}.")
    modbus = settings.plc.modbus
    if modbus is None:
        modbus = ModbusSettings(host="127.0.0.1", port=_free_port() if port is None else port)
    elif port is not None:
        modbus = replace(modbus, port=port)
    if modbus.port == 0:
        modbus = replace(modbus, port=_free_port())
    kept = settings.results.pick(LiveOptions)

    def place(*route: str | int) -> str:
        return "--port" if port is not None and route[:2] == ("plc", "modbus") else settings.place(*route)

    return replace(
        settings,
        place=place,
        state_dir=state_dir,
        cameras={
            name: _camera(settings, camera, number, images)
            for number, (name, camera) in enumerate(settings.cameras.items())
        },
        plc=replace(settings.plc, modbus=modbus),
        results=ResultOptions.build(kept.values(), kept.given()),
    )


def client_host(host: str) -> str:
    """The address at which a client on this machine reaches a server that listens at ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def changes(settings: StationSettings, simulated: StationSettings) -> Iterator[str]:
    """What differs from the real station, for people; a sentence each."""
    for name, camera in simulated.cameras.items():
        if camera.source != settings.cameras[name].source:
            yield f"Camera {name} is replaced."
    if settings.gpio is not None:
        yield "The 24 V lines are not driven; what they would do is printed."
    archive = "" if settings.results.archive is None else "; no image goes into the archive"
    yield f"Nothing is written: neither results nor counters{archive}."


def _camera(
    settings: StationSettings, camera: CameraSettings, number: int, images: str | None
) -> CameraSettings:
    source = camera.source
    stays = source.startswith((IMAGES_PREFIX, DRAWN_PREFIX, REPLAY_PREFIX)) or not is_live(source)
    if images is None and stays:
        return camera
    if images in (None, DRAWN):
        source = f"{DRAWN_PREFIX}?size={_side(settings, camera.name)}&seed={number}"
    else:
        source = f"{IMAGES_PREFIX}{images}"
    # The other options are those of the real camera.
    return replace(camera, source=source, options=SourceOptions())


def _side(settings: StationSettings, camera: str) -> int:
    """The side of drawn images that hold each region of a camera."""
    regions = [each.region for each in settings.inspections.values() if each.camera == camera and each.region]
    needed = max((max(x + width, y + height) for x, y, width, height in regions), default=0)
    return min(max(needed, _SMALLEST), _LARGEST)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
