"""Addresses of cameras and streams: scheme, and a name for what comes from them."""

from __future__ import annotations

import re

from dmdd_edge.messages.addresses import split_address


def scheme_of(source: str) -> str:
    """The scheme of an address in lower case; empty when it is a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    return found[1].lower() if found else ""


def host_label(url: str) -> str:
    """A name for what comes from an address, fit for a folder: its host, without anything secret."""
    host = split_address(url).hostname or "stream"
    return re.sub(r"[^A-Za-z0-9.-]", "-", host).strip(".-") or "stream"
