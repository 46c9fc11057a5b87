"""The connection to a Ray cluster, and its nodes."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dmdd_edge._version import __version__
from dmdd_edge.cluster.node_check import Seen, look
from dmdd_edge.data_address import is_address
from dmdd_edge.errors import BackendError, OptionError
from dmdd_edge.extras import need

#: Ray writes hints and messages of its nodes to standard output, whatever its options; read at its import.
_QUIET = {"RAY_DEDUP_LOGS_SKIP_REGEX": ".", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
#: One attempt to reach a cluster, of about 40 s; Ray makes twenty, which no signal ends. Read at its import.
_ONCE = {"RAY_gcs_server_port_wait_time_s": "1"}
#: Seconds in which the address of a cluster must answer.
_REACHED_WITHIN = 10.0
#: Seconds in which each node must answer; the first process of a slow machine takes long to start.
_ANSWER_WITHIN = 300.0
_HEAD = "ray start --head --disable-usage-stats"


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
        id: Ray's.
        name: of the host.
        cpus, gpus: that Ray shares out.
        memory: MiB that Ray shares out.
    """

    id: str
    name: str
    cpus: float
    gpus: float
    memory: float


def check_address(address: str) -> None:
    """Raise an ``OptionError`` for what cannot be the address of a cluster."""
    host, colon, port = address.rpartition(":")
    if address != "auto" and not (host and colon and port.isdecimal() and "/" not in address):
        raise OptionError(
            f"--ray {address!r} is not the address of a cluster.",
            "Give auto on a machine of the cluster, or HOST:PORT as `ray start --head` prints it.",
        )


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a Ray cluster; gives the module ``ray``.

    This machine must be a part of the cluster.

    Args:
        address: ``auto`` for the cluster that this machine is a part of, else ``HOST:PORT``.

    Raises:
        DmddError: Ray is not installed, or there is no such cluster.
    """
    os.environ.update(_QUIET | {name: value for name, value in _ONCE.items() if name not in os.environ})
    with need("cluster"):
        import ray
    if address != "auto":
        _reach(address)
    # Ray takes the handlers of these signals for itself.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:
        raise _refused(address, error) from error
    finally:
        for number, handler in before.items():
            _restore(number, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise a ``BackendError`` where nothing answers: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _REACHED_WITHIN):
            return
    except (OSError, OverflowError) as error:
        raise _refused(address, error) from error


def _restore(number: int, handler: Any) -> None:
    try:
        signal.signal(number, handler)
    except ValueError:  # not in the main thread, where there are no handlers
        return


def _refused(address: str, error: Exception) -> BackendError:
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())[:300].rstrip(".")
    if "connect to GCS" in text:  # followed by a traceback
        text = "what is there does not answer as the head of one"
    if "ersion mismatch" in text:
        return BackendError(
            f"The Ray cluster {address} has other versions of Ray or Python: {text}.",
            "Install the same versions on all machines.",
        )
    where = "on this machine" if address == "auto" else f"at {address}"
    return BackendError(
        f"There is no Ray cluster {where} that can be used: {text or type(error).__name__}.",
        f"Start one with `{_HEAD}`, and `ray start --address HOST:6379` on each other machine; "
        "this machine must be one of them.",
    )


def alive_nodes(ray: Any) -> list[Node]:
    """The nodes that live, in a fixed order."""
    found = []
    for node in ray.nodes():
        if node["Alive"]:
            has: Mapping[str, float] = node["Resources"]
            found.append(
                Node(
                    node["NodeID"],
                    node["NodeManagerHostname"],
                    has.get("CPU", 0.0),
                    has.get("GPU", 0.0),
                    has.get("memory", 0.0) / 2**20,
                )
            )
    return sorted(found, key=lambda node: (node.name, node.id))


def on_node(ray: Any, node: str) -> dict[str, Any]:
    """The options of a task or an actor that stays on a node and takes nothing of what is shared out."""
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    return {"num_cpus": 0, "scheduling_strategy": affinity(node, soft=False)}


def own_node(ray: Any) -> str:
    """Ray's name of the node of this process."""
    node: str = ray.get_runtime_context().get_node_id()
    return node


def check_nodes(ray: Any, nodes: Sequence[Node], paths: Sequence[str]) -> None:
    """Refuse nodes with another version of dmdd-edge, or that do not see the files of this machine.

    Args:
        ray: the module, connected.
        nodes: which ones.
        paths: files and folders that each of them must see.

    Raises:
        BackendError: a node cannot be used.
    """
    task = ray.remote(look)
    asked = {task.options(**on_node(ray, node.id), max_retries=0).remote(list(paths)): node for node in nodes}
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_WITHIN)
    if silent:
        names = ", ".join(asked[ref].name for ref in silent)
        raise BackendError(
            f"{names} did not answer within {_ANSWER_WITHIN:.0f} s.",
            "See `ray status`, and remove machines that do not work: `ray stop` on them.",
        )
    for ref in answered:
        try:
            seen: Seen = ray.get(ref)
        except Exception as error:
            raise node_error(asked[ref].name, error) from error
        problem = problem_of(asked[ref].name, seen)
        if problem is not None:
            raise problem


def problem_of(name: str, seen: Seen) -> BackendError | None:
    """Why a node cannot be used; None if it can."""
    if seen.version != __version__:
        return BackendError(
            f"{name} has dmdd-edge {seen.version}, and this machine {__version__}.",
            "Install the same version on all machines, and start Ray there again.",
        )
    if seen.missing and is_address(seen.missing[0]):
        return BackendError(
            f"{name} cannot list {seen.missing[0]}.",
            "Every machine needs the store's package, such as s3fs, its credentials in the environment of "
            "`ray start`, and the network to it.",
        )
    if seen.missing:
        return BackendError(
            f"{name} does not see {seen.missing[0]} of this machine.",
            "All machines need the same shared storage at the same path.",
        )
    return None


def node_error(name: str, error: Exception) -> BackendError:
    """Why nothing runs on a node."""
    text = str(error)
    if "No module named" in text:
        last = next(line for line in reversed(text.splitlines()) if "No module named" in line).strip()
        return BackendError(
            f"{name} cannot run dmdd-edge: {last}.",
            f"Install it there for the Python that Ray runs with; here that is {sys.executable}.",
        )
    last = text.strip().splitlines()[-1] if text.strip() else type(error).__name__
    return BackendError(f"{name} cannot be used: {last.rstrip('.')}.", "See `ray status`.")
