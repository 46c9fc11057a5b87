"""What a station file says, checked: cameras, inspections, recipes, the PLC, lines, results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.delivery import MessageOptions
from dmdd_edge.runtime.options.files import OutputOptions
from dmdd_edge.runtime.options.run import LiveOptions
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.station.model import TriggerMode


@dataclass(frozen=True, kw_only=True)
class ResultOptions(LiveOptions, MessageOptions, OutputOptions):
    """Where results go: ``[results]``; the keys are those of ``run``."""


@dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """A camera: ``[cameras.NAME]``.

    Attributes:
        name: of the camera.
        source: what ``run --source`` takes.
        trigger: how it is triggered, see ``StationCamera``.
        queue: number of frames that may wait in mode ``camera``.
        timeout_ms: how long a frame may take after its trigger.
        settle_ms: in mode ``newest``: how much later than the trigger a frame must have been grabbed, for a
            camera or stream whose frames are that old when they arrive.
        match_ms: in mode ``camera``: how far the times of the frames of one part may be apart.
        options: how the source is read; the keys are those of ``run``.
    """

    name: str
    source: str
    trigger: TriggerMode = "newest"
    queue: int = 8
    timeout_ms: float = 1000.0
    settle_ms: float = 0.0
    match_ms: float = 50.0
    options: SourceOptions = field(default_factory=SourceOptions)


@dataclass(frozen=True, kw_only=True)
class InspectionSettings:
    """An inspection: ``[inspections.NAME]``.

    Attributes:
        name: of the inspection.
        camera: name of its camera.
        category, model: which bundle, as ``run`` finds it.
        region: x, y, width, height in pixels of the camera's image; None is all of it.
        threshold, pixel_threshold: 0..1; None is the bundle's.
        backend: name of the backend.
        options: of the backend.
    """

    name: str
    camera: str
    category: str | None = None
    model: Path | None = None
    region: tuple[int, int, int, int] | None = None
    threshold: float | None = None
    pixel_threshold: float | None = None
    backend: str = "auto"
    options: BackendOptions = field(default_factory=BackendOptions)


@dataclass(frozen=True, kw_only=True)
class RecipeSettings:
    """A recipe: ``[[recipes]]``.

    Attributes:
        number: that the PLC gives, 1..65535.
        name: for people.
        inspections: names of its inspections, in order.
    """

    number: int
    name: str
    inspections: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ModbusSettings:
    """The Modbus TCP server: ``[plc.modbus]``.

    Attributes:
        host, port: where it listens.
        unit: device id it answers to; 0 answers to all.
    """

    host: str = "0.0.0.0"
    port: int = 502
    unit: int = 0


@dataclass(frozen=True, kw_only=True)
class OpcUaSettings:
    """The OPC UA server: ``[plc.opcua]``.

    Attributes:
        host, port: where it listens.
    """

    host: str = "0.0.0.0"
    port: int = 4840


@dataclass(frozen=True, kw_only=True)
class PlcSettings:
    """What all ways to a PLC share: ``[plc]``.

    Attributes:
        result: whether ``ResultValid`` is held until ``ResultAck``, or pulsed.
        pulse_ms: length of the pulse.
        acknowledge_ms: how long a held result waits for ``ResultAck`` before that is a fault.
        heartbeat_ms: how long the PLC's heartbeat may stay unchanged; None ignores it.
        modbus, opcua: the servers; None is none.
    """

    result: Literal["hold", "pulse"] = "hold"
    pulse_ms: float = 100.0
    acknowledge_ms: float = 2000.0
    heartbeat_ms: float | None = None
    modbus: ModbusSettings | None = None
    opcua: OpcUaSettings | None = None


@dataclass(frozen=True, kw_only=True)
class LineSettings:
    """One 24 V line: ``[gpio.NAME]``.

    Attributes:
        line: its number on the chip, or its name.
        active: the level that means yes.
        pulse_ms: how long an output stays; 0 holds it until the next part.
        delay_ms: how long after the verdict an output changes.
    """

    line: int | str
    active: Literal["high", "low"] = "high"
    pulse_ms: float = 0.0
    delay_ms: float = 0.0


@dataclass(frozen=True, kw_only=True)
class GpioSettings:
    """The 24 V lines: ``[gpio]``.

    Attributes:
        chip: the device.
        ready, pass_, reject, fault: outputs.
        trigger: input; its rising edge triggers a part.
        debounce_ms: how long the trigger must stay to count.
    """

    chip: str = "/dev/gpiochip0"
    ready: LineSettings | None = None
    pass_: LineSettings | None = None
    reject: LineSettings | None = None
    fault: LineSettings | None = None
    trigger: LineSettings | None = None
    debounce_ms: float = 1.0


@dataclass(frozen=True, kw_only=True)
class StationSettings:
    """A station file.

    Attributes:
        path: of the file.
        name: of the station.
        recipe: number of the recipe at the first start; later the last one in force.
        queue: number of triggers that may wait.
        deadline_ms: after which a verdict is late; None has no deadline.
        keep_warm: number of recipes that stay loaded.
        state_dir: where counters and part numbers are kept.
        cameras, inspections, recipes: by name, by name, in order.
        plc: the ways to a PLC.
        gpio: the 24 V lines; None is none.
        results: the sinks.
    """

    path: Path
    name: str
    recipe: int
    queue: int = 8
    deadline_ms: float | None = None
    keep_warm: int = 4
    state_dir: Path
    models_dir: Path
    cameras: dict[str, CameraSettings]
    inspections: dict[str, InspectionSettings]
    recipes: tuple[RecipeSettings, ...]
    plc: PlcSettings = field(default_factory=PlcSettings)
    gpio: GpioSettings | None = None
    results: ResultOptions = field(default_factory=ResultOptions)
