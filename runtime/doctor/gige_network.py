"""What the network of a GigE Vision camera needs: large packets, a large receive buffer, loose filters."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.machine import read_text

_ROOT = Path("/")
_PURPOSE = "GigE Vision without lost packets"
#: What network cards and cameras carry at most; six times fewer packets than with 1500 bytes.
_MTU = 9000
#: Room for a few images of a few megapixels, while this program is busy.
_BUFFER = 16 << 20
_GET_ADDRESS = 0x8915  # SIOCGIFADDR of linux/sockios.h
_PORT = 3956


def interface_to(address: str) -> str:
    """The interface that reaches an IPv4 address, by its name; empty if that is unknown."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, _PORT))  # sends nothing
            own = probe.getsockname()[0]
        except OSError:
            return ""
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                reply = fcntl.ioctl(probe.fileno(), _GET_ADDRESS, request)
            except OSError:  # an interface without an address
                continue
            if socket.inet_ntoa(reply[20:24]) == own:
                return name
    return ""


def examine_interfaces(names: Sequence[str], root: Path = _ROOT) -> list[Finding]:
    """The settings of interfaces with cameras, and of the receive buffer that they share.

    Args:
        names: of the interfaces; without any there is nothing to examine.
        root: of the file system.
    """
    if not names:
        return []
    return [
        *(finding for name in names for finding in (_mtu(name, root), _filter(name, root))),
        _receive_buffer(root),
    ]


def _number(path: Path) -> int | None:
    text = (read_text(path) or "").strip()
    return int(text) if text.isdecimal() else None


def _mtu(name: str, root: Path) -> Finding:
    value = _number(root / "sys/class/net" / name / "mtu")
    good = value is None or value >= _MTU
    return Finding(
        f"genicam.mtu-{name}",
        f"{name}: MTU",
        "ok" if good else "missing",
        "unknown" if value is None else f"{value} bytes" + ("" if good else f", less than {_MTU}"),
        _PURPOSE,
        ""
        if good
        else f"sudo ip link set dev {name} mtu {_MTU} (until the next start; for longer set it where the "
        "address is set: NetworkManager, netplan or systemd-networkd)",
        {"interface": name, "mtu": value},
    )


def _filter(name: str, root: Path) -> Finding:
    """The reverse path filter; the stricter of the common and the interface's own setting counts."""
    values = [_number(root / "proc/sys/net/ipv4/conf" / one / "rp_filter") for one in ("all", name)]
    # 0 is off, 1 strict and 2 loose; the kernel takes the larger number.
    value = max((one for one in values if one is not None), default=None)
    words = {
        None: "unknown",
        0: "off",
        1: "strict: answers of cameras in another network are dropped",
        2: "loose",
    }
    setting = f"net.ipv4.conf.{name}.rp_filter"
    return Finding(
        f"genicam.rp_filter-{name}",
        f"{name}: rp_filter",
        "missing" if value == 1 else "ok",
        words.get(value, str(value)),
        "finding cameras with an address in another network",
        _kept(setting, 2) if value == 1 else "",
        {"interface": name, "rp_filter": value},
    )


def _receive_buffer(root: Path) -> Finding:
    value = _number(root / "proc/sys/net/core/rmem_max")
    good = value is None or value >= _BUFFER
    return Finding(
        "genicam.rmem_max",
        "receive buffer",
        "ok" if good else "missing",
        "unknown"
        if value is None
        else f"net.core.rmem_max is {value} bytes" + ("" if good else f", less than {_BUFFER}"),
        _PURPOSE,
        "" if good else _kept("net.core.rmem_max", _BUFFER),
        {"rmem_max": value},
    )


def _kept(setting: str, value: int) -> str:
    """The command that changes a setting of the kernel now and for every later start."""
    file = "/etc/sysctl.d/90-genicam.conf"
    return f"echo '{setting}={value}' | sudo tee -a {file} && sudo sysctl -p {file}"
