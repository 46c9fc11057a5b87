"""Output of a program that is still running."""

from __future__ import annotations

import os
from typing import IO


def next_line(stream: IO[str]) -> str:
    """Read one line of a pipe, and nothing behind it: ``communicate`` does not return what a buffer holds."""
    line = bytearray()
    while not line.endswith(b"\n") and (byte := os.read(stream.fileno(), 1)):
        line += byte
    return line.decode()
