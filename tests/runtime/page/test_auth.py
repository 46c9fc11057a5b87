from __future__ import annotations

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.page.auth import Token, host_is_loopback, same_origin


def test_a_token_is_made_where_none_is_given() -> None:
    first, second = Token(), Token()
    assert first.generated
    assert len(first.value) >= 22, "128 bits take 22 characters of base64"
    assert first.value != second.value
    assert first.allows(f"Bearer {first.value}")
    assert not first.allows(f"Bearer {second.value}")


@pytest.mark.parametrize(
    "sent",
    [
        *(None, "", "Bearer ", "Bearer secret-12", "Bearer secret-1234", "Bearer sécret-123"),
        *("Basic secret-123", "secret-123"),
    ],
)
def test_only_the_token_itself_is_taken(sent: str | None) -> None:
    token = Token("secret-123")
    assert not token.generated
    assert token.allows("Bearer secret-123")
    assert not token.allows(sent)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "0 characters"),
        ("1234567", "7 characters"),
        ("with a space", "without spaces"),
        ("line\nbreak", "without spaces"),
        ("geheimnüß", "ASCII"),
    ],
)
def test_tokens_that_are_rejected(given: str, said: str) -> None:
    with pytest.raises(DmddError, match=said):
        Token(given)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "localhost:9000", "LOCALHOST", "[::1]:8080", "127.1.2.3:80"]
)
def test_names_of_this_machine(host: str) -> None:
    assert host_is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:8080", "192.168.1.5", "0.0.0.0", "[::2]:80", "[::1"),
        *("127.0.0.1.evil.example", "localhost.evil.example", "127.evil.example.com"),
        "127.0.0.1@evil.example",
    ],
)
def test_names_that_lead_here_from_elsewhere(host: str) -> None:
    assert not host_is_loopback(host)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://127.0.0.1:8080", True),
        ("http://127.0.0.1:8081", False),
        ("http://127.0.0.1", False),
        ("http://evil.example", False),
        ("null", False),
        ("http://[", False),
    ],
)
def test_only_the_page_itself_may_change(origin: str | None, allowed: bool) -> None:
    assert same_origin(origin, "127.0.0.1:8080") is allowed
