"""The station file of a command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from dmdd_edge.options import Option, Options

if TYPE_CHECKING:
    from dmdd_edge.runtime.station.settings import StationSettings


@dataclass(frozen=True, kw_only=True)
class StationFileOption(Options):
    """Which station is meant."""

    file: Annotated[Path, Option("Station file, such as line1.toml.", argument=True)]


def load_station(options: StationFileOption) -> StationSettings:
    """What the file says; passwords in it are kept out of every later message.

    Raises:
        StationFileError: it has problems; every one of them is named, with its line, key and fix.
        OptionError: it cannot be read, or is not TOML.
    """
    from dmdd_edge.cli.configuration import keep_secrets
    from dmdd_edge.runtime.station.file.read import read_station

    settings = read_station(options.file)
    keep_secrets(("source", camera.source) for camera in settings.cameras.values())
    keep_secrets(settings.results.values().items())
    return settings
