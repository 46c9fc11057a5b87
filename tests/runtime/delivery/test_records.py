"""A spool's lines: written whole, recognized when torn."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from dmdd_edge.runtime.delivery.records import (
    count_lines,
    decode_record,
    encode_record,
    read_records,
)


def test_a_line_is_the_checksum_of_what_follows_it() -> None:
    # CRC-32 of "123456789" is cbf43926: the check value that every table of CRCs lists.
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert encode_record("12345", b"789") == b"%08x 12345 789\n" % zlib.crc32(b"12345 789")
    assert decode_record(b"cbf43926 1234 6789\n") is None
    assert decode_record(encode_record("a-1", b'{"x": 1}')) == ("a-1", b'{"x": 1}')


@pytest.mark.parametrize(("id", "body"), [("", b"{}"), ("a b", b"{}"), ("a\n", b"{}"), ("a", b"{\n}")])
def test_what_would_break_a_line_apart_is_not_written(id: str, body: bytes) -> None:
    with pytest.raises(ValueError, match="does not fit on a line"):
        encode_record(id, body)


def test_every_flipped_bit_and_every_cut_is_seen() -> None:
    line = encode_record("run-7", b'{"score": 0.25}')
    for index in range(len(line)):
        assert decode_record(line[:index]) is None
        for bit in range(8):
            spoiled = bytearray(line)
            spoiled[index] ^= 1 << bit
            assert decode_record(bytes(spoiled)) is None


def test_a_damaged_stretch_costs_the_lines_it_touches(tmp_path: Path) -> None:
    lines = [encode_record(f"run-{n}", b'{"n": %d}' % n) for n in range(5)]
    content = bytearray(b"".join(lines))
    middle = len(lines[0]) + len(lines[1])
    content[middle + 3 : middle + 6] = b"\0\0\0"
    path = tmp_path / "a"
    path.write_bytes(content)
    records = read_records(path, 0, len(content), 10)
    assert [record.id for record in records] == ["run-0", "run-1", "", "run-3", "run-4"]
    assert records[3].body == b'{"n": 3}'
    assert records[-1].end == len(content)


def test_reading_keeps_to_its_bounds(tmp_path: Path) -> None:
    lines = [encode_record(f"run-{n}", b"x" * 100) for n in range(5)]
    path = tmp_path / "a"
    path.write_bytes(b"".join(lines))
    size = len(lines[0])
    ids = [record.id for record in read_records(path, size, 3 * size, 10)]
    assert ids == ["run-1", "run-2"]
    assert len(read_records(path, 0, 5 * size, 2)) == 2
    assert len(read_records(path, 0, 5 * size, 10, most_bytes=size + 1)) == 2


def test_lines_are_counted_from_an_offset(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first\nsecond\n")
    assert count_lines(path) == 2
    assert count_lines(path, 6) == 1
