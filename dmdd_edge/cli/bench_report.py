"""What ``dmdd-edge bench`` prints: tables on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from dmdd_edge.cli.console import console
from dmdd_edge.runtime.bench.document import summary_cells

if TYPE_CHECKING:
    from dmdd_edge.runtime.bench.images import ImageSet

_PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9")
_UNRELIABLE = ("unreliable", "bold red")
#: Of the columns of ``markdown_row``, those that have not been printed above.
_SUMMARY = (
    *("p50 ms", "p90 ms", "p99 ms", "images/s", "stream fps", "I-AUROC", "P-AUROC", "PRO", "MB", "reliable"),
)


def print_images(images: ImageSet) -> None:
    """Print which images are used."""
    facts = images.as_dict()
    text = f"{facts['count']} images in rotation, {', '.join(facts['sizes'])}: {facts['origin']}"
    console.print(text)
    if facts["kind"] == "generated":
        console.print("give real images with --source, or the data set with --data")


def print_report(document: dict[str, Any]) -> None:
    """Print everything that was measured."""
    bundle, backend = document["bundle"], document["backend"]
    console.print(
        f"\n{bundle['category']} {bundle['version']}: {bundle['backbone']}, {bundle['image_size']} px; "
        f"{backend['name']}, {backend['precision']}, {backend['file_bytes'] / 1e6:.1f} MB",
        markup=False,
    )
    tiles = document.get("tiles")
    if tiles is not None:
        _print_tiles(tiles)
    _print_latency(document)
    _print_offline(document["offline"], "images" if tiles is None else "tiles")
    _print_stream(document["stream"])
    _print_accuracy(document["accuracy"])
    _print_summary(document)
    console.print(f"peak memory: {document['peak_memory_mb']:.0f} MB (including the test images)")
    _print_unwatched(document["circumstances"]["gpu"])
    _print_reliable(document)


def print_comparison(document: dict[str, Any], names: tuple[str, str]) -> None:
    """Print a comparison.

    Args:
        document: from ``Comparison.as_dict``.
        names: of the two operands, as the user wrote them.
    """
    table = Table(
        box=None, pad_edge=False, title=f"\nhost call, {document['scenario']}", title_justify="left"
    )
    for column in ("", "bundle", "backend", "queries", "median ms", "p90 ms", "p99 ms"):
        table.add_column(
            column, justify="right" if column in ("queries", "median ms", "p90 ms", "p99 ms") else "left"
        )
    for letter, name in zip("AB", names, strict=True):
        side = document[letter.lower()]
        spread = side["latency_ms"]["call"]
        table.add_row(
            letter,
            f"{name} ({side['bundle']['version']})",
            f"{side['backend']['name']}, {side['backend']['precision']}",
            str(spread["count"]),
            *(_ms(spread[key]) for key in ("p50", "p90", "p99")),
        )
    console.print(table)
    low, high = document["ratio_low"], document["ratio_high"]
    console.print(f"B takes {document['ratio']:.3f} times as long as A ({low:.3f} to {high:.3f}, 95 %)")
    if low <= 1 <= high:
        console.print("no significant difference")
    if not document["interleaved"]:
        console.print("the two were not measured in one run")
    _print_reliable(document)


def _print_latency(document: dict[str, Any]) -> None:
    if not document["scenarios"]:
        return
    table = Table(box=None, pad_edge=False, title="\nlatency, ms", title_justify="left")
    table.add_column("scenario")
    table.add_column("boundary")
    for name in (*_PERCENTILES, "mean", "max"):
        table.add_column(name, justify="right")
    for scenario, row in document["scenarios"].items():
        label: str | Text = f"{scenario} (batch {row['batch']}, {row['queries']} queries)"
        below: str | Text = "" if row["reliable"] else Text(*_UNRELIABLE)
        for boundary, spread in row["latency_ms"].items():
            style = "bold" if boundary == row["headline"] else ""
            if spread is None:
                continue
            values = [_ms(spread[name]) for name in (*_PERCENTILES, "mean", "max")]
            table.add_row(label, boundary, *values, style=style)
            label, below = below, ""
        bounds = row.get("bounds_ms")
        if bounds is not None:
            table.add_row(label, "at most (99 %)", *(_ms(bounds[name]) for name in _PERCENTILES))
            label = ""
        if label:
            table.add_row(label)
    console.print(table)
    missing = {
        why: name for row in document["scenarios"].values() for name, why in row["not_measured"].items()
    }
    for why in missing:
        names = [
            name
            for row in document["scenarios"].values()
            for name, w in row["not_measured"].items()
            if w == why
        ]
        console.print(f"n/a: {', '.join(dict.fromkeys(names))} ({why})", style="dim")


def _print_tiles(tiles: dict[str, Any]) -> None:
    numbers = tiles["per_image"]
    few = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    each = "" if tiles["ms_per_tile"] is None else f", {tiles['ms_per_tile']:.2f} ms a tile"
    console.print(f"{few} tiles per image, at most {tiles['batch']} at once{each}")


def _print_offline(row: dict[str, Any] | None, what: str) -> None:
    if row is None:
        return
    shown = [
        f"{item['batch']}: n/a ({item['reason']})"
        if item["throughput"] is None
        else f"{item['batch']}: {item['throughput']:.1f}"
        for item in row["sweep"]
    ]
    _print_row(f"\noffline, {what}/s by batch: {', '.join(shown)}", row)


def _print_stream(row: dict[str, Any] | None) -> None:
    if row is None:
        return
    spread = row["latency_ms"]["from_arrival"]
    latency = (
        "" if spread is None else f"; arrival to result p50 {_ms(spread['p50'])}, p99 {_ms(spread['p99'])} ms"
    )
    frames = f"{row['judged']} frames processed, {row['dropped']} dropped in {row['seconds']:.1f} s"
    if row["asked_rate"] is not None:
        _print_row(f"stream at {row['asked_rate']:g} frames/s: {frames}{latency}", row)
    elif row["held_rate"] is None:
        _print_row(f"stream: no rate was sustained without drops; {frames}", row)
    else:
        _print_row(f"stream: {row['held_rate']:.1f} frames/s sustained; {frames}{latency}", row)


def _print_accuracy(row: dict[str, Any]) -> None:
    if "reason" in row:
        console.print(f"accuracy: n/a ({row['reason']})")
        return
    names = {"image_auroc": "I-AUROC", "pixel_auroc": "P-AUROC", "pro": "PRO"}
    shown = [f"{label} {_percent(row[name])}" for name, label in names.items()]
    console.print(f"accuracy of this file: {', '.join(shown)} on {row['images']} images")
    for line in row.get("remarks", ()):  # missing in results of an earlier release
        console.print(line)


def _print_summary(document: dict[str, Any]) -> None:
    """Speed and accuracy of the file side by side, where accuracy was measured."""
    if "reason" in document["accuracy"]:
        return
    cells = summary_cells(document)
    table = Table(
        box=None, pad_edge=False, title="\nspeed and accuracy of this file, ms and %", title_justify="left"
    )
    for name in _SUMMARY:
        table.add_column(name.removesuffix(" ms"), justify="right")
    reliable = Text("yes") if document["reliable"] else Text("no", "bold red")
    table.add_row(*(cells[name] for name in _SUMMARY[:-1]), reliable)
    console.print(table)


def _print_row(text: str, row: dict[str, Any]) -> None:
    """Print a line, marked at its end when it is unreliable."""
    console.print(text if row["reliable"] else Text.assemble(text, "; ", _UNRELIABLE))


def _print_unwatched(gpu: dict[str, Any]) -> None:
    """Say that nothing would have shown a throttled GPU."""
    if "unwatched_because" in gpu:
        text = f"GPU not watched for throttling: {gpu['unwatched_because']}"
        console.print(f"{text} (pip install nvidia-ml-py)", markup=False)


def _print_reliable(document: dict[str, Any]) -> None:
    if not document["reliable"]:
        reasons = "; ".join(document["unreliable_because"])
        console.print(Text.assemble(_UNRELIABLE, ": ", reasons))


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.2f}"
