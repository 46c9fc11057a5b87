"""Options of commands: how they are declared, and the groups that several commands share."""

from __future__ import annotations

from dmdd_edge.options.model import Option, Options, Rule, UsageError, needs

__all__ = ["Option", "Options", "Rule", "UsageError", "needs"]
