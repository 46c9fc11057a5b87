"""Where messages about results are sent, and how."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from dmdd_edge.options import Option, Options, Rule, needs
from dmdd_edge.runtime.options.sizes import parse_size, written_size

_MESSAGES = "Messages"
Notify = Literal["anomalous", "all"]


@dataclass(frozen=True, kw_only=True)
class Receivers(Options):
    """Who receives messages."""

    mqtt: Annotated[
        str | None,
        Option("Publish results: mqtt://user:password@host:1883/topic, or mqtts.", panel=_MESSAGES),
    ] = None
    webhook: Annotated[str | None, Option("POST results to this address.", panel=_MESSAGES)] = None


@dataclass(frozen=True, kw_only=True)
class DeliverySettings(Options):
    """How messages are delivered."""

    notify: Annotated[
        Notify, Option("Which results are sent: all or anomalous.", panel=_MESSAGES, parse=str)
    ] = "all"
    webhook_secret_env: Annotated[
        str | None,
        Option("Environment variable with the key that signs each message (HMAC-SHA256).", panel=_MESSAGES),
    ] = None
    webhook_token_env: Annotated[
        str | None, Option("Environment variable with a bearer token.", panel=_MESSAGES)
    ] = None
    spool: Annotated[
        Path | None, Option("Folder where messages wait while a receiver is unavailable.", panel=_MESSAGES)
    ] = None
    spool_limit: Annotated[
        int,
        Option(
            "Maximum spool size; the oldest messages are dropped first.",
            panel=_MESSAGES,
            parse=partial(parse_size, option="--spool-limit"),
            example='"64MiB"',
            written=written_size,
            minimum=1,
            show_default="64MiB",
        ),
    ] = 64 << 20


@dataclass(frozen=True, kw_only=True)
class MessageOptions(DeliverySettings, Receivers):
    """The messages of a run."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        needs(("notify", "spool", "spool_limit"), "mqtt", "webhook"),
        needs(("webhook_secret_env", "webhook_token_env"), "webhook"),
    )
