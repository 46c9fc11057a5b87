"""Proxy of streams: cameras are in the plant's own network, so one is used only on request."""

from __future__ import annotations

import os

from dmdd_edge.errors import SourceError
from dmdd_edge.messages.addresses import split_address

#: The environment variable that requests one. ``http_proxy`` and similar variables are ignored.
PROXY_VARIABLE = "DMDD_PROXY"


def proxy_address() -> str | None:
    """The proxy for http and https streams, such as ``http://proxy:3128``; None without one.

    Raises:
        DmddError: the variable is not an http:// address.
    """
    address = os.environ.get(PROXY_VARIABLE, "").strip()
    if not address:
        return None
    parts = split_address(address)
    if parts.scheme != "http" or not parts.hostname or "|" in address or ";" in address:
        raise SourceError(f"{PROXY_VARIABLE} is not an http:// address.", "Write it as http://HOST:PORT.")
    return address
