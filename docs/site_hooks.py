"""MkDocs hook: when the site is built, fill in the included examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

EXAMPLE = re.compile(r"<!-- example: ([\w.]+) -->")
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page."""
    return EXAMPLE.sub(lambda match: example(match[1]), markdown)


def example(name: str) -> str:
    """An example as a code block."""
    return f"```python\n{(EXAMPLES / name).read_text(encoding='utf-8')}```"
