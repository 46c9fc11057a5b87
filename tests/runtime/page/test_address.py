from __future__ import annotations

import socket
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.page import open_page
from dmdd_edge.runtime.page.address import Address, listen, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("8080", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.0.0.2:0", "127.0.0.2", 0, True),
        ("localhost:80", "localhost", 80, True),
        ("[::1]:8080", "::1", 8080, True),
        ("0.0.0.0:8080", "0.0.0.0", 8080, False),
        ("[::]:8080", "::", 8080, False),
        ("192.168.1.20:8080", "192.168.1.20", 8080, False),
        ("line-2:8080", "line-2", 8080, False),
    ],
)
def test_what_serve_takes(text: str, host: str, port: int, loopback: bool) -> None:
    address = parse_address(text)
    assert (address.host, address.port, address.loopback) == (host, port, loopback)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the port must be a number from 0 to 65535"),
        ("page", "the port must be a number from 0 to 65535"),
        ("127.0.0.1", "the port must be a number from 0 to 65535"),
        ("127.0.0.1:", "the port must be a number from 0 to 65535"),
        ("127.0.0.1:70000", "the port must be a number from 0 to 65535"),
        ("127.0.0.1:-1", "the port must be a number from 0 to 65535"),
        ("127.0.0.1:８０", "the port must be a number"),
        (":8080", "the address is missing"),
        ("::1:8080", "IPv6 addresses must be in brackets"),
    ],
)
def test_what_serve_does_not_take(text: str, said: str) -> None:
    with pytest.raises(DmddError, match=said):
        parse_address(text)


def test_what_a_browser_on_this_machine_opens() -> None:
    assert parse_address("0.0.0.0:8080").url == "http://127.0.0.1:8080/"
    assert parse_address("[::]:8080").url == "http://[::1]:8080/"
    assert parse_address("192.168.1.20:8080").url == "http://192.168.1.20:8080/"


def test_port_0_takes_a_free_one() -> None:
    listener, taken = listen(Address("127.0.0.1", 0))
    with listener:
        assert taken.port == listener.getsockname()[1] > 0


def test_a_port_in_use_is_named_with_another(control: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(DmddError, match=f"--serve 127.0.0.1:{port}: the port is in use") as error:
            open_page(str(port), control)
        assert f"--serve 127.0.0.1:{port + 1}" in error.value.fix


@pytest.mark.parametrize("address", ["192.0.2.1:8080", "no-such-machine:8080", "a..b:8080"])
def test_an_address_of_another_machine(address: str, control: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def without_network(host: str, *rest: Any, **named: Any) -> Any:
        if host == "no-such-machine":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", without_network)
    with pytest.raises(DmddError, match="this machine cannot listen on it") as error:
        open_page(address, control)
    assert "0.0.0.0 all its addresses" in error.value.fix


def test_a_token_that_are_rejected_takes_no_port(control: Any) -> None:
    # If the port were requested first, it would be the error.
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(DmddError, match="5 characters"):
        open_page(str(other.getsockname()[1]), control, "12345")
