"""What a station's systemd unit needs to know of this machine, and what is left to do after it."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from dmdd_edge.errors import OptionError, StorageError
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.station.settings import StationSettings
from dmdd_edge.runtime.station.unit import UnitFacts, unit_name, unit_text
from dmdd_edge.storage import write_atomically

#: Groups that may open cameras, GPUs, GPIO chips and serial ports, where they exist.
GROUPS = ("video", "render", "gpio", "dialout")
DEFAULT_FOLDER = Path("/etc/systemd/system")
DEFAULT_ACCOUNT = "dmdd-edge"
#: Options of results that name a file; the others name a folder.
_FILES = ("jsonl", "csv", "video")
#: The first port that needs no privilege.
_FREE_PORT = 1024
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


@dataclass(frozen=True)
class Plan:
    """A unit to be written, and the way to a running service.

    Attributes:
        name: of the unit, with ``.service``.
        text: the unit.
        before: commands that this machine needs first, to be pasted.
        remove: the command that removes the service.
        doubts: what may keep the service from running, a sentence each.
    """

    name: str
    text: str
    before: tuple[str, ...]
    remove: str
    doubts: tuple[str, ...]


def plan_unit(settings: StationSettings, account: str = DEFAULT_ACCOUNT) -> Plan:
    """Work out the unit of a station on this machine.

    Args:
        settings: of the station.
        account: user whom it runs as; needs not exist yet.

    Raises:
        OptionError: the account or a path cannot be in a unit.
    """
    if not _ACCOUNT.fullmatch(account):
        raise OptionError(f"--account {account} is not the name of a user.", "Give one such as dmdd-edge.")
    groups = tuple(name for name in GROUPS if _group_exists(name))
    writable = writable_folders(settings)
    name = unit_name(settings.path)
    remove = (
        f"sudo systemctl disable --now {name} && sudo rm /etc/systemd/system/{name}.service "
        "&& sudo systemctl daemon-reload"
    )
    facts = UnitFacts(
        name=name,
        station=settings.name,
        file=settings.path,
        program=own_program(),
        account=account,
        groups=groups,
        writable=writable,
        low_ports=any(0 < port < _FREE_PORT for port in _ports(settings)),
        known_devices=not Path("/etc/nv_tegra_release").exists(),
        systemd=systemd_version(),
    )
    header = (
        f"Written by: dmdd-edge station install {settings.path}",
        f"Change:     sudo systemctl edit {name}",
        f"Remove:     {remove}",
    )
    return Plan(
        f"{name}.service",
        unit_text(facts, header),
        tuple(_before(account, writable)),
        remove,
        tuple(_doubts(settings, facts)),
    )


def write_unit(plan: Plan, folder: Path, file: Path, overwrite: bool) -> Path:
    """Write the unit; one that is there already with this text is left as it is.

    Args:
        plan: of the unit.
        folder: where units are.
        file: the station file, for the fix.
        overwrite: replace a unit that is there.

    Returns:
        Its path.

    Raises:
        OptionError: there is another unit of this name, or it cannot be written.
    """
    path = folder / plan.name
    if path.exists():
        if path.read_text(encoding="utf-8", errors="replace") == plan.text:
            return path
        if not overwrite:
            raise OptionError(
                f"{path} is there already, and differs.",
                f"Replace it with --overwrite; keep own changes with: sudo systemctl edit {plan.name}",
            )
    pipe = f"{command('station', 'install', file, print=True)} | sudo tee {shlex.quote(str(path))}"
    try:
        write_atomically(path, plan.text)
    except StorageError as error:
        raise OptionError(error.message, f"Write it as root: {pipe}") from None
    return path


def writable_folders(settings: StationSettings) -> tuple[Path, ...]:
    """The folders that a station writes to: its state, its results, and engine caches that the file names."""
    results = settings.results
    found = [settings.state_dir]
    for field in fields(results):
        value = getattr(results, field.name)
        if isinstance(value, Path):
            found.append(value.parent if field.name in _FILES else value)
    caches = (inspection.options.engine_cache for inspection in settings.inspections.values())
    found += [Path(cache) for cache in caches if cache is not None]
    absolute = sorted({settings.path.parent / path.expanduser() for path in found})
    return tuple(
        path
        for path in absolute
        if not any(path != other and path.is_relative_to(other) for other in absolute)
    )


def own_program() -> list[str]:
    """The command that starts this program, from the environment that it runs in."""
    script = Path(sys.executable).with_name("dmdd-edge")
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-c", "from dmdd_edge.cli.start import main; main()"]


def systemd_version() -> int:
    """Version of this machine's systemd; 0 without one."""
    program = shutil.which("systemctl")
    if program is None:
        return 0
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"systemd (\d+)", done.stdout)
    return int(found[1]) if found else 0


def _ports(settings: StationSettings) -> Iterator[int]:
    for server in (settings.plc.modbus, settings.plc.opcua):
        if server is not None:
            yield server.port
    serve = re.search(r"(\d+)$", str(settings.results.serve or ""))
    if serve:
        yield int(serve[1])


def _before(account: str, writable: Iterable[Path]) -> Iterator[str]:
    if not _account_exists(account):
        yield f"sudo useradd --system --no-create-home --shell /usr/sbin/nologin {account}"
    folders = shlex.join(map(str, writable))
    yield f"sudo install -d -m 750 -o {account} {folders}"


def _doubts(settings: StationSettings, facts: UnitFacts) -> Iterator[str]:
    needed = [facts.file, Path(facts.program[0]), settings.models_dir]
    needed += [one.model for one in settings.inspections.values() if one.model is not None]
    for path in dict.fromkeys(settings.path.parent / path for path in needed):
        closed = _closed(path, facts.account)
        if closed is not None:
            yield (
                f"The user {facts.account} may not read {path}: {closed} is closed to it. "
                "Put the station into a folder such as /opt, or give --account."
            )
    for folder in facts.writable:
        if facts.file.is_relative_to(folder):
            yield (
                f"The service may write to {folder}, which also holds the station file. Put results into "
                "a folder inside it."
            )


def _closed(path: Path, account: str) -> Path | None:
    """The first part of a path that a user may not enter or read, by its permissions; None without one."""
    try:
        entry = pwd.getpwnam(account)
        user, groups = entry.pw_uid, set(os.getgrouplist(account, entry.pw_gid))
    except KeyError:
        user, groups = -1, set()
    if user == 0:
        return None
    for part in (*reversed(path.parents), path):
        try:
            status = part.stat()
        except OSError:
            return None  # missing; ``check`` names it
        shift = 6 if status.st_uid == user else 3 if status.st_gid in groups else 0
        wanted = 0o4 if part == path and not part.is_dir() else 0o1
        if not (status.st_mode >> shift) & wanted:
            return part
    return None


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _account_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
