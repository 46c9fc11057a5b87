"""The sink that delivers results to a remote receiver and never makes the run wait for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dmdd_edge.runtime.delivery.backoff import Backoff
from dmdd_edge.runtime.delivery.dead_letters import DeadLetters
from dmdd_edge.runtime.delivery.notices import Notices, Say, messages
from dmdd_edge.runtime.delivery.options import DeliveryOptions
from dmdd_edge.runtime.delivery.run_identity import frame_key
from dmdd_edge.runtime.delivery.sender import Sender
from dmdd_edge.runtime.delivery.spool import Spool
from dmdd_edge.runtime.delivery.transport import Transport
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.json_lines import error_line
from dmdd_edge.runtime.summary import Summary

#: Dead letters may take this fraction of the spool's limit in addition.
_REFUSED_PART = 8


@dataclass(frozen=True)
class DeliveryState:
    """State of a delivery.

    Attributes:
        name: the receiver's address, without secrets.
        delivered: messages that the receiver has accepted, leftovers of earlier runs included.
        waiting: messages in the spool.
        dropped: messages that this run gave up because a bound was reached.
        refused: messages that the receiver rejected for good.
        connected: whether the receiver was reachable at the last attempt.
        message: the current fault; may be empty.
    """

    name: str
    delivered: int
    waiting: int
    dropped: int
    refused: int
    connected: bool
    message: str

    def to_json(self) -> dict[str, Any]:
        """The state as the fields of a JSON object."""
        return asdict(self)


class Delivery:
    """Puts each result into a spool, from which a thread delivers it: at least once, in order.

    A message is what ``--json`` writes about a frame, with ``id`` (globally unique; a message that is sent
    again has the same one), ``category`` and ``version``. ``result`` returns once the spool has the message.

    Args:
        transport: sends messages to the receiver.
        spool: stores messages until they are delivered; closed at the end.
        run: globally unique prefix of each id, unless ``options.run`` is set.
        options: of the delivery.
        say: receives notices for a person, one line each, from any thread.
    """

    def __init__(
        self, transport: Transport, spool: Spool, run: str, options: DeliveryOptions, say: Say
    ) -> None:
        self._transport, self._spool, self._run, self._options = transport, spool, run, options
        self._version: Callable[[], str]
        version = options.version
        self._version = version if callable(version) else lambda: version
        self._notices = Notices(transport.name, say)
        self._count = 0
        self._reported_dropped = self._reported_damaged = 0
        self._remaining: int | None = None
        left = spool.waiting
        if left:
            self._notices.say(f"Delivering {messages(left)} left by an earlier run ({spool.folder}) first.")
        dead_letters = DeadLetters(spool.folder, options.spool_limit // _REFUSED_PART)
        backoff = Backoff(options.first_retry, options.longest_retry)
        self._sender = Sender(
            transport, spool, dead_letters, self._notices, backoff, options.refusal_patience
        )

    def result(self, frame: Frame, result: Result) -> None:
        """Deliver a result; good ones are omitted under ``notify="anomalous"``."""
        wanted = self._options.notify == "all" or result.status != "good"
        self._take(result.to_json() if wanted else None, frame.source, frame.name)

    def broken(self, frame: BrokenFrame) -> None:
        """Deliver a frame that could not be read or prepared: always, because it was not found good."""
        self._take(error_line(frame), frame.source, str(frame.index))

    def line(self, fields: dict[str, Any]) -> None:
        """Deliver a line of another type; of a good part in time only under ``notify="all"``."""
        wanted = self._options.notify == "all" or fields.get("status") != "good" or fields.get("late")
        self._take(dict(fields) if wanted else None)

    def summary(self, summary: Summary) -> None:
        """Deliver the summary."""
        self._take(summary.to_json())

    def state(self) -> DeliveryState:
        """The current state; from any thread, also after the end."""
        spool, sender = self._spool, self._sender
        faults = [sender.outage]
        if spool.fault:
            faults.append(f"cannot write to the spool ({spool.fault}); buffering messages in memory")
        return DeliveryState(
            name=self._transport.name,
            delivered=sender.delivered,
            waiting=spool.waiting if self._remaining is None else self._remaining,
            dropped=spool.dropped + spool.damaged,
            refused=sender.refused,
            connected=self._remaining is None and self._transport.connected,
            message="; ".join(filter(None, faults)),
        )

    def close(self) -> None:
        """Wait up to ``close_wait`` plus about four seconds for the rest, and report what remains."""
        if self._remaining is not None:
            return
        waiting = self._spool.waiting
        if waiting and self._sender.outage and self._options.close_wait:
            self._notices.say(f"Waiting up to {self._options.close_wait:g} s to deliver {messages(waiting)}.")
        self._sender.finish(self._options.close_wait)
        self._remaining = self._spool.close()
        state = self.state()
        counts = [f"{state.delivered} delivered"]
        if self._remaining:
            counts.append(f"{self._remaining} remain for the next run, in {self._spool.folder}")
        if state.refused:
            counts.append(f"{state.refused} refused")
        if state.dropped:
            counts.append(f"{state.dropped} dropped")
        self._notices.say(f"{', '.join(counts)}.")

    def _take(self, line: dict[str, Any] | None, source: str = "", name: str = "") -> None:
        # Omitted results are counted too, so that all destinations give a result the same id.
        number = self._count
        self._count += 1
        if line is None:
            return
        resumable = self._options.run and source
        id = f"{self._options.run}-{frame_key(source, name)}" if resumable else f"{self._run}-{number}"
        line["id"] = id
        labels = {
            "station": self._options.station,
            "category": self._options.category,
            "version": self._version(),
        }
        for key, value in labels.items():
            if value:
                line[key] = value
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        # Half a surrogate, from a file name that is not UTF-8, becomes an escape, which JSON allows.
        self._spool.put(id, text.encode("utf-8", "backslashreplace"))
        self._sender.wake()
        self._report_losses()

    def _report_losses(self) -> None:
        spool = self._spool
        if spool.dropped > self._reported_dropped:
            bound = (
                "the disk rejects writes"
                if spool.fault
                else f"the spool has reached its limit of {self._options.spool_limit >> 10} KiB"
            )
            text = f"{messages(spool.dropped)} dropped so far, oldest first: {bound}."
            if self._notices.sometimes("dropped", text):
                self._reported_dropped = spool.dropped
        if spool.damaged > self._reported_damaged:
            text = f"{messages(spool.damaged)} in {spool.folder} damaged and lost."
            if self._notices.sometimes("damaged", text):
                self._reported_damaged = spool.damaged
        if spool.fault:
            self._notices.sometimes(
                "disk",
                f"Cannot write to the spool ({spool.fault}); buffering messages in memory.",
            )
