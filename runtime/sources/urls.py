"""Addresses of cameras and streams: their scheme, and a label for their frames."""

from __future__ import annotations

import re

from dmdd_edge.messages.addresses import split_address

#: What a video that is played like a camera begins with.
REPLAY_PREFIX = "replay:"
#: What the addresses of simulated cameras begin with.
IMAGES_PREFIX, DRAWN_PREFIX = "images:", "drawn:"
#: What files and drawings that are played like a camera begin with.
PLAYED = (REPLAY_PREFIX, IMAGES_PREFIX, DRAWN_PREFIX)


def scheme_of(source: str) -> str:
    """The scheme of an address in lower case; empty when it is a path."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    return match[1].lower() if match else ""


def host_label(url: str) -> str:
    """A label for an address's frames, valid as a folder name: its host, without secrets."""
    host = split_address(url).hostname or "stream"
    return re.sub(r"[^A-Za-z0-9.-]", "-", host).strip(".-") or "stream"
