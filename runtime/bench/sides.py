"""Former name of ``operands``."""

from dmdd_edge.runtime.bench.operands import Operand as Side
from dmdd_edge.runtime.bench.operands import parse_operand as parse_side

__all__ = ["Side", "parse_side"]
