"""Create the delivery sinks of ``--mqtt`` and ``--webhook``."""

from __future__ import annotations

import uuid
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.delivery.address import (
    MqttAddress,
    WebhookAddress,
    folder_name,
    parse_mqtt,
    parse_webhook,
)
from dmdd_edge.runtime.delivery.delivery import Delivery
from dmdd_edge.runtime.delivery.notices import Say, say_to_log
from dmdd_edge.runtime.delivery.options import DeliveryOptions, default_spool, secret
from dmdd_edge.runtime.delivery.spool import Spool
from dmdd_edge.runtime.delivery.transport import Transport
from dmdd_edge.storage import expand_home


def open_delivery(
    mqtt: str | None = None,
    webhook: str | None = None,
    options: DeliveryOptions | None = None,
    say: Say = say_to_log,
) -> list[Delivery]:
    """Open the deliveries of a run; each starts at once with what earlier runs left in its spool.

    Args:
        mqtt: ``--mqtt``, broker and topic: ``mqtt://user:password@host:1883/topic``; ``mqtts://``: TLS.
        webhook: ``--webhook``, receiver of the POST requests: ``https://host/path``.
        options: of all of them.
        say: receives notices for a person, one line each, from any thread; default: Python's log.

    Returns:
        A sink for each address; the caller closes them.

    Raises:
        DmddError: an address or an option is wrong, a package is missing, or a spool is in use or unusable.
    """
    options = DeliveryOptions() if options is None else options
    transports: list[tuple[MqttAddress | WebhookAddress, Transport]] = []
    if mqtt is not None:
        from dmdd_edge.runtime.delivery.mqtt import MqttTransport

        broker = parse_mqtt(mqtt)
        transports.append((broker, MqttTransport(broker, options.answer_timeout, options.commands)))
    if webhook is not None:
        from dmdd_edge.runtime.delivery.webhook import WebhookTransport

        receiver = parse_webhook(webhook)
        signing_key = secret(options.webhook_secret_env, "--webhook-secret-env")
        token = secret(options.webhook_token_env, "--webhook-token-env")
        transports.append((receiver, WebhookTransport(receiver, signing_key, token, options.answer_timeout)))
    run = uuid.uuid4().hex
    opened: list[Delivery] = []
    try:
        for address, transport in transports:
            spool = Spool(_folder(options, address), options.spool_limit, options.fsync)
            opened.append(Delivery(transport, spool, run, options, say))
    except DmddError:
        for delivery in opened:
            delivery.close()
        raise
    return opened


def _folder(options: DeliveryOptions, address: MqttAddress | WebhookAddress) -> Path:
    folder = default_spool() if options.spool is None else expand_home(options.spool, "--spool")
    return folder / (options.category or "any") / folder_name(address)
