"""The tables of published figures, each made from benchmarks/results.

Accuracy is in percent, of the last training step; times are in the unit that a heading names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from results_files import FIGURES, both, measured, named, percent, result, study  # noqa: I001

from accuracy import experiments
from accuracy.declaration import Experiment
from common import markdown_table
from results_default_runs import (
    defaults,
    defects,
    nuisances,
    own_nuisances,
    readme_default,
    thresholds,
)
from results_int8 import INT8
from results_large import LARGE
from results_large_joining import LARGE_JOINING
from results_large_runtime import LARGE_RUNTIME
from results_station import station
from results_feedback import FEEDBACK
from results_deploy import DEPLOY
from results_fleet import FLEET
from results_upkeep import UPKEEP
from results_upkeep_continue import continued

from dmdd_edge.evaluation.paper import paper_row


def full() -> str:
    """The full runs beside the paper."""
    lines = []
    for run in experiments.FULL:
        row = study()[run.key]
        minutes = f"{run.steps} steps, {row['train_seconds'] / 60:.0f} min"
        good = row["images"]["train"] + row["images"]["holdout"]
        data = "MVTec AD" if run.data == "mvtec" else "PIPED"
        lines.append([f"{data} {run.category}", str(good), minutes, *measured(run)])
        if paper := paper_row(run.category):
            figures = percent(getattr(paper, name) for name in FIGURES)
            lines.append([f"the paper's {run.category}, wide_resnet50_2", "", "", *figures])
    columns = ["category", "good images", "training", "I-AUROC", "P-AUROC", "PRO"]
    return markdown_table(columns, lines, left=1)


def choice() -> str:
    """What each full run chose for its map, beside fixed weights and the plain sum."""
    lines = []
    for run, fixed in zip(experiments.FULL, experiments.FIXED, strict=True):
        chosen = study()[run.key]["map_weights"]
        weights = ", ".join(f"{weight:g}" for weight in chosen["stages"])
        cells = [measured(run), measured(fixed), measured(run, head="sum")]
        shown = [", ".join(figures[1:]) for figures in cells]
        lines.append([run.category, f"{weights}; {chosen['abnormality']:g}", *shown])
    columns = ["category", "stages 1 to 4; branch", "chosen", "fixed: 1, 1, 2, 0.5; 0.3", "plain sum"]
    return markdown_table(columns, lines, left=2)


def screen() -> str:
    """How the study came to the recipe."""
    rows = named(experiments.SCREEN)
    shown = [
        ("the recipe before the study", "recipe"),
        ("the AIM loss has a tenth of the NGM loss's weight", "aim 0.1"),
        ("and four in ten anomalies bend, stain or wear the part", "aim 0.1, damage"),
        ("not kept: no abnormality branch", "normality only"),
        ("not kept: learning rate 1e-3 instead of 2e-3", "lr 1e-3"),
        ("not kept: learning rate 4e-3 instead of 2e-3", "lr 4e-3"),
        ("not kept: 320 px (images of 256 px)", "320 px"),
    ]
    return markdown_table(
        ["difference", "validation", "test"], [[text, *both(rows[name])] for text, name in shown], left=1
    )


def knobs() -> str:
    """One change to the recipe."""
    rows = named(experiments.KNOBS)
    shown = [
        ("the student starts at random, not as the teacher", "random start"),
        ("BatchNorm learns", "free norm"),
        ("constant learning rate", "constant lr"),
        ("the AIM loss has the NGM loss's weight", "aim 1"),
        ("a cell is anomalous above a mask share of 0.5, not 0.3", "mask 0.5"),
        ("up to 0.95 of the image stays under a texture, not 0.8", "beta to 0.95"),
        ("DTD's textures, as in the full runs", "dtd textures"),
        ("foreign textures only", "foreign textures only"),
        ("the category's own textures only", "own textures only"),
        ("textures only, no damage to the part", "no damage"),
        ("anomalies anywhere, not on the part only", "no foreground"),
    ]
    seeds = [run for run in experiments.SEEDS if run.category == "screw"]
    first = ["none, three seeds"]
    for where in ("validation", "test"):
        pairs = [measured(run, where)[1:] for run in seeds]
        first.append(", ".join(f"{min(values)} to {max(values)}" for values in zip(*pairs, strict=True)))
    return markdown_table(
        ["change", "validation", "test"],
        [first, *([text, *both(rows[name])] for text, name in shown)],
        left=1,
    )


def heads() -> str:
    """Other heads over the networks of one training."""
    lines = [[run.label, *both(run)] for run in experiments.HEADS]
    return markdown_table(["head", "validation", "test"], lines, left=1)


def limit() -> str:
    """Other map weights over screw's full run, chosen with the test images known."""
    lines = [[run.label, *measured(run)] for run in experiments.LIMIT]
    return markdown_table(["stages 1 to 4; branch", "I-AUROC", "P-AUROC", "PRO"], lines, left=1)


def margin() -> str:
    """Anomalies beside the part."""
    lines = [[run.label, str(run.seed), *both(run), measured(run)[0]] for run in experiments.MARGIN]
    return markdown_table(["experiment", "seed", "validation", "test", "test I-AUROC"], lines, left=1)


def few() -> str:
    """Few good images, and defective ones among the good ones."""
    lines = []
    for run in [*experiments.FEW, *experiments.CONTAMINATION]:
        outliers = study()[run.key]["outliers"]
        good = len(outliers["named"]) - outliers["hits"]
        parts = [f"{outliers['hits']} of {outliers['defective']} defective"] if outliers["defective"] else []
        parts += [f"{good} good"] if good else []
        lines.append([run.label, *measured(run), ", ".join(parts)])
    columns = ["training images", "I-AUROC", "P-AUROC", "PRO", "named by the warning"]
    return markdown_table(columns, lines, left=1)


def ablation() -> str:
    """The paper's ablation rows with our recipe."""
    groups: dict[str, list[Experiment]] = {}
    for run in experiments.ABLATION:
        groups.setdefault(run.label, []).append(run)
    lines = []
    for label, runs in groups.items():
        paper = ", ".join(f"{value:.2f}" for value in runs[0].paper) if runs[0].paper else ""
        shown = label.replace("both, scaled", "both, our head")
        lines.append([shown, *(", ".join(measured(run)) for run in runs), paper])
    columns = ["row", "bottle, 150 steps", "screw, 150 steps", "the paper"]
    return markdown_table(columns, lines, left=1)


def seeds() -> str:
    """Spread over three seeds."""
    lines = []
    for category in ("bottle", "screw"):
        runs = [study()[run.key]["test"]["head"] for run in experiments.SPREAD if run.category == category]
        values = [[run[name] for run in runs] for name in FIGURES]
        cells = [[min(each), sum(each) / len(each), max(each)] for each in values]
        lines.append([category, *(", ".join(percent(cell)) for cell in cells)])
    return markdown_table(["smallest, mean, largest", "I-AUROC", "P-AUROC", "PRO"], lines, left=1)


def training_cost() -> str:
    """What a training step costs."""
    lines = []
    for name, row in result("training_cost")["figures"].items():
        minutes = row["minutes_of_default_training"]
        length = f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
        step = row["seconds_per_step"]["median"]
        lines.append(
            [name, f"{step:.{2 if step < 5 else 1}f} s", f"{row['peak_mib'] / 1024:.1f} GiB", length]
        )
    return markdown_table(["backbone", "step", "memory", "1200 steps"], lines, left=1)


def training_time() -> str:
    """How soon training on bottle reaches the paper's figures."""
    lines = []
    for form, rows in (("this version", "now"), ("first version", "first")):
        for row in result("training_time")["figures"]["bottle"][rows]:
            seconds = f"{row['train_seconds']:.0f} s"
            lines.append([form, str(row["steps"]), seconds, *percent(row[name] for name in FIGURES)])
    columns = ["bottle", "steps", "training, one core", "I-AUROC", "P-AUROC", "PRO"]
    return markdown_table(columns, lines, left=1)


def graph_cost() -> str:
    """One image through the fused graph."""
    first = result("first_form")["figures"]
    lines = []
    for name, row in result("graph_cost")["figures"].items():
        time = row["milliseconds"]["fused"]
        lines.append(
            [
                name,
                f"{time:.{1 if time < 100 else 0}f} ms",
                f"{row['ratio']:.2f}",
                f"{first[name]['ratio']:.2f}",
                f"{row['fused_megabytes']:.0f}",
            ]
        )
    columns = ["backbone", "time", "times teacher + student", "times the first version's graph", "file MB"]
    return markdown_table(columns, lines, left=1)


def parts() -> str:
    """Where the time of the fused graph goes."""
    rows = {name: row["parts_ms"]["fused"] for name, row in result("graph_cost")["figures"].items()}
    names = list(next(iter(rows.values())))
    lines = [[name, *(f"{row[part]:.2f}" for part in names)] for name, row in rows.items()]
    return markdown_table(["ms", *names], lines, left=1)


def session_options() -> str:
    """Options of an ONNX Runtime session on the CPU."""
    row = result("session_options")["figures"]["efficientnet_lite0"]
    lines = []
    for name, variant in row["variants"].items():
        ratio = f"{variant['ratio']:.3f} ({variant['low']:.3f} to {variant['high']:.3f})"
        unreliable = "unreliable" if variant["not_reliable_because"] else ""
        shown = name.replace("optimisation", "optimization")
        lines.append([shown, ratio, f"{variant['milliseconds']:.2f}", unreliable])
    return markdown_table(["option", "times the default's latency (95 %)", "ms", ""], lines, left=1)


def roofline() -> str:
    """How far each graph is from what the machine can do."""
    lines = []
    for name, row in result("roofline")["figures"]["backbones"].items():
        share, bound = row["share_of_product"]["value"], row["share_of_bound_by_node"]
        cells = [
            f"{row['gflop']:.1f}",
            f"{row['milliseconds']:.1f}",
            f"{100 * share:.0f} %",
            f"{100 * bound:.0f} %",
        ]
        lines.append([name, *cells])
    columns = ["backbone", "GFLOP", "ms", "of a matrix product's rate", "of the bound by node"]
    return markdown_table(columns, lines, left=1)


def run() -> str:
    """The run loop, the trainer and the lean install."""
    loop, memory = result("run_loop")["figures"], result("run_memory")["figures"]
    trainer, lean = result("train_throughput")["figures"], result("footprint")["figures"]
    opencv = next(size for name, size in lean["cpu"]["packages_mb"].items() if name.startswith("opencv"))
    frames = memory["frames"] + memory["dropped"]
    rate, overhead = loop["folder_frames_per_second"]["median"], loop["overhead_ms"]["median"]
    growth, minutes = memory["resident_mib"]["growth"], memory["minutes"]
    size, start = lean["cpu"]["site_packages_mb"], lean["cpu"]["help_seconds"]["median"]
    lines = [
        ["folder of screw's 256 px PNGs, end to end", f"{rate:.0f} frames/s"],
        ["the same, against bare calls of the graph", f"{loop['ratio']['median']:.2f} times the rate"],
        ["Python's share of a frame", f"{overhead:.1f} ms"],
        ["memory growth, camera five times faster than the graph", f"{growth:.1f} MiB in {minutes:.0f} min"],
        ["frames in that run", f"{frames}: {memory['frames']} inferred, {memory['dropped']} dropped"],
        ["trainer, against a straightforward loop", f"{trainer['ratio']['median']:.1f} times the images/s"],
        ["lean install `.[cpu]`", f"{size:.0f} MB, OpenCV {opencv:.0f} MB of it"],
        ["`dmdd-edge --help`, lean install", f"{start:.2f} s"],
    ]
    return markdown_table(["measure", "value"], lines, left=2)


def peers(category: str) -> str:
    """dmdd-edge and anomalib's models on one category."""
    figures = result("peers")["figures"][category]
    rows = [figures["own"], *sorted(figures["peers"].values(), key=lambda row: float(row["ratio"]))]
    lines = []
    for row in rows:
        accuracy = percent(row["accuracy"][name] for name in FIGURES) if row["accuracy"] else ["", "", ""]
        published = row["published_pixel_auroc"]
        ratio = "1"
        if row.get("ratio") is not None:
            unreliable = ", unreliable" if row["not_reliable_because"] else ""
            ratio = f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f}{unreliable})"
        training = "" if row["train_seconds"] is None else f"{row['train_seconds'] / 60:.1f}"
        lines.append(
            [
                row["shown"],
                *accuracy,
                "" if published is None else f"{100 * published:.1f}",
                f"{row['latency_ms']['p50']:.2f}",
                ratio,
                f"{row['peak_resident_mib']:.0f}",
                f"{row['file_bytes'] / 1e6:.1f}",
                training,
            ]
        )
    accuracy_columns = ["I-AUROC", "P-AUROC", "PRO", "published P-AUROC"]
    cost = ["p50 ms", "times as long (95 %)", "memory MiB", "file MB", "training min"]
    return markdown_table([category, *accuracy_columns, *cost], lines, left=1)


TABLES: dict[str, Callable[[], str]] = {
    "full": full,
    "defaults": defaults,
    "defects": defects,
    "nuisances": nuisances,
    "own-nuisances": own_nuisances,
    "thresholds": thresholds,
    "choice": choice,
    "screen": screen,
    "knobs": knobs,
    "heads": heads,
    "limit": limit,
    "margin": margin,
    "few": few,
    "readme-default": readme_default,
    "ablation": ablation,
    "seeds": seeds,
    "training-cost": training_cost,
    "training-time": training_time,
    "graph-cost": graph_cost,
    "parts": parts,
    "session-options": session_options,
    "roofline": roofline,
    "run": run,
    "station": station,
    "peers-screw": lambda: peers("screw"),
    "peers-bottle": lambda: peers("bottle"),
    **UPKEEP,
    **LARGE,
    **LARGE_JOINING,
    **LARGE_RUNTIME,
    **FEEDBACK,
    **DEPLOY,
    **INT8,
    **FLEET,
    "continued": continued,
}
