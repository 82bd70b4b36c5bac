"""Write the golden segments of the log, format version 1, as log_reference.py beside it packs them.

``make_segments.py`` writes the folders ``v1`` and ``v1-rounded`` again; ``make_segments.py --check`` writes nothing and
fails where a file, or the worked example in edgerun/log/FORMAT.md, is not what comes out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import log_reference as reference
import msgpack
from log_reference import Segment

HERE = Path(__file__).resolve().parent
FOLDER, ROUNDED = HERE / "v1", HERE / "v1-rounded"
FORMAT = HERE.parents[2] / "edgerun" / "log" / "FORMAT.md"

BOOT = bytes.fromhex("0f8fad5bd9cb469fa16570867728950e")
BEFORE_STEP, AFTER_STEP = 86_400_000_000, 1_763_900_000_000_000
"""The difference of the clocks, microseconds: at first the clock says 1970."""
FIRST, SECOND, JOURNAL, COARSE = 0xE1, 0xE2, 0xE3, 0xE4
"""Streams: processes of one boot measure, the first has a journal, and the last rounds."""

Rows = dict[str, list[dict[str, Any]]]


def stored_by_zstd(payload: bytes) -> bytes:
    """A zstd frame of one raw block, which every release of the library would write alike."""
    assert 256 <= len(payload) < 65792
    size = (len(payload) - 256).to_bytes(2, "little")
    return b"\x28\xb5\x2f\xfd\x60" + size + (len(payload) << 3 | 1).to_bytes(3, "little") + payload


def float32(value: float) -> int:
    return reference.order(value, "f")


def frame(segment: Segment, blocks: list[Any], monotonic: int, difference: int, sources: Any = None) -> None:
    rows = sum(block[1] for block in blocks)
    document = {0: segment.row, 1: rows, 2: [monotonic, monotonic + difference], 3: sources or {}, 4: blocks}
    payload = msgpack.packb(document)
    segment.row += rows
    if 256 <= len(payload) < 65792:
        segment.stored(stored_by_zstd(payload), 1)
    else:
        segment.stored(payload, 0)


def measurements(rows: Rows) -> dict[str, bytes]:
    """The first process: a sealed segment of all forms and codes, and an open one that a power cut ended."""
    champion = reference.source(outputs=["label", "score"])
    challenger = reference.source("challenger", "challenger", version="1.1.0", path=["split", "challenger"])
    watched = reference.source("challenger", None, assignment=None, path=["watch", "challenger"], node="watch")
    nobody = reference.source(None, "control", fallback="error")

    sealed = Segment(FIRST, 0, boot=BOOT, begun_us=BEFORE_STEP)
    times = [1_000_000, 1_100_002, 1_199_999, 1_300_001]
    latencies = [0, 2047, 2048, 123_456_789]
    units = [2**64 - 1, 0, 12345678901234567890, 7]
    scores = [0.25, -0.0, 1.5, float("inf")]
    kept = [rounded(latency) for latency in latencies]
    calls = reference.calls(
        times,
        [3, 1, 2, 4],
        latencies,
        source=reference.choice([0, 1, 0, 1]),
        unit=reference.up(units),
        flags=reference.down([0, 0, 0, 1]),
        outputs=[
            [1, 7, [reference.around([-5, 2**62, 0, 9])]],
            [1, 1, [reference.up([float32(score) for score in scores])]],
        ],
    )
    calls[3] = reference.line(times, 100_000 * 65536)
    frame(sealed, [calls], 1_400_000, BEFORE_STEP, {0: champion, 1: challenger})
    for i, sequence in enumerate([3, 1, 2, 4]):
        label, score = ("label.value", "score.value") if i % 2 == 0 else ("output_0.value", "output_1.value")
        rows["calls"].append(
            {
                "id": f"{FIRST:016x}-{sequence}",
                "row": i,
                "monotonic_us": times[i],
                "time_us": times[i] + AFTER_STEP,
                "clock_us": times[i] + BEFORE_STEP,
                "model": "challenger" if i % 2 else "champion",
                "version": "1.1.0" if i % 2 else "1.0.0",
                "path": "split > challenger" if i % 2 else "split > champion",
                "latency_ns": kept[i],
                "unit": units[i],
                "nonfinite": i == 3,
                label: [-5, 2**62, 0, 9][i],
                score: scores[i] if i < 3 else "inf",
            }
        )

    later = [2_000_000, 2_000_001]
    texts = [["Zürich", "日本"], ["", "日本"]]
    rich = reference.calls(
        later,
        [5, 6],
        [900, 901],
        place=reference.up([1, 3]),
        source=1,
        outputs=[
            [0, 1, []],
            [2, 1, [reference.up([1, 0]), reference.up([float32(0.75), float32(0.5)])]],
            [3, 11, [17, reference.order(-2.0), reference.order(3.5), reference.order(0.5)]],
            [4, 8, [reference.texts(column) for column in zip(*texts, strict=True)]],
            [5, 10, [reference.texts(["cat", "dog"]), reference.order(0.5, "e")]],
        ],
    )
    frame(
        sealed,
        [
            rich,
            reference.calls([2_000_000], [3], [5000], kind=2, source=2, flags=4, difference=0.5, place=0),
            reference.calls([2_000_002], [5], [5001], kind=2, source=2, flags=2, difference=None, place=2),
            {**reference.notes(3, [2_000_003], [{"error": "ModelError", "message": "it failed"}], 4), 4: 7, 5: 3},
            {
                **reference.notes(
                    4,
                    [2_000_004],
                    [
                        {
                            "probability": 0.01,
                            "inputs": {"x": {"dtype": "float32", "shape": [1, 2], "data": b"\0\0\x80?\0\0\0@"}},
                            "redacted": ["name"],
                        }
                    ],
                    5,
                ),
                4: 6,
                5: 1,
            },
        ],
        2_100_000,
        AFTER_STEP,
        {2: watched, 3: nobody},
    )
    for i, place in enumerate([1, 3]):
        rows["calls"].append(
            {
                "id": f"{FIRST:016x}-{5 + i}",
                "row": 4 + place,
                "monotonic_us": later[i],
                "time_us": later[i] + AFTER_STEP,
                "clock_us": later[i] + AFTER_STEP,
                "model": "challenger",
                "unit": None,
                "output_1.class": [1, 0][i],
                "output_1.confidence": [0.75, 0.5][i],
                "output_2.argmax": 17,
                "output_2.min": -2.0,
                "output_2.max": 3.5,
                "output_2.mean": 0.5,
                "output_3.text_0": texts[i][0],
                "output_3.text_1": texts[i][1],
                "output_4.class": ["cat", "dog"][i],
                "output_4.confidence": 0.5,
            }
        )
    rows["shadows"] += [
        {"row": 4, "id": f"{FIRST:016x}-3", "node": "watch", "disagrees": True, "failed": False, "difference": 0.5},
        {"row": 6, "id": f"{FIRST:016x}-5", "node": "watch", "disagrees": False, "failed": True, "difference": None},
    ]
    rows["errors"].append(
        {"row": 8, "id": f"{FIRST:016x}-7", "model": None, "fallback": "error", "message": "it failed"}
    )
    rows["captures"].append({"row": 9, "id": f"{FIRST:016x}-6", "probability": 0.01, "redacted": ["name"]})

    opened = Segment(FIRST, sealed.row, boot=BOOT, begun_us=AFTER_STEP)
    frame(opened, [reference.calls([3_000_000], [8], [1000])], 3_100_000, AFTER_STEP, {0: champion})
    rows["calls"].append({"id": f"{FIRST:016x}-8", "row": sealed.row, "time_us": 3_000_000 + AFTER_STEP, "unit": None})
    frame(opened, [reference.calls([3_200_000], [9], [1000])], 3_300_000, AFTER_STEP)

    return {f"{sealed.name}.log": sealed.data, f"{opened.name}.open": opened.data[:-9]}


def rounded(latency_ns: int) -> int:
    """A latency as its 11 significant bits say it."""
    code = reference.latency_code(latency_ns)
    exponent = max((code >> 10) - 1, 0)
    return code - (exponent << 10) << exponent


def second_process(rows: Rows) -> dict[str, bytes]:
    """Another process of the same boot: a segment with damage in its middle, between frames that are valid."""
    segment = Segment(SECOND, 16, boot=BOOT)
    for i in range(3):
        at = len(segment.data)
        values = [{"bundle": "digits", "version": "1.0.0", "model": "champion", "arm": "control", "ports": []}]
        frame(segment, [reference.notes(5, [2_500_000 + i], values)], 2_500_010 + i, AFTER_STEP)
        if i == 1:
            segment.data = segment.data[: at + 20] + b"\xff" + segment.data[at + 21 :]
        else:
            rows["profiles"].append({"row": 16 + i, "time_us": 2_500_000 + i + AFTER_STEP, "arm": "control"})
    return {f"{segment.name}.log": segment.data}


def rounded_measurements(rows: Rows) -> dict[str, bytes]:
    """A process whose times and latencies were rounded, and two of whose calls got no answer."""
    segment = Segment(COARSE, 0, boot=BOOT, begun_us=AFTER_STEP)
    times = [1024 * step for step in (5000, 5099, 5099, 5300)]
    latencies = [2048, 4112, 899_072, 0]
    scores = [8, 21, reference.choice([float32(score) >> 21 for score in (0.5, 0.75, 0.5, 0.625)])]
    block = reference.calls(times, [0, 1, 2, 3], latencies, outputs=[[1, 1, [scores]]], unit=reference.up([7, 7, 9, 8]))
    block[3] = reference.multiples(times, 10)
    block[6] = [8, 2, reference.around([reference.latency_code(ns) >> 2 for ns in latencies])]
    block[2] = reference.up([0, 1, 2, 4])
    failed = {
        **reference.notes(
            3, [5_300_007, 5_300_009], [{"error": "ModelError", "message": "no"}] * 2, reference.up([3, 5])
        ),
        4: reference.steps([4, 5]),
        5: 0,
        7: reference.down([2**64 - 1, 7]),
    }
    frame(segment, [block, failed], 5_500_000, AFTER_STEP, {0: reference.source(outputs=["score"])})
    for i, place in enumerate([0, 1, 2, 4]):
        rows["calls"].append(
            {
                "id": f"{COARSE:016x}-{i}",
                "row": place,
                "monotonic_us": times[i],
                "time_us": times[i] + AFTER_STEP,
                "latency_ns": rounded(latencies[i]),
                "unit": [7, 7, 9, 8][i],
                "score.value": [0.5, 0.75, 0.5, 0.625][i],
            }
        )
    for i, place in enumerate([3, 5]):
        rows["errors"].append(
            {"row": place, "id": f"{COARSE:016x}-{4 + i}", "unit": [2**64 - 1, 7][i], "arm": "control", "message": "no"}
        )
    return {f"{segment.name}.log": segment.data}


def journal(rows: Rows) -> dict[str, bytes]:
    """The first process's journal, which ends with what an older file left on the disk."""
    segment = Segment(JOURNAL, 0, 1, boot=BOOT, ids=FIRST)
    event = f"{FIRST:016x}-3"
    values = [
        (16, {"id": event, "value": 7}),
        (17, {"name": "bought", "value": 9.99, "unit": 2**64 - 1}),
        (17, {"name": "clicked", "value": True, "id": event}),
        (18, {"reason": "ring_full", "events": {"call": 12}}),
        (19, {"event": "opened"}),
    ]
    kinds = sorted({kind for kind, _ in values})
    blocks = []
    for kind in kinds:
        at = [i for i, (of, _) in enumerate(values) if of == kind]
        blocks.append(reference.notes(kind, [4_000_000 + i for i in at], [values[i][1] for i in at], reference.up(at)))
    frame(segment, blocks, 4_100_000, AFTER_STEP)
    rows["labels"].append({"row": 0, "id": event, "value": 7, "time_us": 4_000_000 + AFTER_STEP})
    rows["outcomes"] += [
        {"row": 1, "name": "bought", "value": 9.99, "unit": 2**64 - 1, "id": None},
        {"row": 2, "name": "clicked", "value": True, "unit": None, "id": event},
    ]
    rows["losses"].append({"row": 3, "reason": "ring_full", "events": {"call": 12}})
    rows["lifecycle"].append({"row": 4, "event": "opened"})
    stale = Segment(0xBAD, 0, 1)
    while len(stale.data) < len(segment.data) + 64:
        frame(stale, [reference.notes(16, [0], [{"id": "stale-0", "value": 0}])], 0, 0)
    return {f"{segment.name}.log": segment.data + stale.data[len(segment.data) :]}


TABLES = ("calls", "shadows", "errors", "captures", "profiles", "labels", "outcomes", "losses", "lifecycle")


def files() -> dict[Path, bytes]:
    """Every file of the folder."""
    rows: Rows = {name: [] for name in TABLES}
    data = measurements(rows) | second_process(rows) | journal(rows)
    later: Rows = {name: [] for name in TABLES}
    return folder_of(FOLDER, data, rows) | folder_of(ROUNDED, rounded_measurements(later), later)


def folder_of(folder: Path, data: dict[str, bytes], rows: Rows) -> dict[Path, bytes]:
    listed = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    return {folder / name: content for name, content in data.items()} | {folder / "rows.json": listed.encode()}


def example() -> str:
    """The worked example of FORMAT.md: a journal with one label."""
    segment = Segment(0xE, 0, 1, boot=bytes(16), ids=0xD, begun_us=1_700_000_000_000_000)
    document = {
        0: 0,
        1: 1,
        2: [5_000_000, 1_700_000_000_000_000],
        3: {},
        4: [{0: 16, 1: 1, 3: 4_000_000, 11: [7, [{"id": "000000000000000d-3", "value": 7}]]}],
    }
    segment.payload(msgpack.packb(document), stored=0)
    lines = [segment.data[at : at + 16].hex(" ") for at in range(0, len(segment.data), 16)]
    return "```\n" + "\n".join(f"{16 * i:4d}  {line}" for i, line in enumerate(lines)) + "\n```\n"


def main() -> None:
    """Write every file, or check it."""
    is_check = "--check" in sys.argv[1:]
    for folder in (FOLDER, ROUNDED):
        folder.mkdir(exist_ok=True)
    for path, content in files().items():
        if not is_check:
            path.write_bytes(content)
        elif path.read_bytes() != content:
            sys.exit(f"{path} is not what make_segments.py writes")
    if is_check and example() not in FORMAT.read_text("utf-8"):
        sys.exit(f"the worked example of {FORMAT} should be:\n{example()}")


if __name__ == "__main__":
    main()
