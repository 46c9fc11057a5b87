"""Reach the lines of a GPIO chip: the package, the device, permissions, who else uses a line."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.errors import BackendError, DmddError, OptionError
from dmdd_edge.extras import install_command, need
from dmdd_edge.runtime.station.gpio.outputs import output_lines
from dmdd_edge.runtime.station.settings import GpioSettings, LineSettings

if TYPE_CHECKING:
    from gpiod import Chip, LineRequest

DEVICES = Path("/dev")
#: Edges that the kernel keeps while the program does not read them.
EDGES = 256
_CONSUMER = "dmdd-edge"
_UDEV = (
    "sudo groupadd --force --system gpio && "
    """echo 'SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="gpio", MODE="0660"' """
    "| sudo tee /etc/udev/rules.d/60-gpio.rules && "
    "sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=gpio"
)


def load_gpiod() -> Any:
    """The package gpiod.

    Raises:
        BackendError: it is missing, or it is version 1, whose interface is another one.
    """
    with need("gpio"):
        import gpiod
    if not hasattr(gpiod, "request_lines"):
        where = getattr(gpiod, "__file__", "") or "unknown"
        raise BackendError(
            f"The package gpiod in {where} is version 1, such as Debian's python3-libgpiod; 24 V lines need "
            "version 2.",
            f"Install it into this environment: {install_command('gpio')}",
        )
    return gpiod


def check_gpio(settings: GpioSettings) -> list[DmddError]:
    """Whether the lines can be used, without driving any of them.

    Returns:
        What is wrong, each with its fix; empty when all is well.
    """
    problems: list[DmddError] = []
    try:
        chip = _open_chip(settings.chip)
    except DmddError as error:
        return [error]
    with chip:
        seen: dict[int, str] = {}
        for name, line in all_lines(settings).items():
            problem = _line_problem(chip, settings.chip, name, line, seen)
            if problem is not None:
                problems.append(problem)
    return problems


def request_outputs(settings: GpioSettings, values: dict[str, bool]) -> LineRequest | None:
    """Take the output lines, with these values from the first moment.

    Args:
        settings: the lines.
        values: what each output says, by name.

    Returns:
        The request, or None without an output.

    Raises:
        DmddError: see ``check_gpio``.
    """
    gpiod, lines = load_gpiod(), output_lines(settings)
    kinds = gpiod.line
    config = {
        line.line: gpiod.LineSettings(
            direction=kinds.Direction.OUTPUT,
            active_low=line.active == "low",
            output_value=kinds.Value.ACTIVE if values[name] else kinds.Value.INACTIVE,
        )
        for name, line in lines.items()
    }
    return _request(settings, config) if config else None


def request_trigger(settings: GpioSettings) -> LineRequest | None:
    """Take the trigger line; the kernel debounces it and stamps its edges by the monotonic clock.

    Returns:
        The request, or None without a trigger.

    Raises:
        DmddError: see ``check_gpio``.
    """
    line = settings.trigger
    if line is None:
        return None
    gpiod = load_gpiod()
    kinds = gpiod.line
    wanted = gpiod.LineSettings(
        direction=kinds.Direction.INPUT,
        edge_detection=kinds.Edge.RISING,
        active_low=line.active == "low",
        debounce_period=timedelta(milliseconds=settings.debounce_ms),
        event_clock=kinds.Clock.MONOTONIC,
    )
    return _request(settings, {line.line: wanted})


def reason_of(error: OSError | DmddError) -> str:
    """Why a line failed, as a sentence."""
    return error.message if isinstance(error, DmddError) else f"{error.strerror or error}."


def all_lines(settings: GpioSettings) -> dict[str, LineSettings]:
    """The lines that the station file has, by name."""
    trigger = {} if settings.trigger is None else {"trigger": settings.trigger}
    return {**output_lines(settings), **trigger}


def _request(settings: GpioSettings, config: dict[Any, Any]) -> LineRequest:
    with _open_chip(settings.chip) as chip:
        try:
            return chip.request_lines(config, consumer=_CONSUMER, event_buffer_size=EDGES)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
    found = [problem for problem in check_gpio(settings) if not isinstance(problem, BackendError)]
    if found:
        raise found[0]
    names = ", ".join(str(line) for line in config)
    raise OptionError(f"Lines {names} of {settings.chip} cannot be used: {reason}.", "Check `dmesg`.")


def _open_chip(path: str) -> Chip:
    gpiod = load_gpiod()
    try:
        return gpiod.Chip(path)  # type: ignore[no-any-return]
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise _forbidden(path) from None
        if error.errno == errno.ENOENT:
            raise OptionError(f"[gpio] chip: no device at {path}.", _available()) from None
        if error.errno in (errno.ENODEV, errno.ENOTTY, errno.EINVAL):
            raise OptionError(f"[gpio] chip: {path} is not a GPIO chip.", _available()) from None
        reason = error.strerror or str(error)
        raise OptionError(f"[gpio] chip: {path} cannot be opened: {reason}.", _available()) from None


def _available() -> str:
    found = ", ".join(str(path) for path in sorted(DEVICES.glob("gpiochip*")))
    return f"Available: {found}." if found else "This machine has no /dev/gpiochip*; check `dmesg`."


def _forbidden(path: str) -> DmddError:
    message = f"[gpio] chip: this user may not open {path}."
    group = _group(path)
    if group in ("", "root"):
        return OptionError(
            message, f"Allow the group gpio to open it: {_UDEV}; then add the user to that group."
        )
    return OptionError(
        message, f"Add the user to the group {group} (sudo usermod -aG {group} $USER), and log in again."
    )


def _group(path: str) -> str:
    import grp

    try:
        return grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (OSError, KeyError):
        return ""


def _line_problem(
    chip: Chip, path: str, name: str, line: LineSettings, seen: dict[int, str]
) -> DmddError | None:
    key = f"[gpio.{name}] line"
    try:
        offset = chip.line_offset_from_id(line.line)
        info = chip.get_line_info(offset)
    except (OSError, ValueError, OverflowError):
        count = chip.get_info().num_lines
        return OptionError(
            f"{key}: {path} has no line {line.line!r}; it has {count}, from 0 to {count - 1}.",
            "Use one that gpioinfo lists, by number or name.",
        )
    if offset in seen:
        return OptionError(
            f"{key}: line {line.line!r} is also that of [gpio.{seen[offset]}].", "Give each its own line."
        )
    seen[offset] = name
    if info.used:
        user = f"by {info.consumer!r}" if info.consumer else "by another program or the kernel"
        return OptionError(
            f"{key}: line {line.line!r} of {path} is in use {user}.",
            "Close that program, or use another line; gpioinfo lists them.",
        )
    return None
