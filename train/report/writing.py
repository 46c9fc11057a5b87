"""Writing reports: one run's page, and the page that lists several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import torch

from dmdd_edge.storage import make_folder, write_atomically
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.evaluation import torch_predictor
from dmdd_edge.train.report.content import Content, now, time_single
from dmdd_edge.train.report.overview import Overview, overview_page
from dmdd_edge.train.report.page import write_page
from dmdd_edge.train.session import Measured


def write_report(
    path: Path,
    run: Run,
    measured: Measured,
    device: torch.device,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the page of a measured run; its folder is created if needed.

    Args:
        path: the HTML file, or a folder, in which it is named after the run.
        run: the run.
        measured: as ``session.evaluate_run`` gives it.
        device: where the run was measured; a single image is timed there.
        progress: called with the images of the page that are done and their count.

    Returns:
        the file.

    Raises:
        DmddError: the file cannot be written.
    """
    predict = torch_predictor(run.model, device)
    content = Content(
        run=run,
        metrics=measured.metrics,
        test=measured.test,
        evaluation=measured.evaluation,
        threshold=measured.threshold,
        skipped=measured.skipped,
        single_ms=time_single(predict, measured.test.images),
        device=str(device),
        damage=measured.damage,
        progress=progress,
    )
    return write_page(path, run.folder.name, content)


def write_overview(folder: Path, overview: Overview, pages: Mapping[str, Path]) -> Path:
    """Write index.html, the table over several runs, beside their pages.

    Args:
        folder: where it goes.
        overview: what was measured.
        pages: by the run's name: its page, in the same folder.
    """
    make_folder(folder)
    names = {run: quote(file.name) for run, file in pages.items()}
    write_atomically(folder / "index.html", overview_page(overview, names, now()))
    return folder / "index.html"
