"""Writes the golden vectors of the log's checksum and sketch; see README.md. Calls nothing of edgerun.

``python make_vectors.py`` writes the files again; with ``--check`` it fails where a file differs.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent

PUBLISHED = [
    ("RFC 3720 B.4: 32 bytes of zeroes", bytes(32), 0x8A9136AA),
    ("RFC 3720 B.4: 32 bytes of ones", b"\xff" * 32, 0x62A8AB43),
    ("RFC 3720 B.4: 32 bytes incrementing", bytes(range(32)), 0x46DD794E),
    ("RFC 3720 B.4: 32 bytes decrementing", bytes(range(31, -1, -1)), 0x113FDB5C),
    (
        "RFC 3720 B.4: an iSCSI SCSI Read (10) Command PDU",
        bytes.fromhex("01c00000000000000000000000000000140000000000040000000014000000182800000000000000")
        + bytes.fromhex("0200000000000000"),
        0xD9963A56,
    ),
    ("check value of the Castagnoli CRC", b"123456789", 0xE3069283),
    ("nothing", b"", 0),
]


def crc_rows() -> Iterator[tuple[str, str, str]]:
    """Published checksums, and those of random bytes by google-crc32c."""
    yield "case", "data", "crc32c"
    for case, data, crc in PUBLISHED:
        assert google_crc32c.value(data) == crc, case
        yield case, data.hex(), f"{crc:08x}"
    source = random.Random(3720)
    for length in [*range(1, 41), 63, 64, 65, 127, 128, 129, 255, 256, 257, 511]:
        data = source.randbytes(length)
        yield f"google-crc32c, {length} random bytes", data.hex(), f"{google_crc32c.value(data):08x}"


def files() -> Iterator[tuple[str, str]]:
    """The name and the text of every file."""
    for name, rows in [("crc32c.tsv", crc_rows())]:
        yield name, "".join("\t".join(row) + "\n" for row in rows)


def main() -> None:
    """Write every file, or check it."""
    for name, text in files():
        path = FOLDER / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is not what make_vectors.py writes")


if __name__ == "__main__":
    main()
