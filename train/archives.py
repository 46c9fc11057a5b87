"""What reading a missing or damaged .npz file raises.

zipfile raises RuntimeError for a flag of encryption, and a subclass of it for an unknown compression. A
flipped bit gives either.
"""

from __future__ import annotations

import zlib
from zipfile import BadZipFile

DAMAGED = (OSError, EOFError, KeyError, ValueError, RuntimeError, BadZipFile, zlib.error)
