"""The report's page: one HTML file with everything in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.data.images import read_image, resize
from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.metrics import FIGURES
from dmdd_edge.evaluation.paper import paper_row_beside
from dmdd_edge.storage import make_folder, write_atomically
from dmdd_edge.train.report.cases import choose, figure, picture
from dmdd_edge.train.report.charts import NARROW, pro_chart, roc_chart, score_chart
from dmdd_edge.train.report.content import Content
from dmdd_edge.train.report.curves import image_ranking, pixel_rankings
from dmdd_edge.train.report.style import STYLE
from dmdd_edge.train.report.words import clean, facts, flattened, percent, table

if TYPE_CHECKING:
    from dmdd_edge.train.checkpoint import Run

#: Stands above every figure that comes from made damage.
DAMAGE = (
    "There are no test images. Every figure and picture below comes from damage made on good images that "
    "were held out from training: it shows what the detector reacts to, not how many real defects it finds."
)
_THUMBNAIL = 128


def page(content: Content) -> str:
    """The whole page."""
    metrics = content.metrics
    name = clean(metrics["category"])
    run = content.run
    what = f"Bundle {metrics['version']}" if run is None else f"Run {run.folder.name}"
    about = (
        f"{metrics['backbone']}, {metrics['image_size']} px, {metrics['steps']} steps, "
        f"recipe {metrics['recipe']}, seed {metrics['seed']}. "
        f"{what}, report of {content.made}."
    )
    sections = [
        f'<section><p class="note"><b>{clean(DAMAGE)}</b></p></section>' if content.damage else "",
        _figures(content),
        _charts(content),
        _defects(content),
        _cases(content),
        *([] if run is None else [_outliers(run.info.get("outliers")), _timings(run, content)]),
        _skipped(content) if run is None else _configuration(run, content),
    ]
    return document(
        f"{metrics['category']}: report",
        f'<header><h1>{name}</h1><p class="soft">{clean(about)}</p></header>{"".join(sections)}',
    )


def write_page(path: Path, name: str, content: Content) -> Path:
    """Write the page; its folder is made if need be.

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


def document(title: str, body: str) -> str:
    """A page around a body of HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{clean(title)}</title><style>{STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{clean(heading)}</h2>{body}</section>\n" if body else ""


def _figures(content: Content) -> str:
    metrics = content.metrics
    row = None if content.damage else paper_row_beside(metrics)
    paper = {} if row is None else {key: getattr(row, key) for _, key in FIGURES[:3]}
    cards = []
    for shown, key in FIGURES[:3]:
        beside = paper.get(key)
        words = "" if beside is None else f"the paper {percent(beside)}"
        if beside is not None and metrics[key] is not None:
            words += f" ({100 * (metrics[key] - beside):+.2f})"
        cards.append(f'<div class="card">{shown}, %<b>{percent(metrics[key])}</b><span>{words}</span></div>')
    outcome = content.outcome
    if outcome is not None:  # what a user asks comes first
        alarms, good, caught, bad = outcome
        cards.insert(
            0,
            f'<div class="card">at the threshold<b>{caught} of {bad}</b>'
            f"<span>{'made damages' if content.damage else 'defects'} found; "
            f"{alarms} of {good} good parts rejected</span></div>",
        )
    said = ""
    if content.threshold is not None:
        words = clean(content.threshold.describe()).replace(" %", "&nbsp;%")
        said = f"<p>{words[0].upper()}{words[1:]}</p>"
    rows = [["this run", *(percent(metrics[key]) for _, key in FIGURES)]]
    if row is not None:
        rows.append(["the paper, Wide-ResNet50-2", *(percent(paper.get(key)) for _, key in FIGURES)])
    whole = table(["in percent", *(shown for shown, _ in FIGURES)], rows, strong=1)
    return f'<section><div class="cards">{"".join(cards)}</div>{said}{whole}</section>\n'


def _charts(content: Content) -> str:
    pixels, regions = pixel_rankings(content.test, content.found.maps)
    outcome, rates = content.outcome, None
    if outcome is not None and outcome[1] and outcome[3]:
        rates = (outcome[0] / outcome[1], outcome[2] / outcome[3])
    images = image_ranking(content.found.scores, content.test.labels)
    level = None if content.threshold is None else content.threshold.image
    drawn = (
        f'<figure class="chart">{roc_chart(images, pixels, rates)}</figure>'
        f'<figure class="chart">{pro_chart(regions)}</figure>'
        f'<figure class="chart wide"><div class="broad">{score_chart(content.groups, level)}</div>'
        f'<div class="narrow">{score_chart(content.groups, level, NARROW)}</div>'
        "<figcaption><span>Each strip is drawn to its own height.</span></figcaption></figure>"
    )
    return _section("Curves and scores", f'<div class="charts">{drawn}</div>')


def _defects(content: Content) -> str:
    columns, rows = FIGURES[:3], []
    above = content.found.scores > content.levels[0]
    for name, values in content.metrics["per_defect"].items():
        chosen = [i for i, defect in enumerate(content.test.defects) if defect == name]
        found = "–" if content.threshold is None else str(int(above[chosen].sum()))
        rows.append([name, values["images"], found, *(percent(values[key]) for _, key in columns)])
    head = ["defect type", "images", "found", *(f"{shown}, %" for shown, _ in columns)]
    note = '<p class="soft">Each type against all good test images.</p>'
    heading = "By kind of made damage" if content.damage else "By defect type"
    return _section(heading, table(head, rows) + note) if rows else ""


def _cases(content: Content) -> str:
    image_level, pixel_level = content.levels
    chosen = choose(content.test, content.found, image_level)
    level = None if content.threshold is None else image_level
    top = min(2 * pixel_level, 1.0)
    legend = (
        f'<p class="soft">Left the image, the true defect outlined; right its map: yellow at the map\'s '
        f"threshold {pixel_level:.4f}, red from {top:.4f}. The colours are the same in every picture.</p>"
    )
    parts: list[str] = []
    for heading, note, indices in (
        ("Worst cases", "Deepest on the wrong side of the threshold, or nearest to it, first.", chosen.worst),
        ("Defect in the wrong place", "Maps that rank the true defect's pixels lowest.", chosen.misplaced),
        ("Best cases", "The clearest of each kind.", chosen.best),
    ):
        shown = (figure(content.test, content.found, index, level, pixel_level) for index in indices)
        body = f'<p class="soft">{note}</p><div class="cases">{"".join(shown)}</div>'
        parts.append(_section(heading, (legend if not parts else "") + body) if indices else "")
    return "".join(parts)


def _outliers(found: dict[str, Any] | None) -> str:
    """The training images furthest out of place, those that the training warned of in colour."""
    items = [] if not found else found["furthest"]
    if not found or not items:
        return ""
    shown = []
    for item in items:
        path = Path(item["file"])
        try:
            source = f'<img src="{picture(resize(read_image(path), _THUMBNAIL))}" alt="{clean(path.name)}">'
        except DmddError:
            source = ""
        words = f"{item['z']:.1f} spreads above the middle"
        caption = f"<b>{clean(path.name)}</b><span>{clean(words)}</span>"
        kind = ' class="wrong"' if item["z"] > found["limit"] else ""
        shown.append(f"<figure{kind}>{source}<figcaption>{caption}</figcaption></figure>")
    note = (
        "A defective part among the good ones teaches that its defect is good. "
        f"Further out than {found['limit']:.1f}, where the warning begins: {len(found['images'])}."
    )
    body = f'<p class="soft">{clean(note)}</p><div class="cases thumbs">{"".join(shown)}</div>'
    return _section("Training images furthest out of place", body)


def _timings(run: Run, content: Content) -> str:
    info = run.info
    pairs = [("training in all", f"{info['train_seconds']:.0f} s")]
    pairs += [(name, f"{seconds:.1f} s") for name, seconds in info.get("seconds", {}).items()]
    pairs.append((f"one image, torch on {content.device}", f"{content.single_ms:.1f} ms"))
    note = '<p class="soft">The exported graph is timed by <code>dmdd-edge bench</code>.</p>'
    return _section("Timings", facts(pairs) + note)


def _configuration(run: Run, content: Content) -> str:
    from dmdd_edge.train.scales import describe_choice  # needs torch, as a run does and a bundle does not

    info = run.info
    choice = info.get("map_weights")
    about = [
        ("images learnt from", len(info["train"])),
        ("held out for the threshold", len(info["holdout"])),
        ("layout", info.get("layout", "–")),
        ("foreground by", info.get("foreground", {}).get("method", "–")),
        *([] if choice is None else [("weights of the map", describe_choice(choice))]),
        ("trained parameters", f"{info.get('parameters', 0):,}"),
        ("device", info.get("device", "–")),
        ("half precision", info.get("amp", "–")),
        *((f"version of {name}", version) for name, version in info.get("created_with", {}).items()),
    ]
    body = facts(about)
    body += _section("Configuration", facts(flattened(run.config.model_dump(mode="json"))))
    body += _skipped(content, info.get("skipped", []))
    return _section("Run and versions", body)


def _skipped(content: Content, before: Sequence[tuple[str, str]] = ()) -> str:
    """The files that could not be used: of the test images, and those of training given."""
    skipped = [(str(path), reason) for path, reason in content.skipped]
    skipped += [(path, reason) for path, reason in before if (path, reason) not in skipped]
    lines = "".join(f"<li>{clean(path)}: {clean(reason)}</li>" for path, reason in skipped)
    return _section("Files that were skipped", f'<ul class="plain">{lines}</ul>') if skipped else ""
