"""How results are delivered: what the command line's options set."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import DeliveryError
from dmdd_edge.runtime.options.delivery import DeliverySettings
from dmdd_edge.runtime.options.files import FsyncOption
from dmdd_edge.storage import expand_home


@dataclass(frozen=True, kw_only=True)
class DeliveryOptions(FsyncOption, DeliverySettings):
    """How a run's messages are delivered: the options of the command line, and what the run adds.

    Attributes:
        category: goes into each message and names the spool's folder; empty for none.
        version: the bundle's, or what gives it at the moment of a message; goes into each; empty for none.
        close_wait: seconds that the end of a run waits for what is left.
        first_retry, longest_retry: seconds between attempts.
        answer_timeout: seconds that a receiver has to answer.
        refusal_patience: seconds for which a refusal that may end is retried; see ``Sender``.
        run: begins the ids of a run over files that can be resumed (``run_identity``): a frame that is
            processed again has the id that it had before. Empty: ids are unique to this process.
    """

    category: str = ""
    version: str | Callable[[], str] = ""
    close_wait: float = 5.0
    first_retry: float = 0.5
    longest_retry: float = 15.0
    answer_timeout: float = 10.0
    refusal_patience: float = 300.0
    run: str = ""


def default_spool() -> Path:
    """Where the spools lie: under systemd its ``StateDirectory=``, otherwise the user's state directory.

    ``$STATE_DIRECTORY/spool``, ``$XDG_STATE_HOME/dmdd-edge/spool`` or ``~/.local/state/dmdd-edge/spool``.
    """
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0]) / "spool"
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return expand_home(Path(state), "--spool") / "dmdd-edge" / "spool"


def secret(variable: str | None, option: str) -> str:
    """What an environment variable holds; empty when none is named.

    Raises:
        DmddError: it is named, and not set, empty, or not printable ASCII.
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
        raise DeliveryError(f"{option}: {variable} may hold printable ASCII only.")
    return value
