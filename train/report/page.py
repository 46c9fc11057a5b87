"""The report's page: one HTML file with everything in it. The templates lay it out, this fills them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from dmdd_edge.data.images import read_image, resize
from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.metrics import FIGURES
from dmdd_edge.evaluation.paper import paper_row_beside
from dmdd_edge.storage import make_folder, write_atomically
from dmdd_edge.train.report.cases import Figure, choose, data_uri, figure
from dmdd_edge.train.report.charts import NARROW, pro_chart, roc_chart, score_chart
from dmdd_edge.train.report.content import Content
from dmdd_edge.train.report.curves import image_ranking, pixel_rankings
from dmdd_edge.train.report.rendering import render
from dmdd_edge.train.report.words import flattened, percent

if TYPE_CHECKING:
    from dmdd_edge.train.checkpoint import Run

_THUMBNAIL = 128


def page(content: Content) -> str:
    """The whole page."""
    metrics, run = content.metrics, content.run
    subject = f"Bundle {metrics['version']}" if run is None else f"Run {run.folder.name}"
    pixel_level = content.levels[1]
    values = {
        "title": f"{metrics['category']}: report",
        "category": metrics["category"],
        "about": f"{metrics['backbone']}, {metrics['image_size']} px, {metrics['steps']} steps, "
        f"recipe {metrics['recipe']}, seed {metrics['seed']}. {subject}, report of {content.created}.",
        "damage": content.damage,
        **_figures(content),
        "charts": _charts(content),
        "defects": _defects(content),
        "cases": _cases(content),
        "pixel_level": pixel_level,
        "red_level": min(2 * pixel_level, 1.0),
        "outliers": _outliers(None if run is None else run.info.get("outliers")),
        "run": None if run is None else _run_facts(run),
        "timings": [] if run is None else _timings(run, content),
        "configuration": [] if run is None else flattened(run.config.model_dump(mode="json")),
        "skipped": _skipped(content, [] if run is None else run.info.get("skipped", [])),
    }
    return render("report.html", values)


def write_page(path: Path, name: str, content: Content) -> Path:
    """Write the page; its folder is created if needed.

    Args:
        path: the HTML file, or a folder for it.
        name: of the file within a folder, without its suffix.
        content: what the page shows.

    Returns:
        the file.

    Raises:
        DmddError: the file cannot be written.
    """
    file = path / f"{name}.html" if path.is_dir() or not path.suffix else path
    make_folder(file.parent)
    write_atomically(file, page(content))
    return file


def _figures(content: Content) -> dict[str, Any]:
    """The cards, the line on the threshold and the table of all figures."""
    metrics = content.metrics
    row = None if content.damage else paper_row_beside(metrics)
    paper = {} if row is None else {key: getattr(row, key) for _, key in FIGURES[:3]}
    cards = []
    outcome = content.outcome
    if outcome is not None:  # what a user asks comes first
        alarms, good, detected, defective = outcome
        found = f"{'damaged images' if content.damage else 'defects'} found"
        note = f"{found}; {alarms} of {good} good parts rejected"
        cards.append({"name": "at the threshold", "value": f"{detected} of {defective}", "note": note})
    for name, key in FIGURES[:3]:
        reference, note = paper.get(key), ""
        if reference is not None:
            note = f"the paper {percent(reference)}"
            if metrics[key] is not None:
                note += f" ({100 * (metrics[key] - reference):+.2f})"
        cards.append({"name": f"{name}, %", "value": percent(metrics[key]), "note": note})
    rows = [["this run", *(percent(metrics[key]) for _, key in FIGURES)]]
    if row is not None:
        rows.append(["the paper, Wide-ResNet50-2", *(percent(paper.get(key)) for _, key in FIGURES)])
    threshold = ""
    if content.threshold is not None:
        text = content.threshold.describe().replace(" %", "\N{NO-BREAK SPACE}%")
        threshold = text[0].upper() + text[1:]
    head = ["in percent", *(name for name, _ in FIGURES)]
    return {"cards": cards, "threshold": threshold, "figures": {"head": head, "rows": rows}}


def _charts(content: Content) -> dict[str, Markup]:
    pixels, regions = pixel_rankings(content.test, content.evaluation)
    outcome, rates = content.outcome, None
    if outcome is not None and outcome[1] and outcome[3]:
        rates = (outcome[0] / outcome[1], outcome[2] / outcome[3])
    images = image_ranking(content.evaluation.scores, content.test.labels)
    level = None if content.threshold is None else content.threshold.image
    charts = {
        "roc": roc_chart(images, pixels, rates),
        "pro": pro_chart(regions),
        "scores_broad": score_chart(content.groups, level),
        "scores_narrow": score_chart(content.groups, level, NARROW),
    }
    return {name: Markup(svg) for name, svg in charts.items()}


def _defects(content: Content) -> dict[str, Any]:
    columns, rows = FIGURES[:3], []
    above = content.evaluation.scores > content.levels[0]
    for name, values in content.metrics["per_defect"].items():
        of_type = [i for i, defect in enumerate(content.test.defects) if defect == name]
        detected = "–" if content.threshold is None else str(int(above[of_type].sum()))
        rows.append([name, values["images"], detected, *(percent(values[key]) for _, key in columns)])
    return {"head": ["defect type", "images", "found", *(f"{name}, %" for name, _ in columns)], "rows": rows}


def _cases(content: Content) -> list[dict[str, Any]]:
    image_level, pixel_level = content.levels
    choice = choose(content.test, content.evaluation, image_level)
    level = None if content.threshold is None else image_level
    groups = (
        (
            "Worst cases",
            "Furthest on the wrong side of the threshold first, then the nearest.",
            choice.worst,
        ),
        ("Defect in the wrong place", "Maps that rank the true defect's pixels lowest.", choice.misplaced),
        ("Clearest cases", "The clearest of each kind, found or not.", choice.best),
    )
    total = sum(len(indices) for _, _, indices in groups)
    cases: list[dict[str, Any]] = []
    done = 0
    content.progress(done, total)
    for heading, note, indices in groups:
        figures = []
        for index in indices:
            figures.append(figure(content.test, content.evaluation, index, level, pixel_level))
            done += 1
            content.progress(done, total)
        cases.append({"heading": heading, "note": note, "figures": figures})
    return cases


def _outliers(outliers: dict[str, Any] | None) -> dict[str, Any]:
    """The training images furthest out of place; those that the training warned of are marked."""
    if not outliers:
        return {"figures": [], "limit": 0.0, "above": 0}
    figures = []
    for item in outliers["furthest"]:
        path = Path(item["file"])
        try:
            source = data_uri(resize(read_image(path), _THUMBNAIL))
        except DmddError:  # the image is no longer there
            source = ""
        caption = f"{item['z']:.1f} times the usual spread from the others"
        figures.append(Figure(source, path.name, path.name, caption, item["z"] > outliers["limit"]))
    return {"figures": figures, "limit": outliers["limit"], "above": len(outliers["images"])}


def _timings(run: Run, content: Content) -> list[tuple[str, str]]:
    info = run.info
    return [
        ("training in total", f"{info['train_seconds']:.0f} s"),
        *((name, f"{seconds:.1f} s") for name, seconds in info.get("seconds", {}).items()),
        (f"one image, torch on {content.device}", f"{content.single_ms:.1f} ms"),
    ]


def _run_facts(run: Run) -> list[tuple[str, Any]]:
    from dmdd_edge.train.scales import describe_choice  # needs torch, as a run does and a bundle does not

    info = run.info
    choice = info.get("map_weights")
    return [
        ("training images", len(info["train"])),
        ("held out for the threshold", len(info["holdout"])),
        ("layout", info.get("layout", "–")),
        ("images rotated", _answer(info.get("alignment", {}), "aligned")),
        ("images made equally bright", _answer(info.get("brightness", {}), "changed")),
        ("foreground by", info.get("foreground", {}).get("method", "–")),
        *([] if choice is None else [("weights of the map", describe_choice(choice))]),
        ("trained parameters", f"{info.get('parameters', 0):,}"),
        ("device", info.get("device", "–")),
        ("half precision", info.get("amp", "–")),
        *((f"version of {name}", version) for name, version in info.get("created_with", {}).items()),
    ]


def _answer(found: Mapping[str, Any], done: str) -> str:
    """Whether something is done to the images; runs before there was a choice do not."""
    return "yes" if found.get(done) else f"no: {found['reason']}" if "reason" in found else "no"


def _skipped(content: Content, in_training: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """The files that could not be used, with the reason: of the test images first, then of training."""
    test = [(str(path), reason) for path, reason in content.skipped]
    training = [(path, reason) for path, reason in in_training]
    return [*test, *(item for item in training if item not in test)]
