"""The paper's own results by category (arXiv 2408.03888), for printing beside ours. Ratios 0..1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PaperRow:
    """What the paper reports for a category; ratios 0..1, None where it reports nothing.

    Attributes:
        dataset: "MVTec AD", "BTAD" or "MPDD".
        image_auroc, pixel_auroc, pro: I-AUC, P-AUC and PRO (the paper does not state PRO's limit).
    """

    dataset: str
    category: str
    image_auroc: float | None
    pixel_auroc: float
    pro: float


#: Layouts of a user's own images (``Category.layout``): a part called bottle is not MVTec AD's bottle.
OWN_LAYOUTS = ("folder", "folders")

# category  I-AUC  P-AUC  PRO, in per cent as printed; - where not given
_TABLES = {
    "MVTec AD": """
        carpet      99.96 99.26 98.11
        grid        100   99.46 97.57
        leather     100   99.76 99.50
        tile        100   99.53 97.43
        wood        99.74 98.02 96.37
        bottle      100   98.99 97.07
        cable       98.43 97.97 92.10
        capsule     99.60 99.01 97.06
        hazelnut    99.93 99.28 96.92
        metal_nut   99.90 98.40 95.25
        pill        98.15 99.33 97.77
        screw       96.19 99.32 97.32
        toothbrush  100   99.41 95.81
        transistor  99.17 95.63 85.87
        zipper      99.87 99.41 97.77
    """,
    "BTAD": """
        01          -     96.95 79.92
        02          -     97.33 74.25
        03          -     99.89 86.67
    """,
    "MPDD": """
        bracket_black  95.74 98.57 97.18
        bracket_brown  98.94 97.31 96.11
        bracket_white  98.33 99.66 99.29
        connector      100   99.68 98.28
        metal_plate    100   99.08 96.51
        tubes          95.56 99.44 98.58
    """,
}


def paper_rows(dataset: str) -> list[PaperRow]:
    """The paper's rows for "MVTec AD", "BTAD" or "MPDD", in its order."""
    rows = []
    for line in _TABLES[dataset].strip().splitlines():
        category, *values = line.split()
        image, pixel, pro = (None if value == "-" else round(float(value) / 100, 6) for value in values)
        assert pixel is not None
        assert pro is not None
        rows.append(PaperRow(dataset, category, image, pixel, pro))
    return rows


def paper_row(category: str) -> PaperRow | None:
    """The paper's row for a category by its name, or None when the paper has no such category."""
    for dataset in _TABLES:
        for row in paper_rows(dataset):
            if row.category == category:
                return row
    return None


def paper_row_beside(metrics: Mapping[str, Any]) -> PaperRow | None:
    """The paper's row to print beside figures: None for a user's own folders, whatever their category's name.

    Args:
        metrics: the content of metrics.json.
    """
    layout = metrics.get("data_set", {}).get("layout")
    return None if layout in OWN_LAYOUTS else paper_row(metrics["category"])
