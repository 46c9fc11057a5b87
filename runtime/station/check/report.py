"""What ``station check`` found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.doctor.findings import Finding


@dataclass(frozen=True)
class StationReport:
    """All findings about a station.

    Attributes:
        path: of its file.
        findings: in the order of display.
        remarks: what the file leaves open or has without effect, a sentence each.
    """

    path: Path
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()

    @property
    def broken(self) -> list[Finding]:
        """The findings of what does not work."""
        return [finding for finding in self.findings if finding.state != "ok"]

    def to_json(self) -> dict[str, Any]:
        """The output of ``station check --json``: path, healthy, broken, findings, remarks."""
        return {
            "path": str(self.path),
            "healthy": not self.broken,
            "broken": [finding.name for finding in self.broken],
            "findings": [
                {"group": finding.group, **asdict(finding), "facts": dict(finding.facts)}
                for finding in self.findings
            ],
            "remarks": list(self.remarks),
        }


def failed(
    name: str, title: str, error: DmddError, place: str, facts: Mapping[str, Any] | None = None
) -> Finding:
    """What does not work; the fact ``place`` is where the file names it.

    Args:
        name: of the part, see ``Finding``.
        title: of the part.
        error: why.
        place: in the file.
        facts: for programs.
    """
    return Finding(
        name,
        title,
        "broken",
        error.message,
        fix=error.fix,
        facts={**(facts or {}), "place": place},
    )
