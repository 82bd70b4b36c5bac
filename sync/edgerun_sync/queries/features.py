"""Profiles of what models saw and said, over time: the engine finds them, and they are merged here, exactly."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from edgerun.errors import LogError
from edgerun.log.merging import merge
from edgerun.log.payload import unpack
from edgerun.log.profile_values import from_value
from edgerun_sync.collector.arrow.answers import as_records
from edgerun_sync.queries.tables import BY, PROFILES, divided, statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from edgerun.log.profiles import Profile
    from edgerun_sync.queries.engines import Engine
    from edgerun_sync.queries.tables import Every

_AT_ONCE = 1000


class FeatureProfiles(NamedTuple):
    """What one group of profiles sums up.

    Attributes:
        by: the group: the value of each column that was grouped by.
        begin: of the length of time, where time was divided.
        profile: of all of them; its begin and end are of monotonic clocks, and tell nothing across devices.
        merged: how many there were.
        unreadable: how many say what none can, or do not fit the others: they are left out.
    """

    by: dict[str, str | None]
    begin: datetime | None
    profile: Profile | None
    merged: int
    unreadable: int


def profile_rows(profiles: Any = PROFILES, *, by: Sequence[str] = BY, every: Every | None = None) -> Any:
    """Ask for profiles in the order of their groups: the columns of `by`, ``begin`` where time is divided, ``profile``.

    Raises:
        QueryError: a column or length is none.
    """
    rows, keys = divided(profiles.drop("begin"), by, every)
    order = [*dict.fromkeys([*keys, "device", "epoch", "row"])]
    return rows.select(*order, "profile").order_by(order)


def feature_profiles(
    engine: Engine, profiles: Any = PROFILES, *, by: Sequence[str] = BY, every: Every | None = None
) -> Iterator[FeatureProfiles]:
    """Yield the profile of each group; profiles of one group are in memory at a time.

    Args:
        engine: that has the tables.
        profiles: the table of profiles, or some of its rows.
        by: columns to group by.
        every: how time is divided, by when profiles were written.

    Raises:
        QueryError: the engine failed, or a column or length is none.
    """
    question = profile_rows(profiles, by=by, every=every)
    keys = [*by, *(["begin"] if every else [])]
    rows = as_records(engine.reader(statement(question, engine.dialect)))
    for group, members in groupby(rows, key=lambda row: [row[key] for key in keys]):
        merged = _Merged()
        for member in members:
            merged.add(member["profile"])
        begin = group[-1] if every else None
        yield FeatureProfiles(
            dict(zip(by, group, strict=False)), begin, merged.profile(), merged.count, merged.unreadable
        )


class _Merged:
    """Profiles of one group: read, and merged a thousand at a time, since each time loses a little of the texts."""

    def __init__(self) -> None:
        self.count = 0
        self.unreadable = 0
        self._waiting: list[Profile] = []
        self._ports: dict[tuple[bool, str], tuple[int, int]] = {}

    def add(self, raw: bytes | None) -> None:
        """Take one as the table has it."""
        try:
            found = from_value(unpack(raw or b""))
        except LogError:
            self.unreadable += 1
            return
        ports = {(port.is_output, port.name): (port.type, port.columns) for port in found.ports}
        if any(self._ports.get(name, shape) != shape for name, shape in ports.items()):
            self.unreadable += 1
            return
        self._ports |= ports
        self.count += 1
        self._waiting.append(found)
        if len(self._waiting) == _AT_ONCE:
            self._waiting = [merge(self._waiting)]

    def profile(self) -> Profile | None:
        """Return the profile of all; None where none could be read."""
        return merge(self._waiting) if self._waiting else None
