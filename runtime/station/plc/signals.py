"""The signals between a PLC and the station, declared once: names, kinds, addresses, meaning.

Both servers and the table in ``docs/plc.md`` are made from ``SIGNALS``. A double word occupies two registers,
the more significant word first. The same memory is offered in several ways, because PLCs differ in what they
can read: bits one by one (coils and discrete inputs), and everything packed in registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Direction = Literal["command", "status"]
Kind = Literal["bit", "word", "double word"]
#: Values of the signals of one direction, by name. Bits are 0 or 1.
Values = Mapping[str, int]

#: The status registers are repeated among the holding registers from here, the status bits among the coils:
#: for clients that read nothing else, and for one request that writes and reads (function 23).
MIRROR = 100
#: Node ids are strings in this namespace.
OPCUA_NAMESPACE = "urn:dmdd-edge:station"
OPCUA_ROOT = "Station"

_LIMITS: Mapping[Kind, int] = {"bit": 1, "word": 0xFFFF, "double word": 0xFFFFFFFF}
_FOLDERS: Mapping[Direction, str] = {"command": "Commands", "status": "Status"}


@dataclass(frozen=True)
class Signal:
    """One signal.

    Attributes:
        name: the same in Modbus, OPC UA, page and documentation.
        direction: ``command`` goes from the PLC to the station, ``status`` from the station to the PLC.
        kind: size of its value.
        register: its first register, from 0: holding register for a command, input register for a status.
        bit: its number in that register, from 0, the least significant; also the number of the coil (command)
            or discrete input (status). None for words.
        help: what it means.
    """

    name: str
    direction: Direction
    kind: Kind
    register: int
    bit: int | None
    help: str

    @property
    def limit(self) -> int:
        """Largest value."""
        return _LIMITS[self.kind]

    @property
    def registers(self) -> int:
        """Number of registers."""
        return 2 if self.kind == "double word" else 1

    @property
    def node(self) -> str:
        """The identifier of its OPC UA node; ``PartID`` and ``Heartbeat`` exist in both directions."""
        return f"{OPCUA_ROOT}.{_FOLDERS[self.direction]}.{self.name}"

    @property
    def folder(self) -> str:
        """The OPC UA folder of its direction."""
        return _FOLDERS[self.direction]


def _command(name: str, kind: Kind, register: int, help_: str, bit: int | None = None) -> Signal:
    return Signal(name, "command", kind, register, bit, help_)


def _status(name: str, kind: Kind, register: int, help_: str, bit: int | None = None) -> Signal:
    return Signal(name, "status", kind, register, bit, help_)


COMMANDS = (
    _command("TriggerEnable", "bit", 0, "1: triggers are allowed. 0: `Ready` stays 0.", 0),
    _command("Trigger", "bit", 0, "A change from 0 to 1 while `Ready` is 1 starts a part.", 1),
    _command("ResultAck", "bit", 0, "1: the result has been read. Set it to 0 when `ResultValid` is 0.", 2),
    _command("ClearError", "bit", 0, "A change from 0 to 1 clears `Fault`, if its cause has gone.", 3),
    _command("Heartbeat", "bit", 0, "Must change at least once per `heartbeat_ms`, if that is set.", 4),
    _command(
        "RecipeRequest",
        "word",
        1,
        "A change to another number than 0 requests that recipe. Write 0 first to request it again.",
    ),
    _command(
        "PartID", "double word", 2, "Number of the part, read at the trigger; 0: the PLC sends no number."
    ),
    _command(
        "EncoderCount",
        "double word",
        4,
        "Position of the encoder, read at the trigger; 0: the PLC sends none.",
    ),
)

STATUS = (
    _status("Online", "bit", 0, "1: the station inspects parts. 0: it starts, ends, or has stopped.", 0),
    _status("Ready", "bit", 0, "1: a trigger is accepted now.", 1),
    _status("TriggerAck", "bit", 0, "1: the trigger was accepted. It returns to 0 with `Trigger`.", 2),
    _status("Busy", "bit", 0, "1: at least one part is in progress.", 3),
    _status(
        "ResultValid",
        "bit",
        0,
        "1: the result is valid. Only a fault changes it: `Pass` becomes `Suspect`.",
        4,
    ),
    _status(
        "Pass",
        "bit",
        0,
        "1: the part is good and in time, and no fault came since.",
        5,
    ),
    _status("Fail", "bit", 0, "1: an anomaly was found.", 6),
    _status(
        "Suspect",
        "bit",
        0,
        "1: no anomaly was found, but the part must not pass: it is suspect (see `InBand`), it is late, or a "
        "fault came meanwhile.",
        7,
    ),
    _status("Unreliable", "bit", 0, "1: the images are not fit, or an inspection failed.", 8),
    _status("QueueOverflow", "bit", 0, "1: a trigger or a result was lost because a queue was full.", 9),
    _status("Fault", "bit", 0, "1: the station needs attention; see `ErrorCode`.", 10),
    _status("Heartbeat", "bit", 0, "Changes once per second while the station works.", 11),
    _status("InBand", "bit", 0, "1: the part is suspect: a score is between its two thresholds.", 12),
    _status("ErrorCode", "word", 1, "Why `Fault` is 1, or why the last request was refused; 0: no error."),
    _status("RecipeCurrent", "word", 2, "Number of the recipe in force; 0: none yet."),
    _status("AcquisitionID", "double word", 3, "Counts the parts of this station from 1, over restarts."),
    _status("PartID", "double word", 5, "`PartID` of the trigger; the `AcquisitionID` if that was 0."),
    _status("ScoreX10000", "word", 7, "Highest normalized score times 10000: the threshold is 5000."),
    _status("RegionCount", "word", 8, "Number of anomalous or suspect regions."),
    _status("LatencyMs", "word", 9, "Time from the trigger to the verdict in ms, 65535 at most."),
    _status("EncoderCount", "double word", 10, "`EncoderCount` of the trigger."),
)

SIGNALS = (*COMMANDS, *STATUS)
#: Exactly one of these is 1 while ``ResultValid`` is.
VERDICTS = ("Pass", "Fail", "Suspect", "Unreliable")
#: Of a result besides its verdict; 0 without a result.
IN_BAND = "InBand"


def _by_name(signals: Sequence[Signal]) -> Mapping[str, Signal]:
    return MappingProxyType({signal.name: signal for signal in signals})


NAMED: Mapping[Direction, Mapping[str, Signal]] = {"command": _by_name(COMMANDS), "status": _by_name(STATUS)}
#: Number of registers, and of bits, of each direction.
WIDTH: Mapping[Direction, int] = {
    direction: max(signal.register + signal.registers for signal in named.values())
    for direction, named in NAMED.items()
}
BITS: Mapping[Direction, int] = {
    direction: 1 + max(signal.bit for signal in named.values() if signal.bit is not None)
    for direction, named in NAMED.items()
}


def off(direction: Direction) -> dict[str, int]:
    """Values of all signals of a direction before anything is known: zeros, the safe state."""
    return dict.fromkeys(NAMED[direction], 0)


def pack(direction: Direction, values: Values) -> tuple[int, ...]:
    """Registers with these values; each register is 0..65535.

    Args:
        direction: which signals.
        values: missing ones are 0; each must be within its signal's limit.
    """
    words = [0] * WIDTH[direction]
    for name, signal in NAMED[direction].items():
        value = values.get(name, 0)
        if not 0 <= value <= signal.limit:
            raise ValueError(f"{name} must be 0..{signal.limit}, got {value}")
        if signal.bit is not None:
            words[signal.register] |= value << signal.bit
        elif signal.kind == "word":
            words[signal.register] = value
        else:
            words[signal.register] = value >> 16
            words[signal.register + 1] = value & 0xFFFF
    return tuple(words)


def unpack(direction: Direction, words: Sequence[int]) -> dict[str, int]:
    """Values in the registers of a direction; the reverse of ``pack``. Unused bits are ignored."""
    return {name: _value(signal, words) for name, signal in NAMED[direction].items()}


def touched(direction: Direction, first: int, count: int) -> Iterator[str]:
    """Names of the signals in ``count`` registers from ``first``."""
    for name, signal in NAMED[direction].items():
        if signal.register < first + count and first < signal.register + signal.registers:
            yield name


def _value(signal: Signal, words: Sequence[int]) -> int:
    word = words[signal.register]
    if signal.bit is not None:
        return word >> signal.bit & 1
    return word if signal.kind == "word" else word << 16 | words[signal.register + 1]
