"""Access to the page: the token, and the checks against pages of other sites."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from dmdd_edge.errors import OptionError

#: Shortest token that a user may choose.
SHORTEST_TOKEN = 8
#: Delay of the answer to a wrong token, in seconds: guessing must not be quick.
WRONG_TOKEN_DELAY = 1.0

_SCHEME = "Bearer "


class Token:
    """The secret that allows changing the threshold.

    Args:
        given: the user's; None generates one of 128 random bits.

    Attributes:
        value: the secret itself.
        generated: whether it was generated, so that it has to be printed.

    Raises:
        DmddError: the given one is too short, or does not fit into a header.
    """

    def __init__(self, given: str | None = None) -> None:
        self.generated = given is None
        self.value = secrets.token_urlsafe(16) if given is None else given
        if len(self.value) < SHORTEST_TOKEN:
            raise OptionError(
                f"The page token has {len(self.value)} characters; it needs at least {SHORTEST_TOKEN}.",
                "Choose a longer token, or omit it to have one generated and printed.",
            )
        if not all("!" <= character <= "~" for character in self.value):
            raise OptionError(
                "The page token must consist of ASCII letters, digits and punctuation, without spaces.",
                "Choose another token, or omit it to have one generated and printed.",
            )

    def allows(self, authorization: str | None) -> bool:
        """Whether an ``Authorization: Bearer ...`` header carries it; compared in constant time."""
        if authorization is None or not authorization.startswith(_SCHEME):
            return False
        given = authorization[len(_SCHEME) :].strip()
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.value.encode())


def host_is_loopback(host: str) -> bool:
    """Whether a ``Host`` header names this machine itself.

    A page that only this machine may see is requested by no other name. Another name that leads here belongs
    to a site that pointed its own name at the loopback address (DNS rebinding), to read from a visitor's
    browser. The port is ignored: a tunnel may have another.
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
    """Whether a request comes from the page itself; programs other than browsers send no ``Origin``."""
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
