"""The thread that takes messages from a spool to their receiver, and does not give up."""

from __future__ import annotations

import logging
import threading
import time

from dmdd_edge.runtime.delivery.backoff import Backoff
from dmdd_edge.runtime.delivery.dead_letters import DeadLetters
from dmdd_edge.runtime.delivery.notices import Notices, messages
from dmdd_edge.runtime.delivery.spool import Message, Spool
from dmdd_edge.runtime.delivery.transport import Refusal, Transport, UnreachableError

#: While a run waits for its last messages, attempts are at most this far apart, in seconds.
_LAST_ATTEMPTS = 1.0
#: A connection that held for so long was a good one: the next attempt is made soon. Seconds.
_GOOD_CONNECTION = 60.0

_LOG = logging.getLogger(__name__)


class Sender:
    """Delivers in order, at least once: a message leaves the spool when the receiver has it or refused it.

    A refusal that may end, such as HTTP 404 of a proxy, is taken for final once the receiver has taken
    nothing for ``patience`` seconds since the first one. From then on each refused message is moved aside at
    once, until the receiver takes one again.

    Args:
        transport: the way to the receiver; closed at the end.
        spool: where the messages are; not closed.
        dead_letters: where refused messages go.
        notices: told about an outage and its end, and about refusals.
        backoff: between attempts.
        patience: see above, in seconds.

    Attributes:
        delivered: messages that the receiver has.
        refused: messages that it refused for good.
        outage: why the receiver cannot be had now; empty when it can, or nothing was tried.
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
        self._told_of_outage = False
        self._not_before = 0.0  # until then the receiver asked to be left alone
        self._deadline = 0.0
        self._wake, self._draining, self._abandoned = threading.Event(), threading.Event(), threading.Event()
        transport.watch(self._wake.set)
        self._thread = threading.Thread(target=self._run, name=f"deliver {transport.name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is a new message. Costs next to nothing."""
        self._wake.set()

    def finish(self, seconds: float) -> None:
        """Deliver what is left and end, at the latest after about so many seconds, and two to take leave."""
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
                    self._lost(error)
                    self._pause(error.retry_after)
                except Exception as error:  # whatever it is, a line that runs for months goes on
                    _LOG.exception("delivery to %s failed", self._transport.name)
                    self._lost(UnreachableError(f"an unexpected {type(error).__name__}"))
                    self._pause(None)
        finally:
            self._transport.close()

    def _once(self) -> None:
        """Deliver some messages, or wait for the next."""
        self._wake.clear()  # before looking, so that nothing that comes meanwhile is slept through
        before = self._transport.connected
        self._transport.open()
        if self._transport.connected and not before:
            self._opened_at = time.monotonic()
            self._found()
        try:
            next_ones = self._spool.peek(self._transport.window)
        except OSError as error:
            raise UnreachableError(f"the spool cannot be read: {error}") from error
        if next_ones:
            self._transport.deliver(next_ones, self._done)
        elif not self._draining.is_set():
            self._wake.wait()

    def _done(self, message: Message, refusal: Refusal | None) -> None:
        if refusal is not None and not refusal.final:
            now = time.monotonic()
            self._refused_since = self._refused_since or now
            if now - self._refused_since < self._patience:
                raise UnreachableError(
                    f"{refusal.reason}; refused messages are moved aside after {self._patience:g} s of that",
                    refusal.retry_after,
                )
        self._found()
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
        where = f"refused messages are in {self._dead_letters.path}"
        try:
            self._dead_letters.add(message.body, reason)
        except OSError as error:
            where = f"it could not be kept: {error}"
        self._notices.sometimes("refused", f"refused message {message.id}: {reason}; {where}.")

    def _lost(self, error: UnreachableError) -> None:
        if self._abandoned.is_set():
            return
        if not self.outage:
            self._outage_since = time.monotonic()
            if self._outage_since - self._opened_at > _GOOD_CONNECTION:
                self._backoff.reset()
        self.outage = error.reason
        if not self._told_of_outage or error.kind != "outage":
            text = f"{error.reason}; messages wait in {self._spool.folder}."
            self._told_of_outage |= self._notices.sometimes(error.kind, text)

    def _found(self) -> None:
        if self._told_of_outage:
            seconds = time.monotonic() - self._outage_since
            self._notices.say(f"there again after {seconds:.0f} s; {messages(self._spool.waiting)} waited.")
        self.outage, self._told_of_outage = "", False

    def _pause(self, retry_after: float | None) -> None:
        """Wait before the next attempt; the run's end cuts a back-off short, but not the receiver's wish."""
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
