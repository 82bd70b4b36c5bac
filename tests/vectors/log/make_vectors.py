"""Writes the golden vectors of the log's checksum and sketch; see README.md. Calls nothing of edgerun.

``python make_vectors.py`` writes the files again; with ``--check`` it fails where a file differs.
"""

from __future__ import annotations

import random
import struct
import sys
from fractions import Fraction
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


OCTAVES = range(-126, 128)
"""Exponents of the normal numbers of float32."""


def float32(number: float) -> Fraction | None:
    """The float32 nearest to a float64, exactly; None where it is too large."""
    try:
        (narrow,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        return None
    return Fraction(narrow)


def cell(number: float) -> tuple[str, str, str]:
    """The cell of a number and its exact borders, from powers of two alone: no bits are looked at."""
    rounded = float32(number)
    if rounded is None or abs(rounded) < Fraction(2) ** OCTAVES[0]:
        return "-", "-", "-"
    octave = next(e for e in OCTAVES if abs(rounded) < Fraction(2) ** (e + 1))
    unit = Fraction(2) ** octave / 64
    place = abs(rounded) // unit - 64
    low, high = (64 + place) * unit, (65 + place) * unit
    at = 64 * (octave + 127) + int(place)
    return (str(at), str(low), str(high)) if number > 0 else (str(-1 - at), str(-high), str(-low))


def cell_rows() -> Iterator[tuple[str, ...]]:
    """Numbers around every kind of border, and random ones of every octave and of none."""
    yield "number", "cell", "from", "to"
    source = random.Random(64)
    least, most = 2.0**-126, (2 - 2.0**-23) * 2.0**127
    numbers = [1.0, 1.5, 0.1, 1 / 3, 0.0, least, least * (1 - 2.0**-30), least * (1 - 2.0**-20), least / 2, 5e-324]
    numbers += [most, most * (1 + 2.0**-26), most * (1 + 2.0**-24), 2.0**128, 1e300, 65.0 / 64, 64.0 / 65]
    for e in [-126, -7, -1, 0, 1, 3, 50, 127]:
        for place in [0, 1, 31, 63]:
            border = (1 + place / 64) * 2.0**e
            numbers += [border, border * (1 - 2.0**-24), border * (1 - 2.0**-26), border * (1 + 2.0**-23)]
    numbers += [source.uniform(1, 2) * 2.0 ** source.uniform(-140, 140) for _ in range(600)]
    for number in numbers:
        for signed in [number, -number]:
            yield float.hex(signed), *cell(signed)


def files() -> Iterator[tuple[str, str]]:
    """The name and the text of every file."""
    for name, rows in [("crc32c.tsv", crc_rows()), ("cells.tsv", cell_rows())]:
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
