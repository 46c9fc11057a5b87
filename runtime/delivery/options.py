"""Options of the deliveries of a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dmdd_edge.errors import DeliveryError
from dmdd_edge.runtime.options.delivery import DeliverySettings
from dmdd_edge.runtime.options.files import FsyncOption
from dmdd_edge.storage import expand_home


@dataclass(frozen=True, kw_only=True)
class DeliveryOptions(FsyncOption, DeliverySettings):
    """How a run's messages are delivered: the options of the command line, and what the run adds.

    Attributes:
        category: part of each message and of the spool's folder; may be empty.
        station: name of the station; part of each message; may be empty.
        version: of the bundle, or a function that returns it; part of each message; may be empty.
        close_wait: seconds that the end of a run waits for the remaining messages.
        first_retry, longest_retry: seconds between attempts.
        answer_timeout: seconds that a receiver has to answer.
        refusal_patience: seconds during which a refusal that may pass is retried; see ``Sender``.
        run: prefix of the ids of a run over files that can be resumed (``run_identity``): a frame that is
            processed again gets the same id. Empty: ids are unique to this process.
        commands: see ``MqttTransport``.
    """

    category: str = ""
    station: str = ""
    version: str | Callable[[], str] = ""
    close_wait: float = 5.0
    first_retry: float = 0.5
    longest_retry: float = 15.0
    answer_timeout: float = 10.0
    refusal_patience: float = 300.0
    run: str = ""
    commands: Mapping[str, Callable[[bytes], None]] = field(default_factory=dict)


def default_spool() -> Path:
    """Default folder of the spools: systemd's ``StateDirectory=`` if set, else the user's state directory.

    ``$STATE_DIRECTORY/spool``, ``$XDG_STATE_HOME/dmdd-edge/spool`` or ``~/.local/state/dmdd-edge/spool``.
    """
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0]) / "spool"
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return expand_home(Path(state), "--spool") / "dmdd-edge" / "spool"


def secret(variable: str | None, option: str) -> str:
    """Value of an environment variable; empty without a variable.

    Raises:
        DeliveryError: the variable is not set, is empty, or is not printable ASCII.
    """
    if variable is None:
        return ""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise DeliveryError(
            f"{option} names the environment variable {variable}, which is not set.",
            f"Set it for this process: export {variable}=...",
        )
    if not value.isascii() or not value.isprintable():
        raise DeliveryError(f"{option}: the value of {variable} must be printable ASCII.")
    return value
