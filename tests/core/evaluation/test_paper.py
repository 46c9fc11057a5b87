"""The paper's rows must average to what the paper prints for each data set."""

from __future__ import annotations

import pytest

from dmdd_edge.evaluation.paper import paper_row, paper_row_beside, paper_rows


@pytest.mark.parametrize(
    ("dataset", "count", "averages"),
    [
        # The paper prints these averages (MVTec AD: of its 15 rows), in per cent to two places.
        ("MVTec AD", 15, (99.40, 98.85, 96.13)),
        ("BTAD", 3, (None, 98.06, 80.28)),
        ("MPDD", 6, (98.10, 98.96, 97.66)),
    ],
)
def test_rows_average_to_the_printed_averages(dataset, count, averages):
    rows = paper_rows(dataset)
    assert len(rows) == count
    for name, average in zip(("image_auroc", "pixel_auroc", "pro"), averages, strict=True):
        values = [getattr(row, name) for row in rows]
        if average is None:
            assert values == [None] * count
        else:
            assert 100 * sum(values) / count == pytest.approx(average, abs=0.0101)


def test_row_of_a_category():
    row = paper_row("screw")
    assert row is not None
    assert (row.dataset, row.image_auroc, row.pixel_auroc, row.pro) == ("MVTec AD", 0.9619, 0.9932, 0.9732)
    assert paper_row("plate") is None


@pytest.mark.parametrize(
    ("layout", "shown"), [("mvtec", True), ("folder", False), ("folders", False), (None, True)]
)
def test_a_users_own_part_is_not_the_papers_category_of_that_name(layout, shown):
    metrics = (
        {"category": "bottle"} if layout is None else {"category": "bottle", "data_set": {"layout": layout}}
    )
    assert (paper_row_beside(metrics) is not None) == shown
