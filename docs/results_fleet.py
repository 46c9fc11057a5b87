"""Tables of what a fleet of bundles withstands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common import markdown_table
from results_files import result


def fleet_trouble() -> str:
    """What is left after each trouble."""
    figures = result("fleet_trouble")["figures"]
    lines = [
        [
            f"{name}: SIGKILL at a random moment",
            str(row["killed"]),
            f"in use, every hash right: the old version {row['old_in_use']}, the new one "
            f"{row.get('new_in_use', 0)}",
            f"the next one completes: {row['completed_afterwards']}",
        ]
        for name, row in figures["kills"].items()
    ]
    altered, disk = figures["altered"], figures["full_disk"]
    lines.append(
        [
            "one byte of the store changed",
            str(altered["bytes_changed"]),
            f"refused, the old version in use: {altered['refused_and_old_in_use']}",
            "the file is named",
        ]
    )
    for name, row in figures["signatures"].items():
        kept = "refused, the old version in use" if row["refused"] and row["old_in_use"] else "taken"
        lines.append([f"a key is set; signature: {name}", "1", kept, ""])
    if disk is not None:
        lines.append(
            [
                "a disk (tmpfs) that is too small",
                str(disk["sizes"]),
                f"refused before anything is fetched: {disk['refused_before']}; full in the middle: "
                f"{disk['refused_midway']}; the old version in use: {disk['old_in_use']}",
                f"nothing of it remains: {disk['nothing_left']}",
            ]
        )
    return markdown_table(["trouble", "times", "what is left", "afterwards"], lines, left=4)


def fleet_many() -> str:
    """Processes at once."""
    figures = result("fleet_trouble")["figures"]

    def line(name: str, row: dict[str, Any]) -> list[str]:
        done = f"{row['succeeded']} of {row['processes']}"
        return [name, done, str(row["whole"]), f"{row['seconds']:.1f}"]

    many = figures["many"]
    lines = [
        line("stations that pull from one folder", many["stations"]),
        line("pulls into one `models/`", many["one_folder"]),
        line("pushes of one version into one folder", many["pushes"]),
    ]
    return markdown_table(["at once", "ended well", "folders with a whole version", "seconds"], lines, left=1)


def fleet_cost() -> str:
    """What a pull costs."""
    cost = result("fleet_trouble")["figures"]["cost"]
    lines = [
        [name, *(f"{cost[key][part]:.2f}" for part in ("median", "low", "high"))]
        for name, key in (
            (f"a copy of {cost['mib']:.0f} MiB onto the disk", "copy_seconds"),
            ("a pull of the same", "pull_seconds"),
            ("a pull without a new version", "nothing_new_seconds"),
        )
    ]
    return markdown_table(["seconds", "median", "lowest", "highest"], lines, left=1)


def judge_speed() -> str:
    """The command beside the bare loop."""
    figures = result("judge")["figures"]
    lines = []
    for name, key in (("bare loop, one thread", "bare"), ("one process", "one"), ("two, one killed", "two")):
        row = figures[key]
        memory = "" if key == "bare" else " to ".join(f"{size:.0f}" for size in row["mib_largest_process"])
        cost = 1000 * row["cpu_seconds"] / row["images"]
        rate = row["images"] / row["seconds"]
        rows = "" if key == "bare" else f"{row['rows']:,}, {row['paths_once']:,} paths once"
        lines.append([name, rows, f"{cost:.2f} ms", f"{rate:.0f}", memory])
    return markdown_table(["20,000 images", "rows", "CPU per image", "per second", "MiB"], lines, left=2)


def judge_cluster() -> str:
    """The command with actors of a cluster."""
    figures = result("fleet_cluster")["figures"]
    lines = []
    for name, key in (("one actor", "judge_one"), ("two, one killed", "judge_two")):
        row = figures[key]
        actor, command = (
            " to ".join(f"{size:.0f}" for size in row[f"mib_{part}"]) for part in ("largest_actor", "command")
        )
        cost = 1000 * row["actors_cpu_seconds"] / row["images"]
        rows = f"{row['rows']:,}, {row['paths_once']:,} paths once"
        lost = str(row["lost_processes"])
        lines.append([name, rows, lost, f"{cost:.2f} ms", f"{row['images_per_second']:.0f}", actor, command])
    head = [
        "20,000 images",
        "rows",
        "actors lost",
        "CPU per image",
        "per second",
        "MiB of an actor",
        "of the command",
    ]
    return markdown_table(head, lines, left=2)


def train_cluster() -> str:
    """Trainings of many categories on the nodes of a cluster, one of which is killed, and on this machine."""
    figures = result("fleet_cluster")["figures"]
    killed, moved = figures["killed"]["killed"]["states"], sum(figures["killed"]["moved"].values())
    cases = (
        ("cluster, one node killed", "killed", "equal"),
        ("this machine, `--jobs 2`", "here", ""),
        ("cluster, fewer categories", "few_cluster", "few_equal"),
        ("this machine, the same", "few_here", ""),
    )
    lines = []
    for name, key, compared in cases:
        counts = figures[key]["counts"]
        equal = ""
        if compared:
            row = figures[compared]
            alike = (row[f"{what}_equal"] for what in ("models", "figures", "thresholds"))
            equal = ", ".join(f"{each} of {row['categories']}" for each in alike)
        lost = f"{killed['exported']} done; {moved} moved" if key == "killed" else ""
        lines.append([name, lost, str(counts["done"]), str(counts["failed"]), equal])
    head = ["trained on", "when the node was killed", "done", "failed", "equal models, figures, thresholds"]
    return markdown_table(head, lines, left=2)


def train_store() -> str:
    """Trainings in a store that are killed, and continued by machines without a copy."""
    found = result("fleet_store")["figures"]["kills"]
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in found["kills"]:
        rows.setdefault(row["moment"], []).append(row)
    lines = []
    for moment, kills in rows.items():
        count = len(kills)
        none = sum(row["lists"] == 0 for row in kills)
        whole = sum(bool(row["whole"]) for row in kills)
        left = ", ".join(
            text
            for text, number in ((f"a whole state {whole}", whole), (f"nothing yet {none}", none))
            if number
        )
        alike = (f"{sum(row[f'{what}_equal'] for row in kills)} of {count}" for what in ("model", "figures"))
        lines.append([moment, str(count), left, *alike])
    return markdown_table(["SIGKILL", "times", "what the store had", "equal model", "figures"], lines, left=1)


def judge_listing() -> str:
    """A million names, without images."""
    row = result("judge")["figures"]["listing"]
    names = ["names", "shared out", "CPU", "time", "MiB before", "MiB at most"]
    counts = [f"{row['names']:,}", f"{row['shared_out']:,}"]
    times = [f"{row['cpu_seconds']:.1f} s", f"{row['seconds']:.0f} s"]
    return markdown_table(
        names, [[*counts, *times, f"{row['mib_before']:.0f}", f"{row['mib_peak']:.0f}"]], left=0
    )


FLEET: dict[str, Callable[[], str]] = {
    "fleet-trouble": fleet_trouble,
    "fleet-many": fleet_many,
    "fleet-cost": fleet_cost,
    "archived-speed": judge_speed,
    "archived-listing": judge_listing,
    "archived-cluster": judge_cluster,
    "train-cluster": train_cluster,
    "train-store": train_store,
}
