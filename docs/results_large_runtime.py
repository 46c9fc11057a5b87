"""The tables of what tiles cost: time and memory at run time, and memory of a training."""

from __future__ import annotations

from collections.abc import Callable

from common import markdown_table
from results_files import result


def large_runtime() -> str:
    """Time per image against tiles, as ratios of one run, and memory over many images."""
    document = result("large_runtime")
    figures, load = document["figures"], document["machine"]["load_average_before"]
    cost, batches, memory = figures["cost"], figures["batches"], figures["memory"]
    first = cost[0]
    lines = [
        [
            f"an image of {row['tiles']} tiles, against one of {first['tiles']}",
            f"{row['whole_ms'] / first['whole_ms']:.1f} times the time",
        ]
        for row in cost[1:]
    ]
    beside = [1 - row["infer_ms"] / row["whole_ms"] for row in cost[1:]]
    lines.append(["share of preparation, regions and verdict in it", f"at most {100 * max(beside):.0f} %"])
    one = batches[0]["ms_per_tile"]["median"]
    for row in batches[1:]:
        median, low, high = (row["ms_per_tile"][name] / one for name in ("median", "low", "high"))
        name = f"a tile in batches of {row['batch']}, against one by one"
        lines.append([name, f"{median:.2f} times the time (rounds {low:.2f} to {high:.2f})"])
    lines += [
        [
            f"resident memory over {memory['images']} images of {memory['megapixels']:.0f} megapixels, "
            f"{memory['tiles_per_image']} tiles each (a graph of one operation)",
            f"{memory['mib_second_tenth']:.0f} MiB in the second tenth of them, "
            f"{memory['mib_last_tenth']:.0f} in the last; peak {memory['peak_mib']:.0f}",
        ],
    ]
    table = markdown_table(["measure", "value"], lines, left=2)
    shared = f"two cores that other programs used as well (load average {load:.0f})"
    return f"{table}\nMeasured on {shared}, so only ratios within one run are given.\n"


def training_memory() -> str:
    """The peak of memory of trainings on images of 20 megapixels."""
    document = result("large_training_memory")
    settings = document["settings"]
    lines = [
        [str(row["images"]), str(row["held_out"]), f"{row['peak_gib']:.2f} GiB"]
        for row in document["figures"]["sets"]
    ]
    size = f"{settings['width']} x {settings['height']}"
    return markdown_table([f"images of {size} px", "of these held out", "peak of memory"], lines, left=0)


def run_memory() -> str:
    """The peak of memory of `run` on images of 100 megapixels."""
    document = result("large_run_memory")
    settings = document["settings"]
    lines = [
        [
            f"{settings['columns']} x {settings['rows']} px, {row['kind']}",
            f"{row['tile']} px",
            f"{row['peak_mib']} MiB",
        ]
        for row in document["figures"]["cases"]
    ]
    return markdown_table(["image", "tile", "peak of memory"], lines, left=1)


LARGE_RUNTIME: dict[str, Callable[[], str]] = {
    "large-runtime": large_runtime,
    "large-training-memory": training_memory,
    "large-run-memory": run_memory,
}
