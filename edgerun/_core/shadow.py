"""The shadow queue of the C core, as functions over a handle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgerun._core import check
from edgerun._core.owned import owned
from edgerun._core.runtime import runtime
from edgerun._edgerun import ffi, lib

if TYPE_CHECKING:
    from edgerun._core.runtime import Model


def new_shadow(capacity: int, bytes_max: int, slots: int) -> Any:
    """Return a new shadow queue; see er_shadow_new()."""
    out = ffi.new("er_shadow **")
    check(lib.er_shadow_new(runtime(), capacity, bytes_max, slots, out))
    return owned(out[0], lib.er_shadow_free)


def disown_shadow(shadow: Any) -> None:
    """Never free a shadow queue: in a forked child, its mutex and conditions may be held by threads of the parent."""
    ffi.gc(shadow, None)


def new_watch(model: Model, slot: int, tolerance: float) -> Any:
    """Return a watch; the caller keeps the model alive."""
    return ffi.new("er_watch *", {"model": model.handle, "slot": slot, "tolerance": tolerance})


def watch_array(watches: list[Any]) -> Any:
    """Return watches as one C array."""
    return ffi.new("er_watch[]", [watch[0] for watch in watches])


shadow_work = lib.er_shadow_work
shadow_offer = lib.er_shadow_offer
shadow_close = lib.er_shadow_close


def shadow_wait(shadow: Any, timeout_s: float | None) -> bool:
    """Wait until the queue is empty and the worker idle; False if the time ran out."""
    timeout_ms = -1 if timeout_s is None else max(0, int(timeout_s * 1000))
    code = lib.er_shadow_wait(shadow, timeout_ms)
    return code != lib.ER_ETIMEOUT and check(code) == 0


def shadow_results(shadow: Any) -> list[tuple[Any, ...]]:
    """Return all results that wait to be fetched, as tuples in the order of er_shadow_result."""
    chunk = ffi.new("er_shadow_result[]", 256)
    found: list[tuple[Any, ...]] = []
    while True:
        count = check(lib.er_shadow_results(shadow, chunk, len(chunk)))
        found.extend(
            (r.sequence, r.latency_ns, r.max_abs_diff, r.slot, r.code, r.disagree, r.nonfinite) for r in chunk[0:count]
        )
        if count < len(chunk):
            return found


def shadow_counts(shadow: Any, slot: int) -> tuple[int, ...]:
    """Return the counters of a slot, in the order of er_shadow_counts."""
    counts = ffi.new("er_shadow_counts *")
    check(lib.er_shadow_count(shadow, slot, counts))
    return tuple(getattr(counts, name) for name, _ in ffi.typeof("er_shadow_counts").fields)
