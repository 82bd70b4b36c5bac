"""A process that lives with a store until it is killed: it fetches, activates, starts, confirms, rejects and publishes.

``python store_process.py STORE SEED``. After every step it says on its standard output which floor it was promised.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

sys.path.insert(0, os.fspath(Path(__file__).parents[1]))

from edgerun.errors import EdgerunError
from edgerun.store import Store
from support.stores import MemorySource, metadata, serves, toy

if TYPE_CHECKING:
    from collections.abc import Iterator


def main(folder: str, seed: int) -> None:
    random, promised = Random(seed), 0
    store = Store(folder, say=lambda event, **details: None, budget_bytes=20_000)
    print("open", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        while True:
            with suppress(EdgerunError):
                for floor in live(store, random, Path(scratch)):
                    promised = max(promised, floor)
                    print(promised, flush=True)


def live(store: Store, random: Random, scratch: Path) -> Iterator[int]:
    bundle = toy(str(random.randrange(10**6)), model_bytes=random.choice([100, 5000, 100_000]))
    store.fetch(MemorySource(bundle, piece_bytes=1000), bundle.digest, bundle.size)
    yield 0
    store.activate(bundle.digest, rehearse=serves)
    yield 0
    start = store.start()
    if start is not None:
        yield 0
        random.choice([start.confirm, start.confirm, start.close, lambda: start.reject("no")])()
    version = store.state().floors.get("timestamp", 0) + 1
    files, versions, root = metadata(version)
    for name, content in files.items():
        (scratch / name).write_bytes(content)
    store.publish_metadata(scratch, versions, root, version)
    yield version
    store.collect_garbage()
    if random.random() < 0.2:
        store.rollback("no")
        yield 0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
