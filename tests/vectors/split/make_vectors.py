"""Write the golden vectors of the split, as split_reference.py beside it computes them.

``make_vectors.py`` rewrites the files in this folder; ``make_vectors.py --check`` writes nothing and fails
where a file, or the worked example inside native/SPLIT.md, is not what the reference says.
"""

from __future__ import annotations

import random
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import xxhash
from split_reference import (
    POINTS,
    Key,
    Ranges,
    Weight,
    arm_of,
    enrolled_width,
    first_ranges,
    hash_of,
    key_bytes,
    lets_through,
    moved,
    needs_of,
    passing,
    point_of,
    reweighted,
    said_of,
    seed_of,
    widths_of,
)

HERE = Path(__file__).resolve().parent
SPECIFICATION = HERE.parents[2] / "native" / "SPLIT.md"


def weight_text(weight: Weight) -> str:
    if isinstance(weight, float):
        return f"float:{weight.hex()}"
    return f"{type(weight).__name__.lower()}:{weight}"


def weights_text(weights: dict[str, Weight]) -> str:
    return ";".join(f"{name}={weight_text(weight)}" for name, weight in weights.items())


def ranges_text(ranges: Ranges) -> str:
    return ";".join(f"{start}:{arm}" for start, _, arm in ranges)


def key_text(key: Key) -> tuple[str, str]:
    if isinstance(key, int):
        return "int", str(key)
    return type(key).__name__, key_bytes(key).hex()


def assign_row(case: str, salt: str, key: Key, ranges: Ranges, arms: list[str]) -> list[str]:
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


SALTS = ["checkout-2025", "", "a", "größe/日本", "checkout-2025/traffic", "s" * 100]

PLAIN_KEYS: list[Key] = [
    "", "a", "user-1", "user-2", "42", 42, b"42", "-0", "007", "Zürich",
    "日本語", "🙂", "e\u0301", "\u00e9", "a\0b", " ", "\n",
    "0f8fad5b-d9cb-469f-a165-70867728950e", bytes.fromhex("0f8fad5bd9cb469fa16570867728950e"),
    b"", b"\0", b"\xff\xfe",
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
    "decimals": [
        {"a": Decimal("0.1"), "b": Decimal("0.2"), "c": Decimal("0.7")},
        {"a": Decimal(1), "b": Fraction(1, 3)},
    ],
    "order": [{"z": 1, "m": 1, "a": 1}, {"new": 1, "m": 1, "z": 1, "a": 1}],
    "unicode": [
        {"é": 1, "z": 1, "日": 1, "\U00010000": 1, "\uffee": 1},
        {"é": 2, "z": 1, "日": 0, "\U00010000": 1, "\uffee": 3},
    ],
    "huge-and-tiny": [{"a": 10**300, "b": 1, "c": 5e-324}, {"a": 1e300, "b": 1e300, "c": 1}],
    "seven": [
        {f"arm{i}": i for i in range(7)},
        {f"arm{i}": 7 - i for i in range(7)},
        {f"arm{i}": i * i for i in range(7)},
    ],
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
            weights = {
                name: Fraction(source.choice([0, 1, 1, 2, 3, 10, 97]), source.choice([1, 3, 7])) for name in present
            }
            weights[present[0]] += 1
            steps.append(weights)
        histories[f"random-{number}"] = steps
    return histories


def history_ranges(steps: list[dict[str, Weight]]) -> list[Ranges]:
    ranges = [first_ranges(steps[0])]
    for weights in steps[1:]:
        ranges.append(reweighted(ranges[-1], weights))
    return ranges


def long_keys() -> list[Key]:
    source = random.Random(7)
    return [
        source.randbytes(length) for length in (3, 4, 5, 7, 8, 12, 15, 16, 17, 23, 24, 31, 32, 33, 40, 63, 64, 65, 100)
    ]


def xxh64_table() -> list[list[str]]:
    source = random.Random(3)
    rows = [["data", "seed", "hash"]]
    pinned = [(b"", 0), (b"a", 0), (b"abc", 0), (b"Nobody inspects the spammish repetition", 0)]
    lengths = [*range(130), 255, 256, 257, 1023]
    drawn = [
        (source.randbytes(length), source.choice([0, 1, 42, 2**32, 2**64 - 1, source.randrange(2**64)]))
        for length in lengths
    ]
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
            # Each pair of salt and history sees a third of the keys; each salt sees all of them.
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
    keys: list[tuple[str, Key]] = [(EDGE_SALT, key) for key in EDGE_KEYS.values()]
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
    shares: list[Weight] = [
        0,
        1,
        0.5,
        0.1,
        Decimal("0.1"),
        Fraction(1, 3),
        0.999999999999,
        1e-300,
        Fraction(1, 2**33),
        Fraction(3, 2**33),
    ]
    return [["share", "enrolled_width"]] + [[weight_text(share), str(enrolled_width(share))] for share in shares]


SLICES: list[tuple[Weight, Weight]] = [
    (0, 0.5),
    (0.5, 1),
    (0, Fraction(1, 3)),
    (Fraction(1, 3), Fraction(2, 3)),
    (Fraction(2, 3), 1),
    (0.1, 0.3),
    (Decimal("0.1"), Decimal("0.3")),
    (0.30000000000000004, 1.0),
    (Fraction(1, 2**33), Fraction(3, 2**33)),
    (0, 1),
]
HOLDOUT_SHARES: list[Weight] = [0, 0.05, Fraction(1, 7), 0.5, 1]
NAMES = ["ranking", "2026-h2", "a/traffic", "größe/日本"]


def purposes() -> list[tuple[str, str, Weight, Weight]]:
    """Purpose, name and shares: all slices and holdouts, and those whose bounds lie at and beside a key's point."""
    found: list[tuple[str, str, Weight, Weight]] = []
    found += [("layer", NAMES[number % len(NAMES)], *cut) for number, cut in enumerate(SLICES)]
    found += [("holdout", NAMES[number % len(NAMES)], share, 1) for number, share in enumerate(HOLDOUT_SHARES)]
    for number, key in enumerate(PLAIN_KEYS[:8]):
        name = NAMES[number % len(NAMES)]
        for purpose in ("layer", "holdout"):
            point = point_of(f"{name}/{purpose}", key)
            found += [(purpose, name, Fraction(bound, POINTS), 1) for bound in (point, point + 1)]
            if purpose == "layer":
                found.append((purpose, name, 0, Fraction(point, POINTS)))
                found.append((purpose, name, Fraction(point, POINTS), Fraction(point + 1, POINTS)))
    return found


def purposes_table() -> list[list[str]]:
    """Each purpose as a split of the arms 0, let through, and 1, not: what a device that knows splits can check."""
    rows = [["case", *ASSIGN_COLUMNS[1:]]]
    for purpose, name, first, second in purposes():
        ranges = passing(purpose, first, second)
        case = f"{purpose} {weight_text(first)} {weight_text(second)}"
        rows += [assign_row(case, f"{name}/{purpose}", key, ranges, ["in", "out"]) for key in PLAIN_KEYS[:18]]
    return rows


ENROLMENT_COLUMNS = ["salt", "weights", "holdout", "layer", "traffic", "key", "assignment", "arm"]


def enrolment_table() -> list[list[str]]:
    source = random.Random(33)
    rows = [ENROLMENT_COLUMNS]
    weights: dict[str, Weight] = {"control": 2, "one": 1, "two": 1}
    ranges = first_ranges(weights)
    for number in range(40):
        salt = f"experiment-{number}"
        holdout = (source.choice(NAMES), source.choice(HOLDOUT_SHARES[1:4])) if source.random() < 0.6 else None
        layer = (source.choice(NAMES), *source.choice(SLICES)) if source.random() < 0.7 else None
        traffic = source.choice([1, 1, 0.5, Fraction(1, 3)])
        for serial in range(25):
            key = f"user-{serial}"
            assignment, arm = said_of(key, salt, ranges, holdout, layer, traffic)
            row = [
                salt,
                weights_text(weights),
                ";".join([holdout[0], weight_text(holdout[1])]) if holdout else "",
                ";".join([layer[0], *map(weight_text, layer[1:])]) if layer else "",
                weight_text(traffic),
                key,
            ]
            rows.append([*row, assignment, arm])
    return rows


EXAMPLE_SALT = "checkout-2025"
EXAMPLE_STEPS: list[dict[str, Weight]] = [
    {"red": 1, "blue": 1, "control": 1},
    {"red": 1, "blue": 1, "control": 1, "green": 1},
    {"red": 1, "blue": 0, "control": 2, "green": 3},
]
EXAMPLE_KEYS: list[Key] = ["user-1", "user-2", "user-3", 42, "42", "Zürich", -7, b"\x00\xff", ""]


def example_key_line(key: Key, steps: list[Ranges]) -> str:
    point = point_of(EXAMPLE_SALT, key)
    kind, _ = key_text(key)
    shown = key_bytes(key).hex() or "-"
    arms = "  ".join(f"{arm_of(step, point):<8}" for step in steps).rstrip()
    return f"{kind:<6} {shown:<14} {hash_of(EXAMPLE_SALT, key):016x} {point:>10}  {arms}"


def example_purposes() -> list[str]:
    """What the specification says of the same three users in a layer and a holdout."""
    users = EXAMPLE_KEYS[:3]
    slices = [passing("layer", start, end) for start, end in [(0, Fraction(1, 3)), (Fraction(1, 3), 1)]]
    inside = [next((start, end) for start, end, arm in ranges if arm == "in") for ranges in slices]
    points = ", ".join(f"{point_of('ranking/layer', user)}" for user in users)
    first = [user for user in users if lets_through("layer", "ranking", user, 0, Fraction(1, 3))]
    held = [user for user in users if not lets_through("holdout", "2026-h2", user, Fraction(1, 20))]
    below = enrolled_width(Fraction(1, 20))
    apart = ", ".join(f"{point_of('2026-h2/holdout', user)}" for user in users)
    return [
        f"the points `[{inside[0][0]}, {inside[0][1]})` and `[{inside[1][0]}, {inside[1][1]})`.",
        f"`user-1`, `user-2` and `user-3` have the points {points}: in the first: {listing(first)}.",
        f"points below {below} under `2026-h2/holdout`.",
        f"The same three have the points {apart}: held out: {listing(held)}.",
    ]


def listing(users: list[Key]) -> str:
    return " and ".join(f"`{user}`" for user in users) or "none of them"


def example_blocks() -> list[str]:
    steps = history_ranges(EXAMPLE_STEPS)
    return [
        f"seed = XXH64({EXAMPLE_SALT}, 42) = {seed_of(EXAMPLE_SALT):016x}",
        *("\n".join(f"[{start:>10}, {end:>10})  {arm}" for start, end, arm in step) for step in steps),
        "\n".join(example_key_line(key, steps) for key in EXAMPLE_KEYS),
    ]


def tables() -> dict[str, list[list[str]]]:
    return {
        "xxh64.tsv": xxh64_table(),
        "assign.tsv": assign_table(),
        "cuts.tsv": cuts_table(),
        "widths.tsv": widths_table(),
        "reweight.tsv": reweight_table(),
        "traffic.tsv": traffic_table(),
        "purposes.tsv": purposes_table(),
        "enrolment.tsv": enrolment_table(),
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
