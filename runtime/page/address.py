"""Address on which the page listens: ``8080``, ``127.0.0.1:8080``, ``[::1]:8080``, ``0.0.0.0:8080``."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.messages.addresses import redacted

LOOPBACK = "127.0.0.1"
#: Connections that the system queues until the page accepts them.
_BACKLOG = 64
_FORMS = "Write --serve 8080 for this machine alone, or --serve ADDRESS:PORT, for example 0.0.0.0:8080."


@dataclass(frozen=True)
class Address:
    """An address and a port to listen on.

    Attributes:
        host: an IP address or a name; IPv6 without brackets.
        port: 0 chooses a free port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """Address for a browser on this machine."""
        host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)
        return f"http://{Address(host, self.port)}/"


def parse_address(text: str) -> Address:
    """Parse the value of ``--serve``; a port alone means loopback.

    Raises:
        DmddError: it is neither a port nor an address and a port.
    """
    # Somebody may have pasted a camera's address here, password and all.
    shown = redacted(text)
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        host = LOOPBACK
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise OptionError(
            f"--serve {shown}: IPv6 addresses must be in brackets.",
            "Write [ADDRESS]:PORT, for example [::1]:8080.",
        )
    if not host:
        raise OptionError(f"--serve {shown}: the address is missing.", _FORMS)
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise OptionError(f"--serve {shown}: the port must be a number from 0 to 65535.", _FORMS)
    return Address(host, int(port))


def as_option(address: Address) -> str:
    """An address as an option of the command line."""
    return f"--serve {address}"


def as_key(address: Address) -> str:
    """An address as a key of a station file."""
    return f'serve = "{address}"'


def listen(address: Address, written: Callable[[Address], str] = as_option) -> tuple[socket.socket, Address]:
    """Open the listening socket.

    Args:
        address: on which.
        written: how the user writes an address, for messages.

    Returns:
        The socket, and the address with the port that was chosen.

    Raises:
        DmddError: the port is in use or not allowed, or the address is not one of this machine.
    """
    try:
        resolved = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, _, _, _, place = resolved[0]
        both = address.host == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server(
            (str(place[0]), int(place[1])), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
    except (OSError, UnicodeError) as error:
        raise _refused(address, error, written) from error
    return listener, Address(address.host, listener.getsockname()[1])


def _refused(address: Address, error: Exception, written: Callable[[Address], str]) -> DmddError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        other = address.port + 1 if address.port < 65535 else address.port - 1
        return OptionError(
            f"{written(address)}: the port is in use by another program.",
            f"Name another port, for example {written(Address(address.host, other))}; "
            "port 0 chooses a free port.",
        )
    if number in (errno.EACCES, errno.EPERM):
        return OptionError(
            f"{written(address)}: this port is not allowed.",
            f"Ports below 1024 are the system's; use {written(Address(address.host, 8080))}.",
        )
    return OptionError(
        f"{written(address)}: this machine cannot listen on it: {error}.",
        "127.0.0.1 is this machine alone, 0.0.0.0 all its addresses; `ip address` lists them.",
    )
