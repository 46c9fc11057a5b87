"""Tables of what keeps a detector right after its first day."""

from __future__ import annotations

from collections.abc import Callable

from common import markdown_table
from results_files import FIGURES, percent, result


def band() -> str:
    """Both thresholds on unseen parts, with and without a smallest area."""
    lines = []
    for row in result("upkeep_band")["figures"]["rows"]:
        rates = " / ".join(f"{100 * row[name]:g}" for name in ("false_alarm_rate", "suspect_rate"))
        area = "any" if row["min_area"] == "0" else row["min_area"].replace("px", " px")
        names = ("good_anomalous", "good_not_good", "good_suspect", "bad_anomalous", "bad_suspect")
        shares = [f"{100 * row[name]:.1f}" for name in names]
        shares[0] = f"{shares[0]} ± {200 * row['good_anomalous_error']:.1f}"
        shares[1] = f"{shares[1]} ± {200 * row['good_not_good_error']:.1f}"
        expected = [f"{100 * row[name]:.1f}" for name in ("expected_anomalous", "expected_not_good")]
        lines.append([row["category"], rates, str(row["normals"]), " / ".join(expected), area, *shares])
    columns = [
        "set",
        "rates %",
        "good images",
        "n supports %",
        "smallest area",
        "good: anomalous %",
        "good: not good %",
        "good: suspect %",
        "defects: anomalous %",
        "defects: suspect %",
    ]
    return markdown_table(columns, lines, left=1)


def known_bad() -> str:
    """What eight known-bad parts change, by who chose the weights."""
    lines = []
    for run in result("known_bad")["figures"]["runs"]:
        for name, words in (
            ("without", "synthetic damage"),
            ("with", "known-bad parts, by the margin"),
            ("always", "known-bad parts, always"),
        ):
            found = run[name]
            changed = [
                str(found[f"{what}_changed"]) if name != "without" else "" for what in ("score", "map")
            ]
            figures = percent(found[figure][0] for figure in (*FIGURES, "found"))
            worst = percent([found["worst_image_auroc_change"]])[0] if name != "without" else ""
            lines.append([run["category"], words, *changed, *figures, worst])
    columns = ["set", "weights chosen by", "score changed", "map changed", "I-AUROC", "P-AUROC", "PRO"]
    return markdown_table([*columns, "found %", "worst change of I-AUROC"], lines, left=2)


def challenge() -> str:
    """Versions of fewer steps at the gate of a challenge set."""
    lines = []
    for document in (result("upkeep_challenge"), result("upkeep_challenge_screw")):
        for name, row in document["figures"].items():
            gate = "" if name == "in use" else "refused" if row["refused"] else "accepted"
            found = f"{row['found']} of {row['total']}"
            figures = [f"{row['threshold']:.4f}", f"{row['lowest_margin']:+.4f}"]
            lines.append([document["settings"]["category"], name, gate, found, *figures])
    return markdown_table(["set", "version", "gate", "found", "threshold", "lowest margin"], lines, left=3)


def collected() -> str:
    """What became of good parts and of each kind of fault, on streams with faults at random places."""
    lines = []
    for category, kinds in result("upkeep_collect")["figures"].items():
        for kind, counts in kinds.items():
            lines.append([category, kind, str(sum(counts.values())), *map(str, counts.values())])
    columns = [
        "images",
        "kind",
        "shots",
        "refused",
        "kept with a mark, or named at the end",
        "kept unnoticed",
    ]
    return markdown_table(columns, lines, left=2)


def archive_cost() -> str:
    """What an archive adds to a run."""
    lines = []
    for row in result("archive_cost")["figures"]["cost"]:
        without, with_it = row["processor_ms_per_frame_without_and_with"]
        lines.append(
            [
                f"{row['fps']}",
                f"{row['frames_measured']}",
                f"{row['kept']}, {row['lost']}",
                f"{row['added_us_mean'] / 1000:.3f}",
                f"{row['added_us_p99'] / 1000:.3f}",
                f"{row['latency_ratio']['p50']:.2f}, {row['latency_ratio']['p99']:.2f}",
                f"{with_it - without:.2f}",
            ]
        )
    columns = [
        "frames/s",
        "frames",
        "kept, lost",
        "added per frame, ms",
        "p99",
        "latency with / without: p50, p99",
        "processor per frame, ms",
    ]
    return markdown_table(columns, lines, left=0)


def archive_kept() -> str:
    """Memory, sample and kills."""
    figures = result("archive_cost")["figures"]
    memory, sample, killed = figures["memory"], figures["sample"], figures["killed"]
    limit = f"{memory['size_mb']:.1f} of {memory['limit_mb']:.0f} MB"
    lines = [
        [
            f"memory over {memory['frames']:,} frames",
            f"{memory['growth_mib']:+.1f} MiB from the first fifth to the end, at "
            f"{memory['resident_mib_at_the_end']:.0f} MiB; archive {limit}, {memory['deleted']} deleted",
        ],
        [
            f"sample of {sample['rate']:.0%}, {sample['seeds']} seeds of {sample['draws']:,} frames",
            f"{sample['within_two']} within two standard deviations, the largest "
            f"{sample['deviations_largest']:.1f}; their spread is {sample['deviations_spread']:.2f}",
        ],
        [
            f"{killed['kills']} kills (SIGKILL)",
            f"{killed['records_read']} records read, {killed['damaged']} damaged; "
            f"{killed['strays_removed']} unfinished files removed by the next start",
        ],
    ]
    return markdown_table(["", ""], lines, left=2)


UPKEEP: dict[str, Callable[[], str]] = {
    "band": band,
    "known-bad": known_bad,
    "challenge": challenge,
    "collect": collected,
    "archive_cost": archive_cost,
    "archive_kept": archive_kept,
}
