"""Checks that what a station writes does not take the place of what it reads or keeps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dmdd_edge.bundle.manifest import MANIFEST_NAME
from dmdd_edge.options.keys import key_of
from dmdd_edge.options.model import option_fields
from dmdd_edge.options.toml_lines import Route
from dmdd_edge.runtime.options.files import ImageFolders
from dmdd_edge.runtime.sources.urls import DRAWN_PREFIX, IMAGES_PREFIX, REPLAY_PREFIX, scheme_of
from dmdd_edge.runtime.station.file.tables import Reading
from dmdd_edge.runtime.station.settings import CHALLENGE_SPOOL, DRIFT_STATE, ResultOptions, StationSettings

_STATE: Route = ("state_dir",)
_SPOOL: Route = ("results", "spool")
#: What the folders of messages that wait are.
_SPOOLED, _CHALLENGE_SPOOLED = "the spool of state_dir", "the spool of station challenge in state_dir"
_FOLDERS = {field.name for field in option_fields(ImageFolders)} | {"spool", "archive"}


def check_places(reading: Reading, settings: StationSettings) -> None:
    """Note each path that would replace what the station reads or keeps."""
    taken = list(_taken(settings))
    for route, path, kind in _written(settings):
        for owner, there, what in taken:
            inside = what in (_SPOOLED, _CHALLENGE_SPOOLED) and there in path.parents
            if owner != route and (path == there or inside):
                reading.problem(route, f"{route[-1]} names {what}: {path}.", f"Name another {kind}.")
                break
        else:
            if route == _STATE and _holds_bundles(path):
                reading.problem(
                    route, f"state_dir names a folder of bundles: {path}.", "Name another folder."
                )


def _written(settings: StationSettings) -> Iterator[tuple[Route, Path, str]]:
    """Every path that the station writes: its key, where it is, and whether it is a file or a folder."""
    yield _STATE, _real(settings.state_dir), "folder"
    for field in option_fields(ResultOptions):
        value = getattr(settings.results, field.name)
        if isinstance(value, Path):
            yield ("results", key_of(field)), _real(value), "folder" if field.name in _FOLDERS else "file"
    for name, inspection in settings.inspections.items():
        cache = inspection.options.engine_cache
        if cache is not None:
            yield ("inspections", name, "engine_cache"), _real(Path(cache)), "folder"


def _taken(settings: StationSettings) -> Iterator[tuple[Route, Path, str]]:
    """Every path that is not free: the key that may name it, where it is, and what it is."""
    yield (), _real(settings.path), "the station file itself"
    yield (), _real(settings.models_dir), "the folder of the bundles"
    for name, camera in settings.cameras.items():
        source = _images(camera.source)
        if source is not None:
            yield (), _real(source), f"the source of camera {name}"
    state = settings.state_dir
    yield _STATE, _real(state), "state_dir"
    for own in ("ids", "counts", DRIFT_STATE):
        yield (), _real(state / own), f"the file {own} of state_dir"
    yield _SPOOL, _real(state / "spool"), _SPOOLED
    yield (), _real(state / CHALLENGE_SPOOL), _CHALLENGE_SPOOLED


def _images(source: str) -> Path | None:
    """The folder or file that a source reads; None of a camera, a stream and drawn plates."""
    for prefix in (REPLAY_PREFIX, IMAGES_PREFIX):
        if source.startswith(prefix):
            return Path(source.removeprefix(prefix).partition("?")[0])
    if source.isdecimal() or source.startswith(DRAWN_PREFIX) or scheme_of(source):
        return None
    path = Path(source)
    return path.parent if any(char in path.name for char in "*?[") else path


def _holds_bundles(folder: Path) -> bool:
    """Whether a folder is a version, a category or a folder of categories."""
    levels = (MANIFEST_NAME, f"*/{MANIFEST_NAME}", f"*/*/{MANIFEST_NAME}")
    return any(path.is_file() for level in levels for path in folder.glob(level))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
