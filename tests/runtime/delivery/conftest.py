"""A receiver, a broker, and deliveries to them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.delivery import Delivery, DeliveryOptions, open_delivery
from dmdd_edge.runtime.delivery.spool import Spool
from tests.runtime.delivery.delivery_broker import Broker
from tests.runtime.delivery.delivery_receiver import Receiver
from tests.runtime.delivery.delivery_results import Said
from tests.runtime.delivery.spool_messages import LIMIT

_FAST: dict[str, Any] = {"first_retry": 0.02, "longest_retry": 0.1, "close_wait": 30.0, "fsync": "never"}


@pytest.fixture
def said() -> Said:
    """The notices of the deliveries."""
    return Said()


@pytest.fixture
def deliver(tmp_path: Path, said: Said) -> Iterator[Callable[..., Delivery]]:
    """Open one delivery, with short delays, into a spool below ``tmp_path``."""
    opened: list[Delivery] = []

    def make(mqtt: str | None = None, webhook: str | None = None, **options: Any) -> Delivery:
        values = {**_FAST, "spool": tmp_path / "spool", **options}
        deliveries = open_delivery(mqtt, webhook, DeliveryOptions(**values), said)
        opened.extend(deliveries)
        return deliveries[0]

    yield make
    for delivery in opened:
        delivery.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Accepts everything by default."""
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for ``localhost`` that signs itself, and its key; skips without openssl."""
    folder = tmp_path_factory.mktemp("certificate")
    path, key = folder / "cert.pem", folder / "key.pem"
    kind = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    try:
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                *kind.split(),
                "-addext",
                "subjectAltName=DNS:localhost",
                "-keyout",
                key,
                "-out",
                path,
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    return path, key


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that lets everybody in; skips where mosquitto is not installed."""
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder)
    yield broker
    broker.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where ``make_spool`` makes its spool."""
    return tmp_path / "state" / "spool"


@pytest.fixture
def make_spool(folder: Path) -> Iterator[Callable[..., Spool]]:
    """Open a small spool, one after the other, all in the same folder."""
    made: list[Spool] = []

    def make(limit: int = LIMIT, **options: Any) -> Spool:
        made.append(Spool(folder, limit, **{"fsync": "never", **options}))
        return made[-1]

    yield make
    for spool in made:
        spool.close()
