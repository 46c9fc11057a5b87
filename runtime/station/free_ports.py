"""The ports that a station needs, tried before anything of it opens; all that are taken are named at once."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.page.address import Address, as_key, listen, parse_address
from dmdd_edge.runtime.station.settings import StationSettings


def require_free_ports(settings: StationSettings) -> None:
    """See that the page and each server for PLCs can have its port.

    Raises:
        OptionError: one or more cannot; the message names the line and the key of each.
    """
    problems = list(_problems(settings))
    if problems:
        fixes = dict.fromkeys(problem.fix for problem in problems)
        raise OptionError("\n".join(problem.message for problem in problems), " ".join(fixes))


def _problems(settings: StationSettings) -> Iterator[OptionError]:
    for name, server in (("modbus", settings.plc.modbus), ("opcua", settings.plc.opcua)):
        if server is not None and server.port and _taken(Address(server.host, server.port)):
            where = f"{settings.place('plc', name, 'port')}: plc.{name}: {server.host} port {server.port}"
            yield OptionError(
                f"{where} is in use by another program.",
                f"Set another plc.{name}.port, or stop that program, which this names: sudo ss -ltnp.",
            )
    if settings.results.serve is not None:
        try:
            listen(parse_address(settings.results.serve), as_key)[0].close()
        except OptionError as error:
            error.message = f"{settings.place('results', 'serve')}: {error.message}"
            yield error


def _taken(address: Address) -> bool:
    """Whether another program has it; what else may be wrong with it, its server says better."""
    try:
        listen(address)[0].close()
    except OptionError as error:
        return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
    return False
