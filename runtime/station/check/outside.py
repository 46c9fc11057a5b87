"""Opens what a station shows to the outside: servers for PLCs, 24 V lines, the page; and its results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.messages.commands import command
from dmdd_edge.options.keys import key_of
from dmdd_edge.options.model import option_fields
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.options.files import ImageFolders
from dmdd_edge.runtime.options.sizes import size_text
from dmdd_edge.runtime.station.check.report import failed
from dmdd_edge.runtime.station.plc.transport import Command, Transport
from dmdd_edge.runtime.station.settings import DRIFT_STATE, ResultOptions, StationSettings
from dmdd_edge.storage import require_writable


def examine_outside(settings: StationSettings, remark: Callable[[str], None]) -> Iterator[Finding]:
    """Open each server, examine the 24 V lines without driving any, and see where results go.

    Args:
        settings: of the station.
        remark: called with what a person should know, a sentence each.
    """
    yield from _servers(settings, remark)
    yield from _lines(settings)
    yield from _results(settings)


def _servers(settings: StationSettings, remark: Callable[[str], None]) -> Iterator[Finding]:
    modbus, opcua = settings.plc.modbus, settings.plc.opcua

    def opened(port: Transport, name: str) -> str:
        port.close()
        for warning in port.warnings:
            remark(f"{settings.place('plc', name)}: {warning}")
        return port.address

    # Each server needs a package of an extra.
    def open_modbus() -> str:
        from dmdd_edge.runtime.station.plc.modbus import ModbusPort

        assert modbus is not None
        return opened(ModbusPort(modbus, _ignore), "modbus")

    def open_opcua() -> str:
        from dmdd_edge.runtime.station.plc.opcua import OpcUaPort

        assert opcua is not None
        return opened(OpcUaPort(opcua, _ignore), "opcua")

    if modbus is not None:
        yield _tried("plc.modbus", "Modbus TCP", open_modbus, settings.place("plc", "modbus", "port"))
    if opcua is not None:
        yield _tried("plc.opcua", "OPC UA", open_opcua, settings.place("plc", "opcua", "port"))


def _ignore(command: Command) -> None:
    """Pass no command on: nobody is meant to send one while the station is examined."""


def _lines(settings: StationSettings) -> Iterator[Finding]:
    if settings.gpio is None:
        return
    from dmdd_edge.runtime.station.gpio.access import all_lines, check_gpio

    problems = check_gpio(settings.gpio)
    for problem in problems:
        # Which line it is about, the message says as the file does.
        found = re.match(r"\[gpio\.(\w+)\] (\w+)", problem.message)
        name = found[1] if found else "lines"
        title = f"24 V {f'line {name}' if found else 'lines'}"
        place = settings.place("gpio", *(found.groups() if found else ("chip",)))
        if not Path(settings.gpio.chip).exists():
            simulate = command("station", "simulate", settings.path)
            problem.fix = f"{problem.fix} To try without 24 V lines, run: {simulate}"
        yield failed(f"gpio.{name}", title, problem, place)
    if not problems:
        lines = ", ".join(f"{name} {line.line}" for name, line in all_lines(settings.gpio).items())
        yield Finding("gpio.lines", "24 V lines", "ok", f"{settings.gpio.chip}: {lines}")


def _results(settings: StationSettings) -> Iterator[Finding]:
    results = settings.results
    yield _tried(
        "results.state_dir",
        "counters",
        lambda: _writable(settings.state_dir),
        settings.place("state_dir"),
    )
    folders = {field.name for field in option_fields(ImageFolders)} | {"spool"}
    for field in option_fields(ResultOptions):
        value = getattr(results, field.name)
        if field.name == "archive" and value is not None:
            place = settings.place("results", "archive")
            yield _tried("results.archive", "archive", partial(_archive, results, value), place)
        elif isinstance(value, Path):
            folder = value if field.name in folders else value.parent
            place = settings.place("results", key_of(field))
            yield _tried(f"results.{key_of(field)}", key_of(field), partial(_writable, folder), place)
    if results.drift:
        learned = (settings.state_dir / DRIFT_STATE).exists()
        begins = "continues what it has learned" if learned else "learns first what is usual"
        often = f"a false warning in {results.drift_frames} parts of an inspection, on average"
        yield Finding("results.drift", "drift watch", "ok", f"{begins}; {often}")
    if results.serve is not None:
        yield _tried("results.serve", "page", lambda: _page(results), settings.place("results", "serve"))
    for name in ("mqtt", "webhook"):
        if getattr(results, name) is not None:
            check = _mqtt if name == "mqtt" else _webhook
            yield _tried(f"results.{name}", name, partial(check, results), settings.place("results", name))


def _tried(name: str, title: str, check: Callable[[], str], place: str) -> Finding:
    """What a check says of a part, or why it failed."""
    try:
        return Finding(name, title, "ok", check())
    except DmddError as error:
        keys = {field.spelling: key_of(field) for field in option_fields(ResultOptions)}
        for spelling, key in keys.items():
            error.message = error.message.replace(f"{spelling} ", f"{key} ")
        return failed(name, title, error, place)


def _writable(folder: Path) -> str:
    require_writable(folder)
    return str(folder)


def _archive(results: ResultOptions, folder: Path) -> str:
    from dmdd_edge.runtime.archive.folder import ArchiveFolder

    require_writable(folder)
    known = "continued" if ArchiveFolder.is_there(folder) else "new"
    share = f"{100 * results.archive_sample:g} % of the good parts"
    return f"{folder}, {known}, at most {size_text(results.archive_size)}; sample: {share}"


def _page(results: ResultOptions) -> str:
    from dmdd_edge.runtime.outputs import page_token
    from dmdd_edge.runtime.page.address import as_key, listen, parse_address

    page_token(results.serve_token_env)
    listener, address = listen(parse_address(results.serve or ""), as_key)
    listener.close()
    return address.url


def _mqtt(results: ResultOptions) -> str:
    from dmdd_edge.runtime.delivery.address import parse_mqtt
    from dmdd_edge.runtime.delivery.mqtt import MqttTransport

    broker = parse_mqtt(results.mqtt or "")
    MqttTransport(broker).close()  # connects with its first message
    return broker.name


def _webhook(results: ResultOptions) -> str:
    from dmdd_edge.runtime.delivery.address import parse_webhook
    from dmdd_edge.runtime.delivery.options import secret

    secret(results.webhook_secret_env, "webhook_secret_env")
    secret(results.webhook_token_env, "webhook_token_env")
    return parse_webhook(results.webhook or "").name
