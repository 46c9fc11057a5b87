"""Ray nodes on this machine, for tests and benchmarks of what runs on a cluster."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: Patience with a machine that does other work, too.
_PATIENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "60",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_worker_register_timeout_seconds": "240",
    # Nodes that are killed are noticed within seconds.
    "RAY_health_check_initial_delay_ms": "1000",
}
_PORTS = (
    "metrics_agent_port",
    "metrics_export_port",
    "dashboard_agent_listen_port",
    "runtime_env_agent_port",
)
_STORE = 100 * 2**20


@contextmanager
def ray_nodes(
    cpus: tuple[int, ...] = (0, 1, 1), variables: Sequence[Mapping[str, str]] = ()
) -> Iterator[Any]:
    """A cluster of nodes with these numbers of cores; the first is its head.

    Args:
        cpus: of each node.
        variables: of each node's environment, besides those of this process.

    Raises:
        RuntimeError: Ray does not start here.
    """
    before = {name: os.environ.get(name) for name in _PATIENCE}
    os.environ.update(_PATIENCE)
    from ray.cluster_utils import Cluster

    cluster: Any = None
    started = threading.Event()
    threading.Thread(target=_write_ports, args=(started,), daemon=True).start()
    try:
        try:
            cluster = Cluster()
            for number, count in enumerate(cpus):
                before |= {name: os.environ.get(name) for name in dict(*variables[number : number + 1])}
                os.environ.update(*variables[number : number + 1])
                cluster.add_node(
                    wait=False,
                    num_cpus=count,
                    include_dashboard=False,
                    object_store_memory=_STORE,
                    **_free_ports(),
                )
            cluster.wait_for_nodes(timeout=120)
        except Exception as error:
            raise RuntimeError(f"Ray does not start here: {error}") from error
        finally:
            started.set()
        yield cluster
    finally:
        if cluster is not None:
            cluster.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def raylet_pid(node: Any) -> int:
    """The process of a node; when it is killed, the node is lost."""
    pid: int = node.all_processes["raylet"][0].process.pid
    return pid


def _free_ports() -> dict[str, int]:
    """Ray waits 15 s for ports that it chooses, which a busy machine exceeds."""
    sockets = [socket.socket() for _ in _PORTS]
    for one in sockets:
        one.bind(("", 0))
    found = dict(zip(_PORTS, (one.getsockname()[1] for one in sockets), strict=True))
    for one in sockets:
        one.close()
    return found


def _write_ports(started: threading.Event) -> None:
    """Write the port that Ray waits for all the same: -1, as Ray does where it has no dashboard."""
    while not started.wait(0.2):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError, ValueError):
                words = dict(word.partition("=")[::2] for word in path.read_text().split("\0"))
                folder, node = words.get("--session_dir"), words.get("--node_id")
                if folder and node and int(path.with_name("stat").read_text().split()[3]) == os.getpid():
                    file = Path(folder) / f"dashboard_agent_listen_port_{node}"
                    if not file.exists():
                        file.write_text("-1")
