"""Damage to a zip archive that looks like one of the format's features."""

from __future__ import annotations

#: Offset in an entry's own header, in that of the directory, and the value: a flag of encryption, and a
#: method of compression that is unknown.
LIKE_A_FEATURE = ((6, 8, 1), (8, 10, 97))


def marked(content: bytes, local: int, central: int, value: int) -> bytes:
    """The archive with this value in every header."""
    changed = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        place = changed.find(mark)
        while place >= 0:
            changed[place + offset] = value
            place = changed.find(mark, place + 1)
    return bytes(changed)
