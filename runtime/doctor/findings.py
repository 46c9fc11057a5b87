"""What an examination comes to: findings, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

#: ``ok`` works; ``missing`` is not there; ``broken`` is there and does not work.
State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: stable, for programs: its group, a dot, and what it is.
        title: what a person calls it.
        state: how it stands.
        detail: what was found.
        needed_for: what cannot be done without it.
        fix: the command that gets or mends it, or what to do where no command does.
        facts: what was found, for programs.
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
    """Everything that was looked at.

    Attributes:
        version: of dmdd-edge.
        findings: in the order in which they are shown.
    """

    version: str
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> list[Finding]:
        """What is there and does not work."""
        return [finding for finding in self.findings if finding.state == "broken"]

    @property
    def bundles(self) -> list[Finding]:
        """The bundles that were found."""
        return [finding for finding in self.findings if finding.group == "bundles" and finding.facts]

    @property
    def can_run(self) -> bool:
        """Whether a bundle runs here; where there is none, whether a back end would run one."""
        if self.bundles:
            return any(finding.state == "ok" for finding in self.bundles)
        return bool(self.backends)

    @property
    def backends(self) -> list[str]:
        """The back ends that work as far as can be told without a bundle, as ``--backend`` names them."""
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
        """Whether a bundle can run and nothing that is there is broken."""
        return self.can_run and not self.broken

    def to_json(self) -> dict[str, Any]:
        """As ``doctor --json`` writes it: version, healthy, can_run, backends, broken, findings."""
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
