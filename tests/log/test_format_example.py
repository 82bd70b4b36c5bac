"""The worked example of FORMAT.md: its bytes, read by hand as the page says, and by the reader."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import google_crc32c
import msgpack
import pytest

from edgerun.log import read

FORMAT = Path(__file__).parents[2] / "edgerun" / "log" / "FORMAT.md"


@pytest.fixture(scope="module")
def example() -> bytes:
    (block,) = re.findall(r"^```\n(.*?)^```", FORMAT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return b"".join(bytes.fromhex(line.split(maxsplit=1)[1]) for line in block.splitlines())


def test_the_header_is_what_the_table_says(example):
    magic, version, class_, zero, crc, epoch, row, boot, ids, begun = struct.unpack("<8sBBHIQQ16sQQ", example[:64])
    assert (magic, version, class_, zero) == (bytes.fromhex("894552 4C4F47 0D0A"), 1, 1, 0)
    assert (epoch, row, boot, ids, begun) == (14, 0, bytes(16), 13, 1_700_000_000_000_000)
    assert crc == 0xA6F1A732 == google_crc32c.value(example[:12] + example[16:64])


def test_the_frame_is_what_the_table_says(example):
    marker, stored, zero, length, crc = struct.unpack("<2sBBII", example[64:76])
    assert (marker, stored, zero, length) == (b"\xe5\x46", 0, 0, 70)
    place = struct.pack("<QQQ", 14, 0, 64)
    assert crc == 0xE7AF3781 == google_crc32c.value(place + example[66:72] + example[76:])
    assert len(example) == 76 + length


def test_the_payload_is_what_the_table_says(example):
    value = {"id": "000000000000000d-3", "value": 7}
    block = {0: 16, 1: 1, 3: 4_000_000, 11: [7, [value]]}
    expected = {0: 0, 1: 1, 2: [5_000_000, 1_700_000_000_000_000], 3: {}, 4: [block]}
    assert msgpack.unpackb(example[76:], strict_map_key=False) == expected
    assert msgpack.unpackb(example[116:], strict_map_key=False) == value
    assert example[101] == 0x84


def test_the_reader_finds_the_label_and_when_it_came(example, tmp_path):
    path = tmp_path / f"{14:016x}-{0:016x}.log"
    path.write_bytes(example)
    labels = read(path).labels
    assert labels["id"].tolist() == ["000000000000000d-3"]
    assert labels["value"].tolist() == [7]
    assert str(labels["time"][0]) == "2023-11-14T22:13:19.000000"
    assert read(path).recovery == (0, 0, (), ())
