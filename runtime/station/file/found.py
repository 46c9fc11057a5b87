"""The cameras and the bundles of this machine, from which a station file is first written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.sources.cameras import list_cameras
from dmdd_edge.workspace import list_bundles


@dataclass(frozen=True)
class FoundCamera:
    """A camera.

    Attributes:
        source: as ``run --source`` names it.
        title: what it is, for a person; may be empty.
        trigger: the mode that suits it.
    """

    source: str
    title: str
    trigger: str


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        cameras: those of the network and of USB3 Vision first.
        categories: that have a bundle.
        remarks: what could not be searched, a sentence each.
    """

    cameras: tuple[FoundCamera, ...] = ()
    categories: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def find(models_dir: Path) -> Found:
    """Look for cameras and bundles; takes about a second where a GenICam library is installed.

    Args:
        models_dir: the folder that holds the bundles.
    """
    remarks: list[str] = []
    cameras = (*_genicam(remarks), *_v4l2())
    return Found(cameras, tuple(list_bundles(models_dir)), tuple(remarks))


def _v4l2() -> Iterator[FoundCamera]:
    for camera in list_cameras():
        title = ", ".join(filter(None, (camera.name, camera.problem)))
        yield FoundCamera(camera.path, title, "newest")


def _genicam(remarks: list[str]) -> Iterator[FoundCamera]:
    from dmdd_edge.runtime.sources.genicam import open_driver

    try:
        driver, _ = open_driver()
        found = driver.find()
    except DmddError as error:
        remarks.append(f"GenICam cameras were not searched: {error.message} {error.fix}")
        return
    for camera in found:
        named = filter(None, (camera.vendor, camera.model))
        title = f"{' '.join(named)}, {camera.transport} at {camera.address}".lstrip(", ")
        yield FoundCamera(f"genicam://{camera.serial}", title, "software")
