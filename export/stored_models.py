"""Bundles that go to a store (``export --models-dir s3://plant/models``), as ``models push`` sends them."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import FleetError
from dmdd_edge.fleet.address import open_store, open_to_write
from dmdd_edge.fleet.local import local_offer
from dmdd_edge.fleet.offer import current_of
from dmdd_edge.fleet.push import push
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.reporter import Reporter
from dmdd_edge.train.run_folder import read_config

#: Seconds without success after which a version is left to another command, and between two tries.
PATIENCE, WAIT = 120.0, 5.0


def use_by_default(address: str, run: Path) -> bool:
    """Whether the store's CURRENT names the new version: not for a continued run where it names one already.

    Args:
        address: of the bundles.
        run: folder of the run.

    Raises:
        DmddError: the store or the run cannot be read.
    """
    config = read_config(run)
    return config.parent is None or current_of(open_store(address), config.category) is None


def send_version(address: str, bundle: Bundle, *, use: bool, work: Reporter) -> None:
    """Send a version that was exported into the mirror of a store.

    Args:
        address: of the bundles.
        bundle: the version.
        use: whether CURRENT of the store is to name it.
        work: receives the progress.

    Raises:
        FleetError: the store did not take it; it is complete here, and a command that sends it is named.
        DmddError: the store has another version of that name.
    """
    models_dir = bundle.path.parent.parent
    offer, _ = local_offer(models_dir, bundle.category, bundle.version)
    began = time.monotonic()
    while True:
        try:
            push(open_to_write(address), models_dir, offer, use=use, work=work)
            return
        except FleetError as error:
            if time.monotonic() - began > PATIENCE:
                again = command("models", "push", address, category=bundle.category, version=bundle.version)
                # The folder is meant here, and not the store that it is a mirror of.
                again += f" --models-dir {shlex.quote(str(models_dir))}"
                raise FleetError(
                    f"{error.message} The version {bundle.version} is not in the store; it is complete in "
                    f"{bundle.path}.",
                    f"When the store answers, run the command again, or: {again}",
                ) from None
            work.say(f"{error.message} Sending is tried again.")
        time.sleep(WAIT)
