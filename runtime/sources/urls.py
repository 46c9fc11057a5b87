"""Addresses: what may be shown of them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SECRET = re.compile(
    # In the query of a snapshot's address (?usr=a&pwd=b), and in the path, where some cameras have it
    # (/user=a_password=b_channel=1). A value ends at whatever can follow one.
    r"(?i)(?<![a-z0-9])((?:user|usr|login|account|pass|pwd|pw|token|key|apikey|auth|secret|sig|sid|session)"
    r"[a-z0-9]*=)[^&/;,\s\"']*?(?=[&/;,\s\"']|_[a-z]+=|$)"
)
# Up to the last @, since a password may hold anything; better one host too few in a message than one
# password.
_USER = re.compile(r"(?i)([a-z][a-z0-9+.-]*://)\S*@")


def redacted(text: str) -> str:
    """An address, or a message that holds some, without user names, passwords and tokens.

    >>> redacted("rtsp://line:secret@10.0.0.7/main?token=abc")
    'rtsp://***@10.0.0.7/main?token=***'
    """
    return _SECRET.sub(r"\1***", _USER.sub(r"\1***@", text))


def scheme_of(source: str) -> str:
    """The scheme of an address in lower case; empty when it is a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    return found[1].lower() if found else ""


def host_label(url: str) -> str:
    """A name for what comes from an address, fit for a folder: its host, without anything secret."""
    host = urlsplit(url).hostname or "stream"
    return re.sub(r"[^A-Za-z0-9.-]", "-", host).strip(".-") or "stream"
