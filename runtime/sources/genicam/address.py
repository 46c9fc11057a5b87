"""Addresses of GenICam cameras: ``genicam://SERIAL?Feature=value&Feature=value``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from dmdd_edge.errors import SourceError
from dmdd_edge.messages.addresses import redacted

PREFIX = "genicam://"
_FORM = (
    "Write genicam://SERIAL?FEATURE=VALUE&FEATURE=VALUE, such as genicam://40012345?ExposureTime=2000, in "
    "quotes. Percent-encode special characters in a value: %26 for &, %20 for a space."
)


@dataclass(frozen=True)
class Address:
    """The parts of an address.

    Attributes:
        serial: the serial number; empty for the only camera there is.
        settings: names of features and their values, as they were written.
    """

    serial: str
    settings: tuple[tuple[str, str], ...]


def parse_address(source: str) -> Address:
    """Read an address.

    Raises:
        SourceError: a setting has no name or no value, or the serial number looks like another address.
    """
    serial, _, query = source[len(PREFIX) :].partition("?")
    serial = serial.rstrip("/")
    if re.search(r"[\s:/@\[\]]", serial):
        # Not shown: it may be the address of a stream, with a password.
        raise SourceError(f"What follows {PREFIX} is not a serial number.", _FORM)
    settings = []
    for number, setting in enumerate(query.split("&") if query else (), 1):
        name, equals, value = setting.partition("=")
        name, value = unquote(name).strip(), unquote(value)
        if not name or not equals or not value:
            raise SourceError(f"{redacted(source)}: setting {number} is not FEATURE=VALUE.", _FORM)
        settings.append((name, value))
    return Address(unquote(serial).strip(), tuple(settings))
