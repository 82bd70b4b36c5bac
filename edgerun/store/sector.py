"""One sector of the file ``state`` to bytes and back, and which of the two is valid; FORMAT.md, state. Pure; no IO."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun._core.pack import crc32c
from edgerun._msgpack import packed, unpacked
from edgerun.errors import StoreError
from edgerun.limits import LIMITS
from edgerun.store.state import EVENTS, STARTS, Bad, Candidate, Happening, State

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = b"ERSTATE1"
SECTOR_BYTES = 4096
FILE_BYTES = 2 * SECTOR_BYTES
BODY_MAX_BYTES = SECTOR_BYTES - 24
TAKEN_BACK = b"\xff" * SECTOR_BYTES
"""What a sector holds whose write failed."""

_HEAD = struct.Struct("<8sQI")
_CHECKSUM = struct.Struct("<I")
_NUMBER_MAX = 2**63 - 1
_CONTAINERS_MAX = 256
_SHA256_BYTES = 32
_PREFIX = "sha256:"


class Sectors(NamedTuple):
    """What the two sectors of a file say."""

    state: State
    """The state; of generation 0 where none was ever written."""

    offset: int
    """Where the next state is to be written."""


def encode_sector(state: State) -> bytes:
    """Return a state as the 4,096 bytes of a sector.

    Where the body would be too long, the oldest of the history are left out, then the oldest of the bad.

    Raises:
        StoreError: even so it is too long.
    """
    body = _body(state)
    while len(body) > BODY_MAX_BYTES:
        if not state.history and not state.bad:
            raise StoreError(f"the state takes {len(body)} bytes; at most {BODY_MAX_BYTES}")
        state = state._replace(history=state.history[1:]) if state.history else state._replace(bad=state.bad[1:])
        body = _body(state)
    head = _HEAD.pack(MAGIC, state.generation, len(body))
    sector = head + _CHECKSUM.pack(crc32c(body, crc32c(head))) + body
    return sector.ljust(SECTOR_BYTES, b"\0")


def decode_sector(sector: bytes) -> State | None:
    """Return what a sector says; None where it is not valid."""
    if len(sector) != SECTOR_BYTES:
        return None
    magic, generation, length = _HEAD.unpack_from(sector)
    if magic != MAGIC or length > BODY_MAX_BYTES or any(sector[24 + length :]):
        return None
    body = sector[24 : 24 + length]
    if _CHECKSUM.unpack_from(sector, 20)[0] != crc32c(body, crc32c(sector[:20])):
        return None
    try:
        return _parse(generation, unpacked(body, _CONTAINERS_MAX))
    except ValueError:
        return None


def read_sectors(raw: bytes) -> Sectors | None:
    """Return the state that the bytes of the file hold; None where they are damaged.

    The second sector is first written when the first one has been synced, so where it is still zeros, there never was
    a state that was trusted.
    """
    raw = raw[:FILE_BYTES]
    found = [decode_sector(raw[at : at + SECTOR_BYTES]) for at in (0, SECTOR_BYTES)]
    first, second = found
    if first is not None and (second is None or first.generation > second.generation):
        return Sectors(first, SECTOR_BYTES)
    if second is not None:
        return Sectors(second, 0)
    return None if len(raw) < FILE_BYTES or any(raw[SECTOR_BYTES:]) else Sectors(State(), 0)


def _body(state: State) -> bytes:
    return packed(
        {
            "current": _raw(state.current),
            "previous": _raw(state.previous),
            "candidate": state.candidate and [_raw(state.candidate.digest), state.candidate.starts_left],
            "bad": [[_raw(bad.digest), bad.why] for bad in state.bad],
            "history": [[found.time_s, found.what, _raw(found.digest)] for found in state.history],
            "metadata": state.metadata,
            "root": state.root and bytes.fromhex(state.root),
            "floors": dict(state.floors),
            "seen_s": state.seen_s,
        }
    )


def _raw(digest: str | None) -> bytes | None:
    return None if digest is None else bytes.fromhex(digest.removeprefix(_PREFIX))


def _parse(generation: int, body: Any) -> State:
    if type(body) is not dict or set(body) != set(State._fields) - {"generation"}:
        raise ValueError("other fields")
    candidate, root = body["candidate"], body["root"]
    return State(
        generation,
        _optional(_digest, body["current"]),
        _optional(_digest, body["previous"]),
        None if candidate is None else _candidate(candidate),
        tuple(map(_bad, _list(body["bad"], LIMITS.store_bad_max))),
        tuple(map(_happening, _list(body["history"], LIMITS.store_history_max))),
        _number(body["metadata"]),
        None if root is None else _digest(root).removeprefix(_PREFIX),
        _floors(body["floors"]),
        _number(body["seen_s"]),
    )


def _optional(parse: Callable[[Any], str], value: Any) -> str | None:
    return None if value is None else parse(value)


def _digest(value: Any) -> str:
    if type(value) is not bytes or len(value) != _SHA256_BYTES:
        raise ValueError("no digest")
    return f"{_PREFIX}{value.hex()}"


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _NUMBER_MAX:
        raise ValueError("no number")
    return value


def _text(value: Any, bytes_max: int) -> str:
    if type(value) is not str or len(value.encode()) > bytes_max:
        raise ValueError("no text, or too long")
    return value


def _list(value: Any, items_max: int) -> list[Any]:
    if type(value) is not list or len(value) > items_max:
        raise ValueError("no list, or too long")
    return value


def _candidate(value: Any) -> Candidate:
    digest, starts_left = _list(value, 2)
    if _number(starts_left) > STARTS:
        raise ValueError("too many starts")
    return Candidate(_digest(digest), starts_left)


def _bad(value: Any) -> Bad:
    digest, why = _list(value, 2)
    return Bad(_digest(digest), _text(why, LIMITS.store_why_max_bytes))


def _happening(value: Any) -> Happening:
    time_s, what, digest = _list(value, 3)
    if what not in EVENTS:
        raise ValueError("it is not known what happened")
    return Happening(_number(time_s), what, _digest(digest))


def _floors(value: Any) -> dict[str, int]:
    if type(value) is not dict or len(value) > LIMITS.store_floors_max:
        raise ValueError("no floors, or too many")
    return {_text(role, LIMITS.store_role_max_bytes): _number(version) for role, version in value.items()}
