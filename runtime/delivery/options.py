"""How results are delivered: what the command line's options set."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dmdd_edge.errors import DeliveryError
from dmdd_edge.storage import Fsync, expand_home

Notify = Literal["anomalous", "all"]
#: The values of ``--notify``.
NOTIFY: tuple[Notify, ...] = ("anomalous", "all")


@dataclass(frozen=True)
class DeliveryOptions:
    """Options of a run's deliveries.

    Attributes:
        category: goes into each message and names the spool's folder; empty for none.
        version: the bundle's, or what gives it at the moment of a message; goes into each; empty for none.
        notify: ``anomalous`` leaves good results out; unreliable ones, errors and the summary always go.
        spool: folder of the spools; None for ``default_spool()``.
        spool_limit: bytes that one destination's spool may take on the disk.
        fsync: what a power cut may cost: ``never``, ``second``, ``always``.
        webhook_secret_env: environment variable with the key that each body is signed with (HMAC-SHA256).
        webhook_token_env: environment variable with the token of ``Authorization: Bearer``.
        close_wait: seconds that the end of a run waits for what is left.
        first_retry, longest_retry: seconds between attempts.
        answer_timeout: seconds that a receiver has to answer.
        refusal_patience: seconds for which a refusal that may end is retried; see ``Sender``.
        run: begins the ids of a run over files that can be resumed (``run_identity``): a frame that is judged
            again has the id that it had before. Empty: ids are unique to this process.
    """

    category: str = ""
    version: str | Callable[[], str] = ""
    notify: Notify = "all"
    spool: Path | None = None
    spool_limit: int = 64 << 20
    fsync: Fsync = "second"
    webhook_secret_env: str | None = None
    webhook_token_env: str | None = None
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
