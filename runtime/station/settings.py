"""What a station file says, checked: cameras, inspections, recipes, the PLC, lines, results.

A field with a help text is a key of the file; ``dmdd_edge.runtime.station.file`` reads, checks and documents
the file from these declarations, and those of the options that ``run`` has too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option
from dmdd_edge.options.groups import BundleName
from dmdd_edge.runtime.options.backend import BackendName, BackendOptions
from dmdd_edge.runtime.options.run import ResultOptions, StopEarly, ThresholdOptions
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.station.model import TriggerMode

__all__ = [
    "CameraSettings",
    "GpioSettings",
    "InspectionSettings",
    "LineSettings",
    "ModbusSettings",
    "OpcUaSettings",
    "PlcSettings",
    "RecipeSettings",
    "ResultOptions",
    "StationSettings",
]

#: The largest number that a word of a PLC holds.
LARGEST_WORD = 65535
#: The file of the drift watch in ``state_dir``.
DRIFT_STATE = "drift.json"
#: The folder in ``state_dir`` of messages of ``station challenge`` that wait for their receiver.
CHALLENGE_SPOOL = "challenge-spool"
#: A day in milliseconds: a longer wait is a mistake.
_DAY_MS = 86_400_000


def _check_source(source: str) -> None:
    if not source.strip() or re.fullmatch(r"-\d*", source):
        raise OptionError(
            f"source is {source!r}, which is not a camera.",
            "Name a camera or a stream, such as /dev/video0.",
        )


def _check_region(region: tuple[int, int, int, int]) -> None:
    if region[2] < 1 or region[3] < 1:
        raise OptionError(
            f"region is {list(region)}; its width and height must be at least 1.",
            "Write [x, y, width, height] in pixels of the camera's image.",
        )


def nowhere(*route: str | int) -> str:
    """The place of a key of settings that no file holds."""
    return ".".join(map(str, route))


@dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """A camera: ``[cameras.NAME]``.

    Attributes:
        name: of the camera.
        options: how the source is read; the keys are those of ``run``.
    """

    name: str
    source: Annotated[
        str,
        Option(
            "As --source of run: a camera (0, /dev/video0, csi://0, genicam://SERIAL), rtsp:// or "
            "http(s)://; to try a station without a camera: a folder of images, drawn: (drawn plates) or "
            "replay:VIDEO.",
            number=True,
            example='"/dev/video0"',
            check=_check_source,
        ),
    ]
    trigger: Annotated[
        TriggerMode,
        Option(
            "What begins a part: free (each image, as fast as the graph is), camera (each image of a camera "
            "with a hardware trigger), software (the station fires the camera), newest (the first image "
            "after the trigger)."
        ),
    ] = "newest"
    queue: Annotated[
        int, Option("Images that may wait in the mode camera; one more is a fault.", minimum=1, maximum=1024)
    ] = 8
    timeout_ms: Annotated[
        float,
        Option("Milliseconds that an image may take after its trigger.", above=0, maximum=_DAY_MS),
    ] = 1000.0
    settle_ms: Annotated[
        float,
        Option(
            "In the mode newest: milliseconds after the trigger before which an image does not count, for a "
            "stream whose images are that old when they arrive.",
            minimum=0,
            maximum=_DAY_MS,
        ),
    ] = 0.0
    match_ms: Annotated[
        float,
        Option(
            "In the mode camera: milliseconds by which the images of one part may differ.",
            above=0,
            maximum=_DAY_MS,
        ),
    ] = 50.0
    options: SourceOptions = field(default_factory=SourceOptions)


@dataclass(frozen=True, kw_only=True)
class InspectionSettings(BackendName, StopEarly, ThresholdOptions, BundleName):
    """An inspection: ``[inspections.NAME]``; the bundle, thresholds and the backend are named as for ``run``.

    Attributes:
        name: of the inspection.
        options: of the backend.
    """

    name: str
    camera: Annotated[str, Option("Name of its camera; not needed when there is only one.", example='"top"')]
    region: Annotated[
        tuple[int, int, int, int] | None,
        Option(
            "The part of the camera's image that is inspected: [x, y, width, height] in pixels; default: all "
            "of it.",
            minimum=0,
            example="[0, 0, 640, 480]",
            check=_check_region,
        ),
    ] = None
    options: BackendOptions = field(default_factory=BackendOptions)


@dataclass(frozen=True, kw_only=True)
class RecipeSettings:
    """A recipe: ``[[recipes]]``."""

    number: Annotated[
        int, Option("Number by which the PLC requests it.", minimum=1, maximum=LARGEST_WORD, example="1")
    ]
    name: Annotated[str, Option("Name for people; default: recipe and its number.", example='"screw M3"')]
    inspections: Annotated[
        tuple[str, ...], Option("Names of its inspections, in order.", example='["lid", "thread"]')
    ]


@dataclass(frozen=True, kw_only=True)
class ModbusSettings:
    """The Modbus TCP server: ``[plc.modbus]``."""

    host: Annotated[str, Option("Address at which it listens; 0.0.0.0 is every address.")] = "0.0.0.0"
    port: Annotated[
        int, Option("Port at which it listens; below 1024 needs a privilege.", minimum=1, maximum=65535)
    ] = 502
    unit: Annotated[int, Option("Device id that it answers to; 0: every id.", minimum=0, maximum=247)] = 0


@dataclass(frozen=True, kw_only=True)
class OpcUaSettings:
    """The OPC UA server: ``[plc.opcua]``."""

    host: Annotated[str, Option("Address at which it listens; 0.0.0.0 is every address.")] = "0.0.0.0"
    port: Annotated[int, Option("Port at which it listens.", minimum=1, maximum=65535)] = 4840


@dataclass(frozen=True, kw_only=True)
class PlcSettings:
    """What all ways to a PLC share: ``[plc]``.

    Attributes:
        modbus, opcua: the servers; None is none.
    """

    result: Annotated[
        Literal["hold", "pulse"],
        Option("How long ResultValid stays: hold (until ResultAck) or pulse (for pulse_ms)."),
    ] = "hold"
    pulse_ms: Annotated[float, Option("Milliseconds of the pulse.", above=0, maximum=_DAY_MS)] = 100.0
    acknowledge_ms: Annotated[
        float,
        Option(
            "Milliseconds that a held result waits for ResultAck; after that it is a fault.",
            above=0,
            maximum=_DAY_MS,
        ),
    ] = 2000.0
    heartbeat_ms: Annotated[
        float | None,
        Option(
            "Milliseconds for which the PLC's heartbeat may stay the same; default: it is not watched.",
            above=0,
            maximum=_DAY_MS,
            example="3000",
        ),
    ] = None
    modbus: ModbusSettings | None = None
    opcua: OpcUaSettings | None = None


@dataclass(frozen=True, kw_only=True)
class LineSettings:
    """One 24 V line: ``[gpio.NAME]``."""

    line: Annotated[int | str, Option("Its number on the chip, or its name.", minimum=0, example="17")]
    active: Annotated[Literal["high", "low"], Option("The level that means yes: high or low.")] = "high"
    pulse_ms: Annotated[
        float,
        Option(
            "Milliseconds for which an output stays; 0 holds it until the next part.",
            minimum=0,
            maximum=_DAY_MS,
        ),
    ] = 0.0
    delay_ms: Annotated[
        float,
        Option("Milliseconds from the verdict until an output changes.", minimum=0, maximum=_DAY_MS),
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class GpioSettings:
    """The 24 V lines: ``[gpio]``.

    Attributes:
        ready, pass_, reject, fault: outputs.
        trigger: input; its rising edge triggers a part.
    """

    chip: Annotated[str, Option("Device of the lines.")] = "/dev/gpiochip0"
    ready: LineSettings | None = None
    pass_: LineSettings | None = None
    reject: LineSettings | None = None
    fault: LineSettings | None = None
    trigger: LineSettings | None = None
    debounce_ms: Annotated[
        float,
        Option("Milliseconds for which the trigger must stay to count.", minimum=0, maximum=1000),
    ] = 1.0


@dataclass(frozen=True, kw_only=True)
class StationSettings:
    """A station file.

    Attributes:
        path: of the file, absolute.
        cameras, inspections, recipes: by name, by name, in order.
        plc: the ways to a PLC.
        gpio: the 24 V lines; None is none.
        results: the sinks.
        remarks: what the file leaves open or has without effect, a sentence each.
        place: where a key is in the file, for a message: ``place("inspections", "lid", "camera")`` is
            "line1.toml, line 12".
    """

    path: Path
    name: Annotated[
        str, Option("Name of the station, in results and messages; default: the file's.", example='"line1"')
    ]
    recipe: Annotated[
        int,
        Option(
            "Number of the recipe at the first start, later the last one in force; default: the first one.",
            minimum=1,
            maximum=LARGEST_WORD,
            example="1",
        ),
    ]
    queue: Annotated[int, Option("Triggers that may wait; one more is a fault.", minimum=1, maximum=1024)] = 8
    deadline_ms: Annotated[
        float | None,
        Option(
            "Milliseconds from a trigger after which its verdict is late, which does not pass; default: no "
            "deadline.",
            above=0,
            maximum=_DAY_MS,
            example="200",
        ),
    ] = None
    recipe_file: Annotated[
        Path | None,
        Option(
            "File with the number of a recipe: the station changes to it at its start, and whenever the "
            "number changes.",
            example='"recipe.txt"',
        ),
    ] = None
    mqtt_recipe: Annotated[
        bool,
        Option("Change to the recipe whose number is published to TOPIC/recipe; TOPIC is that of mqtt."),
    ] = False
    keep_warm: Annotated[
        int, Option("Recipes that stay loaded, for a fast change.", minimum=1, maximum=1000)
    ] = 4
    challenge: Annotated[
        bool,
        Option(
            "Run the challenge set of each bundle before it is used; a known-bad part that is not found is a "
            "fault."
        ),
    ] = False
    state_dir: Annotated[
        Path,
        Option("Folder for counters and part numbers; default: NAME.state, beside NAME.toml."),
    ]
    models_dir: Annotated[Path, Option("Folder that holds the bundles; default: models, beside the file.")]
    cameras: dict[str, CameraSettings]
    inspections: dict[str, InspectionSettings]
    recipes: tuple[RecipeSettings, ...]
    plc: PlcSettings = field(default_factory=PlcSettings)
    gpio: GpioSettings | None = None
    results: ResultOptions = field(default_factory=ResultOptions)
    remarks: tuple[str, ...] = ()
    place: Callable[..., str] = field(default=nowhere, compare=False, repr=False)
