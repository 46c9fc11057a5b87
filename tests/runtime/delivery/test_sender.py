"""The sender's patience, its notices, and what happens to rejected messages."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from dmdd_edge.runtime.delivery.backoff import Backoff
from dmdd_edge.runtime.delivery.dead_letters import DeadLetters
from dmdd_edge.runtime.delivery.notices import Notices
from dmdd_edge.runtime.delivery.sender import Sender
from dmdd_edge.runtime.delivery.spool import Message, Spool
from dmdd_edge.runtime.delivery.transport import Done, Refusal, UnreachableError
from tests.runtime.delivery.delivery_results import Said, wait_until
from tests.runtime.delivery.spool_messages import ids, put_all


class ScriptedTransport:
    """Follows its script: raises an exception, refuses, or delivers for None; then delivers."""

    name = "receiver"
    window = 3
    connected = True

    def __init__(self, *script: Exception | Refusal | None) -> None:
        self.script = list(script)
        self.delivered: list[str] = []
        self.closed = threading.Event()
        self.opened = 0

    def watch(self, lost: Callable[[], None]) -> None:
        pass

    def open(self) -> None:
        self.opened += 1

    def deliver(self, messages: Sequence[Message], done: Done) -> None:
        for message in messages:
            step = self.script.pop(0) if self.script else None
            if isinstance(step, Exception):
                raise step
            done(message, step)
            if step is None:
                self.delivered.append(message.id)

    def abort(self) -> None:
        pass

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def spool(make_spool: Callable[..., Spool]) -> Spool:
    return make_spool()


@pytest.fixture
def send(spool: Spool, said: Said) -> Iterator[Callable[..., Sender]]:
    senders: list[Sender] = []

    def make(transport: ScriptedTransport, patience: float = 300.0) -> Sender:
        notices, backoff = Notices("receiver", said), Backoff(0.001, 0.002)
        senders.append(Sender(transport, spool, DeadLetters(spool.folder, 1000), notices, backoff, patience))
        return senders[-1]

    yield make
    for sender in senders:
        sender.finish(10)


def test_a_failure_in_the_middle_repeats_only_what_was_not_reported(
    spool: Spool, send: Callable[..., Sender]
) -> None:
    put_all(spool, range(5))
    transport = ScriptedTransport(None, UnreachableError("away"), UnreachableError("away"), None)
    sender = send(transport)
    sender.finish(60)
    assert transport.delivered == ids(range(5))
    assert (sender.delivered, spool.waiting, sender.outage) == (5, 0, "")
    assert transport.closed.is_set()


def test_an_unexpected_failure_does_not_end_the_delivery(
    spool: Spool, send: Callable[..., Sender], said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    put_all(spool, range(4))
    transport = ScriptedTransport(None, KeyError("what"))
    send(transport).finish(60)
    assert transport.delivered == ids(range(4))
    assert "an unexpected KeyError" in said.lines[0]
    assert "KeyError: 'what'" in caplog.text


def test_an_idle_sender_wakes_for_a_message(spool: Spool, send: Callable[..., Sender]) -> None:
    transport = ScriptedTransport()
    sender = send(transport)
    for number in range(20):
        put_all(spool, range(number, number + 1))
        sender.wake()
        wait_until(lambda count=number + 1: sender.delivered == count)
    # It slept in between: at most a look before the message, one for it, and one after it.
    assert transport.opened <= 61


def test_an_outage_is_reported_once_with_its_end(
    spool: Spool, send: Callable[..., Sender], said: Said
) -> None:
    put_all(spool, range(1))
    send(ScriptedTransport(*[UnreachableError("away")] * 10)).finish(60)
    assert said.lines == [
        f"receiver: away; messages are queued in {spool.folder}.",
        "receiver: Reconnected after 0 s; 1 message queued.",
    ]


def test_a_refusal_that_may_end_is_retried(spool: Spool, send: Callable[..., Sender], said: Said) -> None:
    put_all(spool, range(4))
    transport = ScriptedTransport(None, *[Refusal("HTTP 404 Not Found", final=False)] * 20)
    sender = send(transport)
    sender.finish(60)
    assert transport.delivered == ids(range(4))
    assert (sender.delivered, sender.refused) == (4, 0)
    assert "HTTP 404 Not Found; rejected messages are moved aside after 300 s" in said.lines[0]


def test_a_refusal_that_does_not_end_is_taken_for_final(
    spool: Spool, send: Callable[..., Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Slow(ScriptedTransport):
        """A second passes with each attempt."""

        def open(self) -> None:
            super().open()
            now[0] += 1

    put_all(spool, range(5))
    doubtful = Refusal("HTTP 403 Forbidden", final=False)
    # The first attempt starts the clock; three seconds later two are moved aside at once, in one attempt.
    transport = Slow(*[doubtful] * 4, doubtful, None, doubtful, None)
    sender = send(transport, patience=3.0)
    wait_until(lambda: spool.waiting == 0)
    # 0 after three seconds; 1 with it; 2 was accepted, which starts over: 3 is retried and accepted.
    assert transport.delivered == ids([2, 3, 4])
    assert (sender.delivered, sender.refused) == (3, 2)
    kept = (spool.folder / "refused.jsonl").read_text().splitlines()
    assert [line[:34] for line in kept] == ['{"refused": "HTTP 403 Forbidden", '] * 2


def test_a_message_that_is_at_fault_is_moved_aside_at_once(spool: Spool, send: Callable[..., Sender]) -> None:
    put_all(spool, range(3))
    transport = ScriptedTransport(None, Refusal("HTTP 422 Unprocessable Entity"))
    sender = send(transport)
    sender.finish(60)
    assert transport.delivered == ids([0, 2])
    assert sender.refused == 1


def test_the_end_gives_up_in_time(spool: Spool, send: Callable[..., Sender]) -> None:
    put_all(spool, range(2))
    transport = ScriptedTransport(*[UnreachableError("away")] * 100_000)
    sender = send(transport)
    sender.finish(0.05)
    assert transport.closed.wait(60)
    assert spool.waiting == 2
    assert sender.outage == "away"


def test_delays_double_up_to_the_longest_and_start_again() -> None:
    backoff = Backoff(0.5, 30.0)
    for expected in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        assert 0.75 * expected <= backoff.delay() <= 1.25 * expected
    backoff.reset()
    assert backoff.delay() <= 0.625


def test_each_kind_of_notice_has_its_own_interval(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    notices = Notices("receiver", said, interval=60.0)
    assert notices.sometimes("a", "one")
    assert not notices.sometimes("a", "two")
    assert notices.sometimes("b", "three")
    now[0] = 159.9
    assert not notices.sometimes("a", "four")
    now[0] = 160.0
    assert notices.sometimes("a", "five")
    assert said.lines == ["receiver: one", "receiver: three", "receiver: five"]


def test_refused_messages_are_bounded(tmp_path: Path) -> None:
    file = DeadLetters(tmp_path, 1000)
    for number in range(30):
        file.add(b'{"n": %d}' % number, "HTTP 422")
    kept = [
        json.loads(line)["message"]["n"]
        for path in (tmp_path / "refused.1.jsonl", file.path)
        for line in path.read_text().splitlines()
    ]
    assert kept == list(range(kept[0], 30))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000
    assert len(kept) >= 5
    assert file.path.stat().st_mode & 0o077 == 0
