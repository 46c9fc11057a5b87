"""The result of an examination: findings, and conclusions from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

#: ``ok`` works; ``missing`` is not installed or not connected; ``broken`` is there but does not work.
State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One examined part.

    Attributes:
        name: stable, for programs: its group, a dot, and the part.
        title: its name for a person.
        state: see ``State``.
        detail: the facts, for a person.
        needed_for: what does not work without it.
        fix: the command that installs or repairs it, or an instruction where no command does.
        facts: the facts, for programs.
    """

    name: str
    title: str
    state: State
    detail: str = ""
    needed_for: str = ""
    fix: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Report:
    """All findings.

    Attributes:
        version: of dmdd-edge.
        findings: in the order of display.
    """

    version: str
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> list[Finding]:
        """The findings of what is there but does not work."""
        return [finding for finding in self.findings if finding.state == "broken"]

    @property
    def bundles(self) -> list[Finding]:
        """The findings of bundles."""
        return [finding for finding in self.findings if finding.group == "bundles" and finding.facts]

    @property
    def can_run(self) -> bool:
        """Whether a bundle runs on this machine; without a bundle, whether any backend works."""
        if self.bundles:
            return any(finding.state == "ok" for finding in self.bundles)
        return bool(self.backends)

    @property
    def backends(self) -> list[str]:
        """The backends that work as far as is known without a bundle, as ``--backend`` names them."""
        states = {finding.name: finding.state == "ok" for finding in self.findings}
        cuda = states.get("gpu.cuda", False)
        working = {
            "tensorrt": cuda and states.get("engines.tensorrt", False),
            "rtx": cuda and states.get("engines.rtx", False),
            "cuda": states.get("onnxruntime.cuda", False),
            "cpu": states.get("onnxruntime.cpu", False),
        }
        return [name for name, works in working.items() if works]

    @property
    def healthy(self) -> bool:
        """Whether a bundle can run and no part is broken."""
        return self.can_run and not self.broken

    def to_json(self) -> dict[str, Any]:
        """The output of ``doctor --json``: version, healthy, can_run, backends, broken, findings."""
        return {
            "version": self.version,
            "healthy": self.healthy,
            "can_run": self.can_run,
            "backends": self.backends,
            "broken": [finding.name for finding in self.broken],
            "findings": [
                {"group": finding.group, **asdict(finding), "facts": dict(finding.facts)}
                for finding in self.findings
            ],
        }
