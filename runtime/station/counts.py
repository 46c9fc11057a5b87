"""What a station has counted: parts by what became of them, in all, by recipe and by inspection."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dmdd_edge.fields import Sparse
from dmdd_edge.runtime.station.model import InspectionResult, PartResult

#: A number of parts over all restarts.
_Many = Annotated[int, Field(ge=0, le=2**53)]


class PartCounts(Sparse):
    """Parts by what became of them.

    Attributes:
        parts: those that have a verdict: good, suspect, anomalous and unreliable ones.
        passed: those that are good and were in time.
        anomalous, unreliable: those with this verdict.
        late: those whose verdict came after the deadline, whatever it is.
        suspect: those with this verdict; not written while it is 0.
    """

    SPARSE = ("suspect",)

    model_config = ConfigDict(extra="forbid")

    parts: _Many = 0
    passed: _Many = 0
    anomalous: _Many = 0
    unreliable: _Many = 0
    late: _Many = 0
    suspect: _Many = 0

    def add(self, part: PartResult) -> None:
        """Count a part."""
        self.parts += 1
        self.passed += part.passed
        self.anomalous += part.status == "anomalous"
        self.unreliable += part.status == "unreliable"
        self.late += part.late
        self.suspect += part.status == "suspect"


class InspectionCounts(Sparse):
    """Results of an inspection.

    Attributes:
        good, anomalous, unreliable: those with this status.
        failed: how often nothing was judged.
        suspect: those with this status; not written while it is 0.
    """

    SPARSE = ("suspect",)

    model_config = ConfigDict(extra="forbid")

    good: _Many = 0
    anomalous: _Many = 0
    unreliable: _Many = 0
    failed: _Many = 0
    suspect: _Many = 0

    def add(self, inspection: InspectionResult) -> None:
        """Count a result."""
        name = "failed" if inspection.result is None else inspection.result.status
        setattr(self, name, getattr(self, name) + 1)


class Totals(PartCounts):
    """All parts.

    Attributes:
        missed: triggers that were not looked at.
    """

    missed: _Many = 0


class Counts(BaseModel):
    """All counts of a station, as its state file keeps them.

    Attributes:
        recipe: number of the recipe in force; 0 before the first.
        newest_id: acquisition id of the part that was counted last; 0 before the first.
        total: all parts.
        recipes: parts by the recipe's number.
        inspections: results by the inspection's name.
    """

    model_config = ConfigDict(extra="forbid")

    recipe: Annotated[int, Field(ge=0, le=65535)] = 0
    newest_id: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    total: Totals = Field(default_factory=Totals)
    recipes: dict[int, PartCounts] = Field(default_factory=dict)
    inspections: dict[str, InspectionCounts] = Field(default_factory=dict)

    def add(self, part: PartResult) -> None:
        """Count a part."""
        self.newest_id = part.trigger.acquisition_id
        self.total.add(part)
        self.recipes.setdefault(part.trigger.recipe, PartCounts()).add(part)
        for inspection in part.inspections:
            self.inspections.setdefault(inspection.name, InspectionCounts()).add(inspection)
