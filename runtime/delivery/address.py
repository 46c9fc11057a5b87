"""Addresses of ``--mqtt`` and ``--webhook``, and how they are shown without their secrets."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dmdd_edge.errors import DeliveryError, OptionError
from dmdd_edge.messages.addresses import looks_secret, redacted
from dmdd_edge.storage import expand_home

#: Environment variables for an MQTT address without a user.
USER_VARIABLE, PASSWORD_VARIABLE = "DMDD_MQTT_USER", "DMDD_MQTT_PASSWORD"

_MQTT_FORM = "mqtt://user:password@host:1883/topic"
_WEBHOOK_FORM = "https://host/path"
_MQTT_SETTINGS = ("ca", "cert", "client_id", "keepalive", "key")


@dataclass(frozen=True)
class MqttAddress:
    """A broker and a topic.

    Attributes:
        host, port: where the broker listens.
        topic: messages are published to it; ``status`` is a topic below it.
        tls: whether the connection is encrypted.
        user, password: empty for none.
        client_id: empty for a new one in each run.
        keepalive: seconds after which a silent connection is tested.
        ca: file of trusted certificates, instead of the system's.
        cert, key: files of the client's own certificate and key.
    """

    host: str
    port: int
    topic: str
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    client_id: str = ""
    keepalive: int = 30
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def name(self) -> str:
        """The address without its secrets."""
        return f"mqtt{'s' * self.tls}://{_host_port(self.host, self.port)}/{self.topic}"

    @property
    def identity(self) -> str:
        """Distinguishes this destination from others; the user is not part of it."""
        return self.name


@dataclass(frozen=True)
class WebhookAddress:
    """A receiver of POST requests.

    Attributes:
        host, port: where it listens.
        target: path and query.
        tls: whether the connection is encrypted.
        user, password: for basic authorization; empty for none.
    """

    host: str
    port: int
    target: str = field(repr=False)
    tls: bool
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The address without its secrets: many receivers expect a key in the query or in the path."""
        path, query, _ = self.target.partition("?")
        shown = "/".join("***" if looks_secret(part) else part for part in path.split("/"))
        base = f"http{'s' * self.tls}://{_host_port(self.host, self.port)}"
        return f"{base}{shown}{'?***' if query else ''}"

    @property
    def identity(self) -> str:
        """Distinguishes this destination from others; the user is not part of it."""
        return f"http{'s' * self.tls}://{_host_port(self.host, self.port)}{self.target}"


def parse_mqtt(url: str) -> MqttAddress:
    """The address in ``mqtt://user:password@host:1883/topic``, or ``mqtts://`` for TLS.

    User, password and topic may be percent-encoded. The query may set ``client_id``, ``keepalive`` (seconds),
    ``ca``, ``cert`` and ``key`` (files). Without a user, ``DMDD_MQTT_USER`` and ``DMDD_MQTT_PASSWORD`` apply.

    Raises:
        OptionError: the address is malformed.
        DeliveryError: a certificate file does not exist.
    """
    parts, port = _split(url, "--mqtt", ("mqtt", "mqtts"), _MQTT_FORM)
    topic = unquote(parts.path.removeprefix("/"))
    if not topic or "#" in url or set(topic) & set("+#\0") or len(topic.encode()) > 60000:
        raise OptionError(
            f"--mqtt {redacted(url)}: the topic is missing or contains + or #.",
            f"Add a topic after the host, for example {_MQTT_FORM}.",
        )
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(settings) - set(_MQTT_SETTINGS)):
        raise OptionError(
            f"--mqtt {redacted(url)}: unknown setting {unknown[0]!r}.",
            f"Use one of {', '.join(_MQTT_SETTINGS)}.",
        )
    keepalive = settings.get("keepalive", "30")
    if not keepalive.isascii() or not keepalive.isdecimal() or not 5 <= int(keepalive) <= 65535:
        raise OptionError(f"--mqtt {redacted(url)}: keepalive must be 5 to 65535 seconds, not {keepalive!r}.")
    names = [name for name in ("ca", "cert", "key") if name in settings]
    files = {name: expand_home(Path(settings[name]), f"{name}=") for name in names}
    if missing := [path for path in files.values() if not path.is_file()]:
        raise DeliveryError(f"--mqtt {redacted(url)}: the file {missing[0]} does not exist.")
    tls = parts.scheme == "mqtts"
    if files and not tls:
        raise OptionError(f"--mqtt {redacted(url)}: certificates require mqtts://.", "Use mqtts:// for TLS.")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user:
        user, password = os.environ.get(USER_VARIABLE, ""), os.environ.get(PASSWORD_VARIABLE, "")
    return MqttAddress(
        host=parts.hostname or "",
        port=port or (8883 if tls else 1883),
        topic=topic,
        tls=tls,
        user=user,
        password=password,
        client_id=settings.get("client_id", ""),
        keepalive=int(keepalive),
        **files,
    )


def parse_webhook(url: str) -> WebhookAddress:
    """The address in ``https://host/path`` or ``http://``.

    A user and a password before the host are for basic authorization.

    Raises:
        OptionError: the address is malformed.
    """
    parts, port = _split(url, "--webhook", ("http", "https"), _WEBHOOK_FORM)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii() or re.search(r"[\x00-\x20\x7f]", target):
        raise OptionError(
            f"--webhook {redacted(url)}: the address contains spaces or non-ASCII characters.",
            "Percent-encode them, for example a space as %20.",
        )
    tls = parts.scheme == "https"
    return WebhookAddress(
        host=parts.hostname or "",
        port=port or (443 if tls else 80),
        target=target,
        tls=tls,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def folder_name(address: MqttAddress | WebhookAddress) -> str:
    """Folder name of a destination: readable, without secrets, different for each destination."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", address.name).strip("-.")[:60]
    return f"{readable}-{hashlib.sha256(address.identity.encode()).hexdigest()[:8]}"


def _split(url: str, option: str, schemes: tuple[str, ...], form: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if host:
            host.encode("idna")
    except ValueError:
        host = None
    if not host or parts.scheme not in schemes or any(c.isspace() for c in parts.netloc):
        known = " or ".join(f"{scheme}://" for scheme in schemes)
        raise OptionError(
            f"{option} {redacted(url)!r} is not an address of the form {known}.",
            f"For example: {form}. Percent-encode / : @ in a user name or password (%2F %3A %40).",
        )
    return parts, port


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
