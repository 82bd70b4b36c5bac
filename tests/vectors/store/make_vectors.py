"""Makes the vectors of edgerun/store/FORMAT.md with struct, msgpack and google-crc32c; it shares no code with edgerun.

``make_vectors.py`` writes the file again; with ``--check`` it fails where that, or the example of FORMAT.md, differs.
"""

import json
import re
import struct
import sys
from pathlib import Path

import google_crc32c
import msgpack

HERE = Path(__file__).parent
FORMAT = HERE.parents[2] / "edgerun" / "store" / "FORMAT.md"


def digest(byte):
    return bytes([byte]) * 32


EMPTY = {
    "current": None,
    "previous": None,
    "candidate": None,
    "bad": [],
    "history": [],
    "metadata": 0,
    "root": None,
    "floors": {},
    "seen_s": 0,
}
FULL = {
    "current": digest(1),
    "previous": digest(2),
    "candidate": [digest(3), 2],
    "bad": [[digest(4), "3 starts without proof of health"], [digest(5), "zu viele Fehler: 31 %"]],
    "history": [
        [1_767_225_600, "activated", digest(2)],
        [1_767_225_660, "confirmed", digest(2)],
        [1_767_300_000, "activated", digest(4)],
        [1_767_300_300, "rejected", digest(4)],
        [1_767_400_000, "rolled_back", digest(5)],
    ],
    "metadata": 7,
    "root": digest(6),
    "floors": {"root": 1, "timestamp": 412, "snapshot": 398, "targets": 2, "bundle-cards": 40, "channel-stable": 377},
    "seen_s": 1_767_400_000,
}
EXAMPLE = {**EMPTY, "candidate": [digest(0xAB), 3], "history": [[1_767_225_600, "activated", digest(0xAB)]]}


def sector(generation, body, *, magic=b"ERSTATE1", length=None, change=None, tail=b""):
    raw = body if isinstance(body, bytes) else msgpack.packb(body)
    head = magic + struct.pack("<QI", generation, len(raw) if length is None else length)
    found = head + struct.pack("<I", google_crc32c.value(head + raw)) + raw
    found = bytearray((found + tail).ljust(4096, b"\0"))
    if change is not None:
        found[change] ^= 1
    return bytes(found)


def without(name):
    return {field: value for field, value in FULL.items() if field != name}


VALID = {
    "empty": sector(1, EMPTY),
    "full": sector(2**63 + 5, FULL),
    "example": sector(2, EXAMPLE),
}
INVALID = {
    "zeros": bytes(4096),
    "taken back": b"\xff" * 4096,
    "a bit of the body": sector(2, FULL, change=100),
    "a bit of the generation": sector(2, FULL, change=8),
    "a bit of the checksum": sector(2, FULL, change=20),
    "another magic": sector(2, FULL, magic=b"ERSTATE2"),
    "a byte after the body": sector(2, EMPTY, tail=b"\1"),
    "a length past the sector": sector(2, EMPTY, length=4073),
    "no msgpack": sector(2, b"\xc1"),
    "no map": sector(2, []),
    "more after the map": sector(2, msgpack.packb(EMPTY) + b"\0"),
    "a field is missing": sector(2, without("floors")),
    "a field too many": sector(2, {**FULL, "more": 1}),
    "a digest of 31 bytes": sector(2, {**FULL, "current": bytes(31)}),
    "a digest as text": sector(2, {**FULL, "current": "a" * 32}),
    "four starts": sector(2, {**FULL, "candidate": [digest(3), 4]}),
    "17 bad": sector(2, {**FULL, "bad": [[digest(4), "no"]] * 17}),
    "a reason of 65 bytes": sector(2, {**FULL, "bad": [[digest(4), "x" * 65]]}),
    "33 happenings": sector(2, {**FULL, "history": [[1, "activated", digest(4)]] * 33}),
    "something unknown happened": sector(2, {**FULL, "history": [[1, "exploded", digest(4)]]}),
    "17 floors": sector(2, {**FULL, "floors": {f"role-{number}": 1 for number in range(17)}}),
    "a floor that is no number": sector(2, {**FULL, "floors": {"root": True}}),
    "a number below 0": sector(2, {**FULL, "seen_s": -1}),
    "a number of 64 bits": sector(2, {**FULL, "seen_s": 2**63}),
}


def shown(value):
    """msgpack's values as JSON, bytes as hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [shown(item) for item in value]
    return {name: shown(item) for name, item in value.items()} if isinstance(value, dict) else value


def trimmed(raw):
    """The bytes up to the zeros at the end."""
    return raw.rstrip(b"\0").hex()


def example_lines():
    """The worked example as FORMAT.md prints it."""
    raw = VALID["example"][: 24 + len(msgpack.packb(EXAMPLE))]
    return "".join(f"{at:04x}  {raw[at : at + 24].hex(' ')}\n" for at in range(0, len(raw), 24))


vectors = {
    "valid": [
        {"name": name, "sector": trimmed(VALID[name]), "generation": generation, "body": shown(body)}
        for name, generation, body in (("empty", 1, EMPTY), ("full", 2**63 + 5, FULL), ("example", 2, EXAMPLE))
    ],
    "invalid": [{"name": name, "sector": trimmed(raw)} for name, raw in INVALID.items()],
}
content = json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"

if __name__ == "__main__":
    path = HERE / "sectors.json"
    if "--check" not in sys.argv:
        path.write_text(content, "utf-8")
        print(example_lines(), end="")
    elif path.read_text("utf-8") != content:
        sys.exit(f"{path} differs")
    elif example_lines() not in re.findall(r"^```\n(.*?)^```", FORMAT.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        sys.exit(f"the worked example of {FORMAT} differs")
