"""Makes the vectors of bundles/FORMAT.md by hand: texts put together and hashed, without edgerun or a JSON writer.

``make_vectors.py`` writes the files again; with ``--check`` it fails where one differs.
"""

import hashlib
import struct
import sys
from pathlib import Path

HERE = Path(__file__).parent


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def fill(template, *values):
    """Put values where the template has an @, one after the other."""
    for value in values:
        template = template.replace("@", str(value), 1)
    return template


BUNDLE_JSON = (
    b'{"format":1,"name":"toy","version":"1.0.0+a","models":{"m":"models/m.onnx"},"route":"m","nodes":{},'
    b'"golden":"golden.json"}'
)
GOLDEN = b"[]\n"
MODEL = bytes(range(256)) * 3

FILES = [
    ("bundle.json", BUNDLE_JSON, "application/vnd.cncf.model.weight.config.v1.raw"),
    ("golden.json", GOLDEN, "application/vnd.cncf.model.dataset.v1.raw"),
    ("models/m.onnx", MODEL, "application/vnd.cncf.model.weight.v1.raw"),
]

config = (
    '{"config":{"format":"onnx"},"descriptor":{"name":"toy","version":"1.0.0+a"},"modelfs":{"diffIds":['
    + ",".join(fill('"@"', sha(data)) for _, data, _ in FILES)
    + '],"type":"layers"}}'
).encode()
layers = ",".join(
    fill(
        '{"annotations":{"org.cncf.model.filepath":"@"},"digest":"@","mediaType":"@","size":@}',
        path,
        sha(data),
        media_type,
        len(data),
    )
    for path, data, media_type in FILES
)
manifest = fill(
    '{"annotations":{"org.opencontainers.image.title":"toy","org.opencontainers.image.version":"1.0.0+a"},'
    '"artifactType":"application/vnd.cncf.model.manifest.v1+json",'
    '"config":{"digest":"@","mediaType":"application/vnd.cncf.model.config.v1+json","size":@},'
    '"layers":[@],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}',
    sha(config),
    len(config),
    layers,
).encode()
statement = b'{"_type":"https://in-toto.io/Statement/v1"}'
referrer = fill(
    '{"artifactType":"application/vnd.in-toto+json","config":{"digest":"@",'
    '"mediaType":"application/vnd.oci.empty.v1+json","size":2},"layers":[{"digest":"@",'
    '"mediaType":"application/vnd.in-toto+json","size":@}],'
    '"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2,"subject":{"digest":"@",'
    '"mediaType":"application/vnd.oci.image.manifest.v1+json","size":@}}',
    sha(b"{}"),
    sha(statement),
    len(statement),
    sha(manifest),
    len(manifest),
).encode()
index = fill(
    '{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"1.0.0+a"},'
    '"artifactType":"application/vnd.cncf.model.manifest.v1+json","digest":"@",'
    '"mediaType":"application/vnd.oci.image.manifest.v1+json","size":@},'
    '{"artifactType":"application/vnd.in-toto+json","digest":"@",'
    '"mediaType":"application/vnd.oci.image.manifest.v1+json","size":@}],'
    '"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}',
    sha(manifest),
    len(manifest),
    sha(referrer),
    len(referrer),
).encode()


def tar_header(name, size, kind, mode):
    """A ustar header: POSIX.1-1988, field by field."""

    def octal(value, width):
        return f"{value:0{width - 1}o}\0".encode()

    parts = [
        name.encode().ljust(100, b"\0"),
        octal(mode, 8),
        octal(0, 8),
        octal(0, 8),
        octal(size, 12),
        octal(0, 12),
        b" " * 8,
        kind,
        bytes(100),
        b"ustar\x0000",
        bytes(32),
        bytes(32),
        octal(0, 8),
        octal(0, 8),
        bytes(155),
        bytes(12),
    ]
    block = b"".join(parts)
    assert len(block) == 512
    return block[:148] + f"{sum(block):06o}\0 ".encode() + block[156:]


blobs = {
    sha(data)[7:]: data for data in (*(data for _, data, _ in FILES), config, manifest, referrer, statement, b"{}")
}
tar = tar_header("blobs/", 0, b"5", 0o755) + tar_header("blobs/sha256/", 0, b"5", 0o755)
for name, data in [
    *((f"blobs/sha256/{digits}", data) for digits, data in sorted(blobs.items())),
    ("index.json", index),
    ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
]:
    tar += tar_header(name, len(data), b"0", 0o644) + data + bytes(-len(data) % 512)
tar += bytes(1024)
tar += bytes(-len(tar) % 10240)


def msgpack(value):
    """A value as msgpack has it, of the few kinds that a profile needs."""
    if value is None or isinstance(value, bool):
        return bytes([0xC0 if value is None else 0xC2 + value])
    if isinstance(value, int):
        return bytes([value]) if value < 128 else b"\xcd" + value.to_bytes(2, "big")
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return bytes([0xC4, len(value)]) + value
    if isinstance(value, str):
        return bytes([0xA0 + len(value)]) + value.encode()
    if isinstance(value, list):
        return bytes([0x90 + len(value)]) + b"".join(map(msgpack, value))
    head = bytes([0x80 + len(value)]) if len(value) < 16 else b"\xde" + len(value).to_bytes(2, "big")
    return head + b"".join(msgpack(part) for pair in value.items() for part in pair)


def port(name, is_output, factor):
    """Of the rows 1, 1 and 2, all doubled where the factor is 2; the cell of 1 is 8128, and 64 make an octave."""
    head = {"name": name, "is_output": is_output, "type": 1, "columns": 1, "seen": 3, "unlike": 0}
    counts = {"count": 3, "missing": 0, "infinite": 0, "zero": 0, "unsketched": 0}
    floats = {"min": factor * 1.0, "max": factor * 2.0, "mean": factor * 4 / 3, "m2": factor**2 * 2 / 3}
    first = 8128 + 64 * (factor - 1)
    sketch = {
        "cells": 2,
        "cell": [0, first, bytes([0, 7]), bytes(1)],  # first + 0, first + 64: seven bits, of which six zeros are kept
        "weight": [0, 1, bytes([1, 0]), b""],  # 1 + 1, 1 + 0
    }
    return {**head, **counts, **floats, **sketch}


def summed_up(model, ports):
    """A profile that knows of no bundle, arm, node and time."""
    names = {"bundle": None, "version": None, "model": model, "arm": None, "node": None}
    return {**names, "begin": 0, "end": 0, "ports": ports}


profile = msgpack(
    {
        "format": 1,
        "rows": 3,
        "of": 5,
        "profiles": [summed_up(None, [port("x", False, 1)]), summed_up("m", [port("y", True, 2)])],
    }
)
# a zstd frame (RFC 8878): magic, one segment with its size in two bytes, and the last block, raw
frame = b"\x28\xb5\x2f\xfd\x60" + (len(profile) - 256).to_bytes(2, "little")
frame += (len(profile) << 3 | 1).to_bytes(3, "little") + profile

MADE = {
    "profile.bin": frame,
    "config.json": config,
    "manifest.json": manifest,
    "referrer.json": referrer,
    "index.json": index,
    "toy.tar": tar,
    "digests.txt": "".join(
        f"{sha(data)} {name}\n"
        for name, data in [
            ("config.json", config),
            ("manifest.json", manifest),
            ("referrer.json", referrer),
            ("toy.tar", tar),
            ("profile.bin", frame),
        ]
    ).encode(),
}

if __name__ == "__main__":
    for name, data in MADE.items():
        if "--check" not in sys.argv:
            (HERE / name).write_bytes(data)
        elif (HERE / name).read_bytes() != data:
            sys.exit(f"{name} differs")
