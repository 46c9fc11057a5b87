"""``--like``: measuring as other tools do, so that figures can be laid side by side."""

from __future__ import annotations

from dataclasses import dataclass

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.suggest import choose

#: Every boundary, in the order of the way of a frame, and what lies between its two ends.
BOUNDARIES = {
    "decode": "reading and decoding the image file (from the page cache)",
    "prepare": "region of interest, resize, frame statistics",
    "call": "the host call: prepared images in host memory to results in host memory",
    "h2d": "copy to the GPU, by the GPU's clock",
    "compute": "the engine, by the GPU's clock",
    "d2h": "copy from the GPU, by the GPU's clock",
    "device": "copies and engine together, by the GPU's clock",
    "finish": "threshold, regions, result",
    "from_frame": "end to end from a camera frame in memory",
    "from_encoded": "end to end from an image file, decoding included",
    "from_arrival": "stream: from a frame's arrival to its result, waiting included",
}


@dataclass(frozen=True)
class Like:
    """A way of measuring.

    Attributes:
        name: as ``--like`` names it; empty for our own.
        scenarios: those that are run unless others are asked for.
        headline: the boundary whose figures the tool would print, where it can be measured.
        percentile: the one it would print; None for no particular one.
        whole_way: take each frame its whole way, not only through the host call.
        seconds, fewest: how long, and how many queries at least.
        warm_up_seconds, warm_up_count: what comes before.
        spin, cuda_graphs: how the GPU is waited for, and whether runs are launched as CUDA graphs.
        note: what to know when comparing.
    """

    name: str = ""
    scenarios: tuple[str, ...] = ("single", "multi", "offline", "stream")
    headline: str = "call"
    percentile: str | None = None
    whole_way: bool = True
    seconds: float = 10.0
    fewest: int = 1
    warm_up_seconds: float = 1.0
    warm_up_count: int = 10
    spin: bool = False
    cuda_graphs: bool = True
    note: str = ""


_OURS = Like()
_CPU = "without a GPU, the host call stands for it"

LIKES = {
    "trtexec10": Like(
        name="trtexec10",
        scenarios=("single",),
        headline="device",
        whole_way=False,
        seconds=3.0,
        fewest=10,
        warm_up_seconds=0.2,
        warm_up_count=1,
        cuda_graphs=False,
        note=f"as trtexec of TensorRT 10: both copies and the engine, a blocking wait, no CUDA graph; {_CPU}",
    ),
    "trtexec11": Like(
        name="trtexec11",
        scenarios=("single",),
        headline="compute",
        whole_way=False,
        seconds=3.0,
        fewest=10,
        warm_up_seconds=0.2,
        warm_up_count=1,
        spin=True,
        note=f"as trtexec of TensorRT 11: the engine without copies, a spinning wait, CUDA graphs; {_CPU}",
    ),
    "mlperf": Like(
        name="mlperf",
        scenarios=("single", "multi", "offline"),
        whole_way=False,
        seconds=600.0,
        fewest=64,
        note="as MLPerf's edge scenarios: prepared images in host memory to results in host memory, 600 s "
        "each; single p90, multi (8) p99, offline throughput; percentiles with a bound at 99 % confidence",
    ),
}


def like_named(name: str | None) -> Like:
    """The way of measuring that ``--like`` names; our own for None.

    Raises:
        DmddError: there is no such way.
    """
    if name is None:
        return _OURS
    if name not in LIKES:
        raise OptionError(f"--like {name}: there is no such way of measuring.", choose(name, list(LIKES)))
    return LIKES[name]
