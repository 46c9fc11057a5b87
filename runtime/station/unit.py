"""The text of a systemd unit for a station, by the rules of systemd.service(5) and systemd.exec(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.text import unfit_character

#: The version of systemd from which it can restart a service ever more slowly.
_STEPS_SINCE = 254
#: Begins the name of each unit.
PREFIX = "dmdd-edge-"
#: Seconds without a sign of life after which systemd restarts the station.
WATCHDOG_SECONDS = 30
#: Seconds for the first start: bundles are verified and warmed.
_START_SECONDS = 900
#: Where the kernel's device nodes of cameras, USB, GPIO and GPUs are. Patterns may match nothing.
_DEVICES = ("char-video4linux", "char-media", "char-usb_device", "char-gpiochip", "char-drm", "char-nvidia*")
#: Characters that need no quotes.
_PLAIN = re.compile(r"[\w@:,./+=%-]+", re.ASCII)
_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0027"""


@dataclass(frozen=True, kw_only=True)
class UnitFacts:
    """What a unit depends on; every path is absolute.

    Attributes:
        name: of the unit, without ``.service``.
        station: name of the station.
        file: the station file.
        program: the command that starts dmdd-edge, as words.
        account, groups: whom it runs as, and which groups besides.
        writable: folders that it writes to.
        low_ports: whether it listens at a port below 1024.
        known_devices: whether the machine's devices are those of a PC, so that others can be denied; a
            Jetson has many more.
        systemd: version of systemd.
    """

    name: str
    station: str
    file: Path
    program: Sequence[str]
    account: str
    groups: Sequence[str]
    writable: Sequence[Path]
    low_ports: bool
    known_devices: bool
    systemd: int


def unit_text(facts: UnitFacts, header: Iterable[str] = ()) -> str:
    """The unit.

    Args:
        facts: what it depends on.
        header: lines for its first comment.

    Raises:
        OptionError: a path has a character that systemd's files cannot express everywhere.
    """
    for path in (facts.file, *facts.program, *facts.writable):
        _check(str(path))
    lines = [
        *(f"# {line}" for line in header),
        "[Unit]",
        f"Description=dmdd-edge station {_raw(facts.station)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "# A camera or a network may come back after hours: never give up.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={_command([*facts.program, 'station', 'run', str(facts.file)])}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        f"WorkingDirectory={_raw(str(facts.file.parent))}",
        f"EnvironmentFile=-/etc/dmdd-edge/{facts.name.removeprefix(PREFIX)}.env",
        f"User={facts.account}",
        *([f"SupplementaryGroups={' '.join(facts.groups)}"] if facts.groups else []),
        "",
        "Restart=always",
        *_restart(facts.systemd),
        f"TimeoutStartSec={_START_SECONDS}",
        "TimeoutStopSec=60",
        f"WatchdogSec={WATCHDOG_SECONDS}",
        "# The watchdog's SIGABRT then writes where each thread hangs into the journal.",
        "Environment=PYTHONFAULTHANDLER=1",
        "LimitCORE=0",
        "KillMode=mixed",
        "OOMScoreAdjust=-500",
        "",
        "# Engines and kernels that are built on this machine.",
        "CacheDirectory=dmdd-edge",
        "CacheDirectoryMode=0700",
        "Environment=XDG_CACHE_HOME=%C/dmdd-edge CUDA_CACHE_PATH=%C/dmdd-edge/cuda",
        "",
        _HARDENING,
        *_file_rules(facts),
        *_capabilities(facts.low_ports),
        *_device_rules(facts.known_devices),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def unit_name(file: Path) -> str:
    """Name of the unit of a station file, without ``.service``."""
    return PREFIX + (re.sub(r"[^A-Za-z0-9:_.-]+", "-", file.stem).strip("-") or "station")


def _restart(version: int) -> list[str]:
    if version < _STEPS_SINCE:
        return ["RestartSec=5"]
    return ["RestartSec=1", "RestartSteps=6", "RestartMaxDelaySec=60"]


def _file_rules(facts: UnitFacts) -> list[str]:
    """What it may see and write; homes and temporary folders stay hidden unless the station is there."""
    paths = [facts.file, Path(facts.program[0]), *facts.writable]
    homes = any(path.is_relative_to(home) for path in paths for home in ("/home", "/root", "/run/user"))
    temporary = any(path.is_relative_to(folder) for path in paths for folder in ("/tmp", "/var/tmp"))
    return [
        f"ReadWritePaths={_words(map(str, facts.writable))}",
        f"ProtectHome={'read-only' if homes else 'yes'}",
        f"PrivateTmp={'no' if temporary else 'yes'}",
    ]


def _capabilities(low_ports: bool) -> list[str]:
    granted = "CAP_NET_BIND_SERVICE" if low_ports else ""
    return [f"CapabilityBoundingSet={granted}", *([f"AmbientCapabilities={granted}"] if granted else [])]


def _device_rules(known: bool) -> list[str]:
    if not known:
        return []
    # ProtectClock belongs here: it denies every device that is not allowed.
    return ["DevicePolicy=closed", *(f"DeviceAllow={device} rw" for device in _DEVICES), "ProtectClock=yes"]


def _check(text: str) -> None:
    if unfit_character(text) is not None or any(char in text for char in "\"'\\"):
        raise OptionError(
            f"The path {text} has a quote, a backslash or a control character, which a systemd unit cannot "
            "express.",
            "Rename it.",
        )


def _raw(text: str) -> str:
    """A value that systemd does not split; % begins a specifier."""
    return text.replace("%", "%%")


def _words(words: Iterable[str]) -> str:
    """Values that systemd splits at spaces, unless they are quoted."""
    return " ".join(word if _PLAIN.fullmatch(word) else f'"{word}"' for word in map(_raw, words))


def _command(words: Sequence[str]) -> str:
    """A command: $ begins a variable in its arguments, though not in its program."""
    return _words([words[0], *(word.replace("$", "$$") for word in words[1:])])
