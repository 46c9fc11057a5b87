"""Messages of one length, by number, and the ways they go into a spool and out of it."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.runtime.delivery.records import encode_record
from dmdd_edge.runtime.delivery.spool import Spool

LIMIT = 64 << 10
SEGMENT = LIMIT // 16
BODY = b"x" * 100
LINE = len(encode_record("id-00000", BODY))


def message_id(number: int) -> str:
    return f"id-{number:05d}"


def ids(numbers: range) -> list[str]:
    return [message_id(number) for number in numbers]


def put_all(spool: Spool, numbers: range) -> None:
    for number in numbers:
        spool.put(message_id(number), BODY)


def take(spool: Spool, count: int) -> list[str]:
    messages = spool.peek(count)
    if messages:
        spool.acknowledge(messages[-1])
    return [message.id for message in messages]


def take_all(spool: Spool) -> list[str]:
    taken: list[str] = []
    while some := take(spool, 7):
        taken += some
    return taken


def spool_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))
