"""Who may read and who may change: the token, and the checks against pages of other sites."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from dmdd_edge.errors import OptionError

#: A token given by hand is at least this long.
SHORTEST_TOKEN = 8
#: How long a wrong token waits for its answer, in seconds: guessing must not be quick.
WRONG_TOKEN_DELAY = 1.0

_SCHEME = "Bearer "


class Token:
    """The secret that allows changing the threshold.

    Args:
        given: the user's; None makes one of 128 random bits.

    Attributes:
        value: the secret itself.
        generated: whether it was made here, so that somebody has to be told.

    Raises:
        DmddError: the given one is too short, or does not fit into a header.
    """

    def __init__(self, given: str | None = None) -> None:
        self.generated = given is None
        self.value = secrets.token_urlsafe(16) if given is None else given
        if len(self.value) < SHORTEST_TOKEN:
            raise OptionError(
                f"the token of the page has {len(self.value)} characters, not {SHORTEST_TOKEN} or more.",
                "Choose a longer one, or give none: then one is made and printed.",
            )
        if not all("!" <= character <= "~" for character in self.value):
            raise OptionError(
                "the token of the page may hold letters, digits and punctuation of ASCII only, no spaces.",
                "Choose another one, or give none: then one is made and printed.",
            )

    def allows(self, authorization: str | None) -> bool:
        """Whether an ``Authorization: Bearer ...`` header carries it; the time does not tell how nearly."""
        if authorization is None or not authorization.startswith(_SCHEME):
            return False
        given = authorization[len(_SCHEME) :].strip()
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.value.encode())


def host_is_loopback(host: str) -> bool:
    """Whether a ``Host`` header names this machine itself.

    A page that only this machine may see is asked for by no other name. Another name that leads here is a
    site that had its own name pointed at the loopback address (DNS rebinding), to read from a
    visitor's browser. The port is not looked at: a tunnel may have another.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name in ("localhost", "::1") or _is_loopback_ipv4(name or "")


def _is_loopback_ipv4(name: str) -> bool:
    parts = name.split(".")
    numbers = all(part.isascii() and part.isdigit() and len(part) < 4 for part in parts)
    return len(parts) == 4 and parts[0] == "127" and numbers


def same_origin(origin: str | None, host: str) -> bool:
    """Whether a request comes from the page itself; a program that is no browser sends no ``Origin``."""
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
