"""The sender thread: delivers messages from a spool to the receiver, and does not give up."""

from __future__ import annotations

import logging
import threading
import time

from dmdd_edge.runtime.delivery.backoff import Backoff
from dmdd_edge.runtime.delivery.dead_letters import DeadLetters
from dmdd_edge.runtime.delivery.notices import Notices, messages
from dmdd_edge.runtime.delivery.spool import Message, Spool
from dmdd_edge.runtime.delivery.transport import Refusal, Transport, UnreachableError

#: Longest delay between attempts while a run waits for its last messages, in seconds.
_LAST_ATTEMPTS = 1.0
#: A connection that lasted this long was a good one: the next attempt is made soon. Seconds.
_GOOD_CONNECTION = 60.0

_LOG = logging.getLogger(__name__)


class Sender:
    """Delivers in order, at least once: a message leaves the spool when the receiver accepts or rejects it.

    A refusal that may pass, such as HTTP 404 of a proxy, counts as final once the receiver has accepted no
    message for ``patience`` seconds since the first one. From then on each rejected message is moved aside at
    once, until the receiver accepts one again.

    Args:
        transport: sends messages to the receiver; closed at the end.
        spool: stores the messages; not closed.
        dead_letters: stores rejected messages.
        notices: reports an outage and its end, and refusals.
        backoff: between attempts.
        patience: see above, in seconds.

    Attributes:
        delivered: messages that the receiver has accepted.
        refused: messages that it rejected for good.
        outage: why the receiver is unreachable now; empty if it is reachable, or before the first attempt.
    """

    def __init__(
        self,
        transport: Transport,
        spool: Spool,
        dead_letters: DeadLetters,
        notices: Notices,
        backoff: Backoff,
        patience: float = 300.0,
    ) -> None:
        self._transport, self._spool, self._dead_letters = transport, spool, dead_letters
        self._notices, self._backoff, self._patience = notices, backoff, patience
        self._refused_since: float | None = None
        self.delivered = 0
        self.refused = 0
        self.outage = ""
        self._outage_since = self._opened_at = 0.0
        self._outage_reported = False
        self._not_before = 0.0  # the receiver requested no attempt before
        self._deadline = 0.0
        self._wake, self._draining, self._abandoned = threading.Event(), threading.Event(), threading.Event()
        transport.watch(self._wake.set)
        self._thread = threading.Thread(target=self._run, name=f"deliver {transport.name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Notify the thread of a new message. Costs next to nothing."""
        self._wake.set()

    def finish(self, seconds: float) -> None:
        """Deliver the remaining messages and end, after about this time plus two seconds at the latest."""
        self._deadline = time.monotonic() + seconds
        self._draining.set()
        self._wake.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._abandoned.set()
            self._transport.abort()
            self._thread.join(2.0)

    def _run(self) -> None:
        try:
            while not self._abandoned.is_set() and not (self._draining.is_set() and not self._spool.waiting):
                try:
                    self._once()
                except UnreachableError as error:
                    self._report_outage(error)
                    self._pause(error.retry_after)
                except Exception as error:  # a bug must not stop a line that runs for months
                    _LOG.exception("Delivery to %s failed.", self._transport.name)
                    self._report_outage(UnreachableError(f"an unexpected {type(error).__name__}"))
                    self._pause(None)
        finally:
            self._transport.close()

    def _once(self) -> None:
        """Deliver some messages, or wait for the next one."""
        self._wake.clear()  # before looking, so that no message that comes meanwhile is missed
        before = self._transport.connected
        self._transport.open()
        if self._transport.connected and not before:
            self._opened_at = time.monotonic()
            self._connected()
        try:
            batch = self._spool.peek(self._transport.window)
        except OSError as error:
            raise UnreachableError(f"cannot read the spool: {error}") from error
        if batch:
            self._transport.deliver(batch, self._done)
        elif not self._draining.is_set():
            self._wake.wait()

    def _done(self, message: Message, refusal: Refusal | None) -> None:
        if refusal is not None and not refusal.final:
            now = time.monotonic()
            self._refused_since = self._refused_since or now
            if now - self._refused_since < self._patience:
                raise UnreachableError(
                    f"{refusal.reason}; rejected messages are moved aside after {self._patience:g} s",
                    refusal.retry_after,
                )
        self._connected()
        self._backoff.reset()
        if refusal is not None:
            self._refuse(message, refusal.reason)
        else:
            self._refused_since = None
            self.delivered += 1
        self._spool.acknowledge(message)
        if self._abandoned.is_set():
            raise UnreachableError("the run has ended")

    def _refuse(self, message: Message, reason: str) -> None:
        self.refused += 1
        place = f"rejected messages are in {self._dead_letters.path}"
        try:
            self._dead_letters.add(message.body, reason)
        except OSError as error:
            place = f"it could not be stored: {error}"
        self._notices.sometimes("refused", f"Message {message.id} rejected: {reason}; {place}.")

    def _report_outage(self, error: UnreachableError) -> None:
        if self._abandoned.is_set():
            return
        if not self.outage:
            self._outage_since = time.monotonic()
            if self._outage_since - self._opened_at > _GOOD_CONNECTION:
                self._backoff.reset()
        self.outage = error.reason
        if not self._outage_reported or error.kind != "outage":
            text = f"{error.reason}; messages are queued in {self._spool.folder}."
            self._outage_reported |= self._notices.sometimes(error.kind, text)

    def _connected(self) -> None:
        if self._outage_reported:
            seconds = time.monotonic() - self._outage_since
            self._notices.say(f"Reconnected after {seconds:.0f} s; {messages(self._spool.waiting)} queued.")
        self.outage, self._outage_reported = "", False

    def _pause(self, retry_after: float | None) -> None:
        """Wait before the next attempt; the run's end shortens a backoff, but not the receiver's request."""
        now = time.monotonic()
        delay = self._backoff.delay()
        if retry_after is not None:
            self._not_before = now + retry_after
        if not self._draining.is_set():
            if not self._draining.wait(max(delay, self._not_before - now)):
                return
            delay = 0.0
        if self._not_before > self._deadline:
            self._abandoned.set()  # there is no more time for another attempt
            return
        delay = max(min(delay, _LAST_ATTEMPTS), self._not_before - time.monotonic())
        self._abandoned.wait(max(0.0, delay))
