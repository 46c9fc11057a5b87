"""A suspect part as the PLC sees it."""

from __future__ import annotations

from dmdd_edge.runtime.station.plc.signals import VERDICTS
from tests.runtime.station.plc.fakes import Bench


def test_a_suspect_part_has_its_bit_and_neither_passes_nor_fails() -> None:
    bench = Bench()
    seen = bench.part(1, "suspect")
    assert _lit(seen) & {"ResultValid", *VERDICTS, "InBand"} == {"ResultValid", "Suspect", "InBand"}
    bench.write(ResultAck=1)
    bench.write(ResultAck=0)
    assert not bench.outputs()["InBand"]
    assert _lit(bench.part(2, late=True)) & {*VERDICTS, "InBand"} == {"Suspect"}  # late is not in the band
    bench.write(ResultAck=1)
    bench.write(ResultAck=0)
    assert _lit(bench.part(3, "anomalous")) & {*VERDICTS, "InBand"} == {"Fail"}


def _lit(seen: dict[str, int]) -> set[str]:
    return {name for name, value in seen.items() if value == 1}
