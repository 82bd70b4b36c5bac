"""Write the golden vectors of the split, from an implementation that shares nothing with the C core.

It follows native/SPLIT.md with the ``xxhash`` package and exact fractions, as plainly as it can and with no regard
for speed. ``make_vectors.py`` rewrites the files beside it; ``make_vectors.py --check`` writes nothing and fails
where a file, or the worked example inside native/SPLIT.md, is not what this implementation says.
"""

from __future__ import annotations

import random
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import xxhash

POINTS = 2**32
SALT_SEED = 42

HERE = Path(__file__).resolve().parent
SPECIFICATION = HERE.parents[2] / "native" / "SPLIT.md"

Weight = int | float | Fraction | Decimal
Ranges = list[tuple[int, int, str]]  # start, end, arm


# ---- the specification ----


def key_bytes(key: str | int | bytes) -> bytes:
    if isinstance(key, int):
        key = str(key)
    return key.encode() if isinstance(key, str) else key


def seed_of(salt: str) -> int:
    return xxhash.xxh64_intdigest(salt.encode(), seed=SALT_SEED)


def hash_of(salt: str, key: str | int | bytes) -> int:
    return xxhash.xxh64_intdigest(key_bytes(key), seed=seed_of(salt))


def point_of(salt: str, key: str | int | bytes) -> int:
    return hash_of(salt, key) // POINTS


def canonical(names: object) -> list[str]:
    return sorted(names, key=str.encode)


def widths_of(weights: dict[str, Weight]) -> dict[str, int]:
    total = sum(Fraction(weight) for weight in weights.values())
    quota = {name: Fraction(weight) * POINTS / total for name, weight in weights.items()}
    widths = {name: int(quota[name]) for name in weights}
    by_rest = sorted(canonical(weights), key=lambda name: widths[name] - quota[name])
    for name in by_rest[: POINTS - sum(widths.values())]:
        widths[name] += 1
    assert sum(widths.values()) == POINTS
    return widths


def joined(ranges: Ranges) -> Ranges:
    result: Ranges = []
    for start, end, arm in sorted(ranges):
        if start == end:
            continue
        if result and result[-1][2] == arm:
            result[-1] = (result[-1][0], end, arm)
        else:
            result.append((start, end, arm))
    return result


def first_ranges(weights: dict[str, Weight]) -> Ranges:
    ranges, at = [], 0
    for name, width in sorted(widths_of(weights).items(), key=lambda item: item[0].encode()):
        ranges.append((at, at + width, name))
        at += width
    return joined(ranges)


def owned(ranges: Ranges) -> dict[str, int]:
    result: dict[str, int] = {}
    for start, end, arm in ranges:
        result[arm] = result.get(arm, 0) + end - start
    return result


def needs_of(ranges: Ranges, weights: dict[str, Weight]) -> dict[str, int]:
    target, current = widths_of(weights), owned(ranges)
    return {name: target.get(name, 0) - current.get(name, 0) for name in {*target, *current}}


def move_cuts(ranges: Ranges, need: dict[str, int]) -> Ranges:
    starts = [start for start, _, _ in ranges] + [POINTS]
    arms = [arm for _, _, arm in ranges]
    for left in range(len(arms) - 1):
        cut = left + 1
        for shrinking, growing, side in ((left, cut, -1), (cut, left, +1)):
            if need[arms[shrinking]] < 0 < need[arms[growing]]:
                width = starts[shrinking + 1] - starts[shrinking]
                move = min(-need[arms[shrinking]], need[arms[growing]], width)
                starts[cut] += side * move
                need[arms[shrinking]] += move
                need[arms[growing]] -= move
                break
    return joined([(starts[i], starts[i + 1], arm) for i, arm in enumerate(arms)])


def give_up_ends(ranges: Ranges, need: dict[str, int]) -> tuple[Ranges, list[tuple[int, int]]]:
    kept, pieces = [], []
    for start, end, arm in reversed(ranges):
        given = min(max(-need[arm], 0), end - start)
        need[arm] += given
        kept.append((start, end - given, arm))
        if given:
            pieces.append((end - given, end))
    return kept, sorted(pieces)


def deal(pieces: list[tuple[int, int]], need: dict[str, int]) -> Ranges:
    dealt, waiting = [], [list(piece) for piece in pieces]
    for arm in canonical(name for name in need if need[name] > 0):
        while need[arm]:
            start, end = waiting[0]
            taken = min(need[arm], end - start)
            dealt.append((start, start + taken, arm))
            need[arm] -= taken
            waiting[0][0] += taken
            if waiting[0][0] == end:
                waiting.pop(0)
    assert not waiting
    return dealt


def reweighted(ranges: Ranges, weights: dict[str, Weight]) -> Ranges:
    need = needs_of(ranges, weights)
    kept, pieces = give_up_ends(move_cuts(ranges, need), need)
    return joined(kept + deal(pieces, need))


def arm_of(ranges: Ranges, point: int) -> str:
    (arm,) = [arm for start, end, arm in ranges if start <= point < end]
    return arm


def enrolled_width(share: Weight) -> int:
    return int(Fraction(share) * POINTS + Fraction(1, 2))


def moved(before: Ranges, after: Ranges) -> int:
    cuts = sorted({start for start, _, _ in before + after}) + [POINTS]
    return sum(
        end - start
        for start, end in zip(cuts, cuts[1:], strict=False)
        if arm_of(before, start) != arm_of(after, start)
    )


# ---- how values are written ----


def weight_text(weight: Weight) -> str:
    if isinstance(weight, float):
        return f"float:{weight.hex()}"
    return f"{type(weight).__name__.lower()}:{weight}"


def weights_text(weights: dict[str, Weight]) -> str:
    return ";".join(f"{name}={weight_text(weight)}" for name, weight in weights.items())


def ranges_text(ranges: Ranges) -> str:
    return ";".join(f"{start}:{arm}" for start, _, arm in ranges)


def key_text(key: str | int | bytes) -> tuple[str, str]:
    if isinstance(key, int):
        return "int", str(key)
    return type(key).__name__, key_bytes(key).hex()


def assign_row(case: str, salt: str, key: str | int | bytes, ranges: Ranges, arms: list[str]) -> list[str]:
    point = point_of(salt, key)
    indexes = ";".join(f"{start}:{arms.index(arm)}" for start, _, arm in ranges)
    kind, text = key_text(key)
    arm = arms.index(arm_of(ranges, point))
    return [
        case,
        salt.encode().hex(),
        f"{seed_of(salt):016x}",
        kind,
        text,
        indexes,
        f"{hash_of(salt, key):016x}",
        str(point),
        str(arm),
    ]


# ---- the cases ----

SALTS = ["checkout-2025", "", "a", "größe/日本", "checkout-2025/traffic", "s" * 100]

PLAIN_KEYS: list[str | int | bytes] = [
    "", "a", "user-1", "user-2", "42", 42, b"42", "-0", "007", "Zürich", "日本語", "🙂", "e\u0301", "\u00e9", "a\0b", " ", "\n",
    "0f8fad5b-d9cb-469f-a165-70867728950e", bytes.fromhex("0f8fad5bd9cb469fa16570867728950e"), b"", b"\0", b"\xff\xfe",
    0, 1, -1, 9, 10, -10, 99999999, 100000000, -100000000, 9999999999999999, 10000000000000000,
    2**31, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30, -(10**30),
]  # fmt: skip

HISTORIES: dict[str, list[dict[str, Weight]]] = {
    "one-arm": [{"only": 1}],
    "halves": [{"control": 1, "treatment": 1}],
    "90-10": [{"champion": 90, "challenger": 10}],
    "thirds-and-zero": [{"red": 1, "off": 0, "blue": 1, "green": 1}],
    "ramp": [{"champion": 100 - share, "challenger": share} for share in (1, 5, 20, 50, 20, 80, 100)],
    "append": [{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 1, "d": 1}],
    "remove": [{"a": 1, "b": 1, "c": 1, "d": 1}, {"a": 1, "c": 1, "d": 1}, {"d": 2, "c": 1}],
    "swap": [{"a": 5, "b": 3, "c": 2}, {"a": 2, "b": 3, "c": 5}, {"c": 3, "b": 2, "a": 5}],
    "replace-all": [{"a": 1, "b": 1}, {"x": 1, "y": 2}, {"a": 1, "b": 1}],
    "zero-and-back": [{"a": 1, "b": 1, "c": 2}, {"a": 1, "b": 0, "c": 2}, {"a": 1, "b": 1, "c": 2}],
    "floats": [{"a": 0.1, "b": 0.2, "c": 0.7}, {"a": 0.3, "b": 0.3, "c": 0.4}],
    "decimals": [{"a": Decimal("0.1"), "b": Decimal("0.2"), "c": Decimal("0.7")}, {"a": Decimal(1), "b": Fraction(1, 3)}],
    "order": [{"z": 1, "m": 1, "a": 1}, {"new": 1, "m": 1, "z": 1, "a": 1}],
    "unicode": [{"é": 1, "z": 1, "日": 1, "\U00010000": 1, "\uffee": 1}, {"é": 2, "z": 1, "日": 0, "\U00010000": 1, "\uffee": 3}],
    "huge-and-tiny": [{"a": 10**300, "b": 1, "c": 5e-324}, {"a": 1e300, "b": 1e300, "c": 1}],
    "seven": [{f"arm{i}": i for i in range(7)}, {f"arm{i}": 7 - i for i in range(7)}, {f"arm{i}": i * i for i in range(7)}],
}  # fmt: skip

# Integers, found by search, whose points under the salt "edge" are the first and the last of all.
EDGE_SALT = "edge"
EDGE_KEYS: dict[int, int] = {0: 903892770, POINTS - 1: 809225425}


def random_histories() -> dict[str, list[dict[str, Weight]]]:
    source = random.Random(20250101)
    histories = {}
    for number in range(24):
        names = [f"a{i}" for i in range(source.randrange(2, 9))]
        steps: list[dict[str, Weight]] = []
        for _ in range(5):
            present = source.sample(names, source.randrange(1, len(names) + 1))
            weights = {name: Fraction(source.choice([0, 1, 1, 2, 3, 10, 97]), source.choice([1, 3, 7])) for name in present}
            weights[present[0]] += 1
            steps.append(weights)
        histories[f"random-{number}"] = steps
    return histories


def history_ranges(steps: list[dict[str, Weight]]) -> list[Ranges]:
    ranges = [first_ranges(steps[0])]
    for weights in steps[1:]:
        ranges.append(reweighted(ranges[-1], weights))
    return ranges


def long_keys() -> list[str | int | bytes]:
    source = random.Random(7)
    return [source.randbytes(length) for length in (3, 4, 5, 7, 8, 12, 15, 16, 17, 23, 24, 31, 32, 33, 40, 63, 64, 65, 100)]


def xxh64_table() -> list[list[str]]:
    source = random.Random(3)
    rows = [["data", "seed", "hash"]]
    pinned = [(b"", 0), (b"a", 0), (b"abc", 0), (b"Nobody inspects the spammish repetition", 0)]
    lengths = [*range(130), 255, 256, 257, 1023]
    drawn = [(source.randbytes(length), source.choice([0, 1, 42, 2**32, 2**64 - 1, source.randrange(2**64)])) for length in lengths]
    for data, seed in pinned + drawn:
        rows.append([data.hex(), f"{seed:016x}", f"{xxhash.xxh64_intdigest(data, seed=seed):016x}"])
    return rows


ASSIGN_COLUMNS = ["case", "salt", "seed", "key_type", "key", "ranges", "hash", "point", "arm"]


def assign_table() -> list[list[str]]:
    rows = [ASSIGN_COLUMNS]
    names = list(HISTORIES)
    for row_number, salt in enumerate(SALTS):
        for column, name in enumerate(names):
            steps = HISTORIES[name]
            arms = list(steps[-1])
            ranges = history_ranges(steps)[-1]
            # Each pair of salt and history sees a third of the keys; each salt sees all of them several times.
            keys = [*PLAIN_KEYS, *long_keys()][(row_number + column) % 3 :: 3]
            rows += [assign_row(name, salt, key, ranges, arms) for key in keys]
    return rows


def cut_ranges(point: int) -> dict[str, list[int]]:
    near = [start for start in range(point - 3, point + 5) if 0 <= start < POINTS]
    return {
        "cut-at-point": [0, point],
        "cut-after-point": [0, point + 1],
        "point-alone": [0, point, point + 1],
        "cut-before-point": [0, point - 1],
        "cuts-all-around": [0, *near],
    }


def cuts_table() -> list[list[str]]:
    rows = [ASSIGN_COLUMNS]
    keys: list[tuple[str, str | int | bytes]] = [(EDGE_SALT, key) for key in EDGE_KEYS.values()]
    for i, key in enumerate([*PLAIN_KEYS, *long_keys()]):
        keys += [(SALTS[(i + shift) % len(SALTS)], key) for shift in range(3)]
    for salt, key in keys:
        for case, cuts in cut_ranges(point_of(salt, key)).items():
            starts = sorted({cut for cut in cuts if 0 <= cut < POINTS})
            arms = [str(i) for i in range(len(starts))]
            ranges = list(zip(starts, [*starts[1:], POINTS], arms, strict=True))
            rows.append(assign_row(case, salt, key, ranges, arms))
    return rows


def widths_table() -> list[list[str]]:
    rows = [["case", "weights", "widths", "ranges"]]
    histories = {**HISTORIES, **random_histories()}
    for name, steps in histories.items():
        for step, weights in enumerate(steps):
            widths = ";".join(f"{arm}={width}" for arm, width in widths_of(weights).items())
            rows.append([f"{name}/{step}", weights_text(weights), widths, ranges_text(first_ranges(weights))])
    return rows


def reweight_table() -> list[list[str]]:
    rows = [["case", "weights_before", "ranges_before", "weights_after", "ranges_after", "moved"]]
    for name, steps in {**HISTORIES, **random_histories()}.items():
        ranges = history_ranges(steps)
        for step in range(1, len(steps)):
            before, after = ranges[step - 1], ranges[step]
            points = moved(before, after)
            assert points == sum(max(need, 0) for need in needs_of(before, steps[step]).values())
            rows.append(
                [
                    f"{name}/{step}",
                    weights_text(steps[step - 1]),
                    ranges_text(before),
                    weights_text(steps[step]),
                    ranges_text(after),
                    str(points),
                ]
            )
    return rows


def traffic_table() -> list[list[str]]:
    shares: list[Weight] = [0, 1, 0.5, 0.1, Decimal("0.1"), Fraction(1, 3), 0.999999999999, 1e-300, Fraction(1, 2**33), Fraction(3, 2**33)]
    return [["share", "enrolled_width"]] + [[weight_text(share), str(enrolled_width(share))] for share in shares]


# ---- the worked example of the specification ----

EXAMPLE_SALT = "checkout-2025"
EXAMPLE_STEPS: list[dict[str, Weight]] = [
    {"red": 1, "blue": 1, "control": 1},
    {"red": 1, "blue": 1, "control": 1, "green": 1},
    {"red": 1, "blue": 0, "control": 2, "green": 3},
]
EXAMPLE_KEYS: list[str | int | bytes] = ["user-1", "user-2", "user-3", 42, "42", "Zürich", -7, b"\x00\xff", ""]


def example_blocks() -> list[str]:
    blocks = [f"seed = XXH64({EXAMPLE_SALT}, 42) = {seed_of(EXAMPLE_SALT):016x}"]
    ranges = history_ranges(EXAMPLE_STEPS)
    for step in ranges:
        blocks.append("\n".join(f"[{start:>10}, {end:>10})  {arm}" for start, end, arm in step))
    lines = []
    for key in EXAMPLE_KEYS:
        arms = "  ".join(f"{arm_of(step, point_of(EXAMPLE_SALT, key)):<8}" for step in ranges).rstrip()
        kind, _ = key_text(key)
        shown = key_bytes(key).hex() or "-"
        lines.append(f"{kind:<6} {shown:<14} {hash_of(EXAMPLE_SALT, key):016x} {point_of(EXAMPLE_SALT, key):>10}  {arms}")
    return [*blocks, "\n".join(lines)]


# ---- the files ----


def tables() -> dict[str, list[list[str]]]:
    return {
        "xxh64.tsv": xxh64_table(),
        "assign.tsv": assign_table(),
        "cuts.tsv": cuts_table(),
        "widths.tsv": widths_table(),
        "reweight.tsv": reweight_table(),
        "traffic.tsv": traffic_table(),
    }


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: make_vectors.py [--check]", file=sys.stderr)
        return 2
    wrong = []
    for name, rows in tables().items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        path = HERE / name
        if not arguments:
            path.write_text(text, encoding="utf-8", newline="\n")
        elif path.read_text(encoding="utf-8") != text:
            wrong.append(str(path))
    specification = SPECIFICATION.read_text(encoding="utf-8")
    wrong += [f"{SPECIFICATION} lacks:\n{block}" for block in example_blocks() if block not in specification]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
