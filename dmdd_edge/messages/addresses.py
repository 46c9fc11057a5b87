"""Addresses: their parts, and what may be shown of them. The one place that hides passwords and tokens."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from dmdd_edge.errors import OptionError

# In the query of a snapshot's address (?usr=a&pwd=b), and in the path, where some cameras have it
# (/user=a_password=b_channel=1). A value ends at whatever can follow one.
_NAMED = re.compile(
    r"(?i)(?<![a-z0-9])((?:user|usr|login|account|pass|pwd|pw|pin|code|token|key|apikey|auth|secret|sig|sid"
    r"|session)[a-z0-9]*=)[^&/;,\s\"']*?(?=[&/;,\s\"']|_[a-z]+=|$)"
)
# Up to the last @ before the next address, since a password may hold anything, blanks and line breaks too;
# better one host too few in a message than one password.
_USER = re.compile(r"://(?:(?!://).)*@", re.DOTALL)
# A user and a password without a scheme, as in a mistyped address.
_BARE_USER = re.compile(r"[^\s:/@\"'()*]*:(?!//)[^ \n\r\"'()]*@")
#: A file's name, such as line3_recording_01.mp4.
_FILE = re.compile(r"[\w-]+\.[A-Za-z0-9]{2,4}")
_ADDRESS = re.compile(r"://[^\s\"'<>]+")
# What a query may show: sizes, rates, channels. Anything else may be a key under an unknown name.
_PLAIN_VALUE = re.compile(r"(?i)\d{1,4}(?:[x.]\d{1,4})?|true|false|on|off|yes|no")


def redacted(text: str) -> str:
    """An address, or a message that holds some, without user names, passwords and tokens.

    >>> redacted("rtsp://line:secret@10.0.0.7/main?token=abc&channel=1")
    'rtsp://***@10.0.0.7/main?token=***&channel=1'
    """
    text = _NAMED.sub(r"\1***", _BARE_USER.sub("***@", _USER.sub("://***@", text)))
    return _ADDRESS.sub(lambda found: _without_keys(found[0]), text)


def split_address(url: str) -> SplitResult:
    """The parts of an address.

    Raises:
        DmddError: it cannot be read; the message shows no part of a password, as ``urlsplit``'s may.
    """
    try:
        parts = urlsplit(url)
        # Both are read on demand and may fail only then, and a name that cannot be looked up still later.
        _ = (parts.hostname or "").encode("idna"), parts.port
    except ValueError:
        raise OptionError(
            f"{redacted(url)} is not a valid address.",
            "Write SCHEME://USER:PASSWORD@HOST:PORT/PATH, with a port from 0 to 65535. Percent-encode "
            "special characters in the user and the password: %40 for @, %2F for /, %5B for [, %5D for ].",
        ) from None
    return parts


def looks_secret(part: str) -> bool:
    """Whether a part of a path is a key rather than a name: long, with letters and digits mixed."""
    if "=" in part.rstrip("=") or _FILE.fullmatch(part):
        return False
    return len(part) >= 16 and bool(re.search(r"\d", part)) and bool(re.search(r"[A-Za-z]", part))


def secret_parts(argument: str) -> set[str]:
    """The parts of an address that ``redacted`` hides: user, password, keys; empty for any other text."""
    found: set[str] = set()
    for match in (*_USER.finditer(argument), *_BARE_USER.finditer(argument)):
        login = match[0].removeprefix("://")[:-1]
        found |= {login, *re.split(r"[:@/\s]+", login)}
    for address in _ADDRESS.findall(argument):
        path, _, rest = address.partition("?")
        found |= {part for part in _path_parts(path)[1] if looks_secret(part)}
        found |= {
            setting.partition("=")[2] for setting in rest.split("&") if _without_value(setting) != setting
        }
    return {part for part in found if part and not _PLAIN_VALUE.fullmatch(part)}


def _path_parts(address: str) -> tuple[list[str], list[str]]:
    """``://host`` and what follows it, split at each ``/``; a host's name is never a key."""
    parts = address.split("/")
    return parts[:3], parts[3:]


def _without_keys(address: str) -> str:
    path, mark, rest = address.partition("?")
    path, hash_mark, _ = path.partition("#")
    host, parts = _path_parts(path)
    shown = "/".join([*host, *("***" if looks_secret(part) else part for part in parts)])
    if hash_mark:
        shown += "#***"
    return shown + mark + "&".join(_without_value(setting) for setting in rest.split("&"))


def _without_value(setting: str) -> str:
    name, equals, value = setting.partition("=")
    if not equals or looks_secret(name):
        return "***" if setting else ""
    return setting if _PLAIN_VALUE.fullmatch(value) else f"{name}=***"
