"""What a process is to serve when it starts: the candidate, a start of which is counted, or the current bundle."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from edgerun.store.faults import disk_errors
from edgerun.store.files import write_new
from edgerun.store.holdings import named
from edgerun.store.start import Start
from edgerun.store.state import NO_PROOF, State, rejected, rolled_back, started
from edgerun.store.stored import stored_bundle

if TYPE_CHECKING:
    from edgerun.store.holdings import Holdings
    from edgerun.store.state_file import HeldState

_DAMAGED = "its manifest is damaged"


def start_candidate(holdings: Holdings) -> Start | None:
    """Start the candidate; None where there is none, or where it is rejected.

    Whoever serves a candidate shares a lock from before it is loaded. It is taken while the state is held, so that
    nobody else comes in between.

    Raises:
        StoreError: the disk failed.
    """
    path = f"{holdings.path}/serving"
    with holdings.state.held() as held, disk_errors(f"{path} cannot be locked"):
        if held.state.candidate is None:
            return None
        write_new(holdings.disk, path, b"")
        alone = holdings.disk.claim(path)
        lock = holdings.disk.share(path) if alone is None else alone
        begun = None
        try:
            begun = _started(holdings, held, lock, is_alone=alone is not None)
        finally:
            if begun is None:
                with suppress(OSError):
                    holdings.disk.release(lock)
        return begun


def _started(holdings: Holdings, held: HeldState, lock: int, *, is_alone: bool) -> Start | None:
    candidate = held.state.candidate
    assert candidate is not None
    found = stored_bundle(holdings.blobs, candidate.digest)
    if found is None or (is_alone and not candidate.starts_left):
        why = _DAMAGED if found is None else NO_PROOF
        holdings.write(held, rejected(held.state, candidate.digest, why, int(time.time())), reason=why)
        return None
    if is_alone:
        holdings.write(held, started(held.state, candidate.digest))
        holdings.disk.let_share(lock)
    holdings.say("candidate_started", **named(found), starts_left=candidate.starts_left - is_alone)
    return Start(found, holdings.apply, lambda: _let_go(holdings, lock))


def _let_go(holdings: Holdings, lock: int) -> None:
    with suppress(OSError):
        holdings.disk.close(lock)


def start_current(holdings: Holdings) -> Start | None:
    """Start the current bundle, or the previous one where its manifest is damaged; None where there is no current one.

    Raises:
        StoreError: both are damaged, or the disk failed.
    """
    current = holdings.state.read().current
    if current is None:
        return None
    found = stored_bundle(holdings.blobs, current)
    if found is not None:
        return Start(found, holdings.apply)

    def without(state: State) -> State:
        return rolled_back(state, _DAMAGED, int(time.time())) if state.current == current else state

    holdings.apply(without, reason=_DAMAGED)
    return start_current(holdings)
