"""The recorder: a ring in memory that calls are recorded into, and what is constant of them.

Recording never waits, and never fails a call: what finds no room is counted, and the count is logged.
"""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgerun._core import profile as profile_core
from edgerun._core import recorder as core
from edgerun.errors import InputError, LogError
from edgerun.limits import LIMITS
from edgerun.log.captures import capture_below
from edgerun.log.flusher import Flusher
from edgerun.log.payload import pack
from edgerun.log.profiles import read_profile
from edgerun.log.rows import Kind, Source
from edgerun.log.sketch import cell_quantile
from edgerun.stats import ArmStats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edgerun._core.runtime import Model
    from edgerun.log.policy import LogPolicy

_NO_SOURCE = 2**32 - 1


class ProfileKey(NamedTuple):
    """Whose inputs and outputs a profile sums up: a bundle's model, for one arm; or as watched by a node."""

    bundle: str
    version: str
    model: str
    arm: str | None
    node: str | None


class Recorder:
    """Records what one process serves into a log folder; safe to use from many threads.

    Attributes:
        folder: where the log is kept.
        policy: how.
        ring: the C recorder.
        epoch: of the process's events, in hexadecimal.
        waits: whether a call returns only when its row is on the disk.
    """

    def __init__(self, folder: str, policy: LogPolicy) -> None:
        """Begin a stream of events. The folder is made, and what dead processes left is recovered, in the background.

        Raises:
            InputError: the policy is out of range.
        """
        self.folder, self.policy = folder, policy
        self.waits = policy.durability == "event"
        self.ring = core.new_recorder(policy.ring_bytes)
        self._sources: dict[Source, int] = {}
        self._profiles: dict[tuple[ProfileKey, tuple[str, ...], tuple[str, ...]], Any] = {}
        self._inputs: dict[int, tuple[str, ...]] = {}
        self._meters: list[Callable[[], Mapping[str, int]]] = []
        self._unmetered: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.epoch = os.urandom(8).hex()
        self._flusher = Flusher(self)

    # ---- what is constant of many events ----

    def sources(self) -> dict[int, Source]:
        """Return all sources so far, by their numbers."""
        with self._lock:
            return {number: source for source, number in self._sources.items()}

    def profiles(self) -> list[tuple[ProfileKey, tuple[str, ...], tuple[str, ...], Any]]:
        """Return all profiles so far: whose, the names of inputs and outputs, and the C profile."""
        with self._lock:
            return [(*key, profile) for key, profile in self._profiles.items()]

    def source(
        self,
        source: Source,
        model: Model | None,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        *,
        check_finite: bool,
        keyed: bool,
    ) -> core.Source:
        """Return the C source that calls are recorded under; see er_source.

        Args:
            source: what the calls share.
            model: that runs them; None where they are only recorded.
            inputs: names of the model's inputs.
            outputs: names of its outputs.
            check_finite: whether a run is checked.
            keyed: whether calls have a unit.
        """
        with self._lock:
            number = self._sources.setdefault(source, len(self._sources))
            profile = None
            if source.model is not None:
                self._inputs[number] = inputs
                profile = self._profile((_profile_key(source), inputs, outputs))
        capture = self.policy.capture
        return core.Source(
            self.ring,
            model,
            profile,
            number,
            check_finite=check_finite,
            keyed=keyed,
            capture_below=capture_below(capture),
            redact=[index for index, name in enumerate(inputs) if name in capture.redact],
        )

    def _profile(self, key: tuple[ProfileKey, tuple[str, ...], tuple[str, ...]]) -> Any:
        """Return the profile of a model with these inputs and outputs: those of another bundle may be others."""
        if key not in self._profiles:
            _, inputs, outputs = key
            self._profiles[key] = profile_core.new_profile(len(inputs), len(outputs))
        return self._profiles[key]

    def input_names(self) -> dict[int, tuple[str, ...]]:
        """Return the names of the inputs that calls of each source have."""
        with self._lock:
            return {number: self._inputs.get(number, ()) for number in self._sources.values()}

    # ---- single events ----

    def error(self, source: Source | None, sequence: int, error: Exception, unit: int | None) -> None:
        """Record a call that got no answer, and whose it was."""
        number = _NO_SOURCE
        if source is not None:
            with self._lock:
                number = self._sources.setdefault(source, len(self._sources))
        value = pack({"error": type(error).__name__, "message": str(error)[:1000]})
        core.record_note(self.ring, Kind.ERROR, _now(sequence, unit), number, value)

    def journal(self, kind: Kind, value: Mapping[str, Any]) -> None:
        """Record a row of the journal.

        Raises:
            InputError: the row is too long.
            LogError: there is no room, since the disk refuses.
        """
        raw = pack(value)
        name = kind.name.lower()
        if len(raw) > LIMITS.note_max_bytes:
            raise InputError(f"this {name} takes {len(raw)} bytes; at most {LIMITS.note_max_bytes} are logged")
        if not core.record_note(self.ring, kind, _now(), _NO_SOURCE, raw):
            raise LogError(f"the log has no room for this {name}: {self._flusher.problem or 'it is being written'}")
        if self.waits:
            self._flusher.settle()

    def lifecycle(self, event: str, **details: Any) -> None:
        """Record that something happened to the device; a loss is counted."""
        core.record_note(self.ring, Kind.LIFECYCLE, _now(), _NO_SOURCE, pack({"event": event, **details}))

    def meter(self, losses: Callable[[], Mapping[str, int]]) -> None:
        """Log what a meter counts as lost: reason to how many events so far."""
        with self._lock:
            self._meters.append(losses)

    def unmeter(self, losses: Callable[[], Mapping[str, int]]) -> None:
        """Read a meter for the last time: what it counted stays, and nothing else of it is kept."""
        with self._lock:
            if losses in self._meters:
                self._meters.remove(losses)
                self._unmetered.update(losses())

    def losses(self) -> dict[str, dict[str, int]]:
        """Return how many events were lost so far: reason to kind to number."""
        with self._lock:
            counted = [dict(self._unmetered), *[read() for read in self._meters]]
        found = core.losses(self.ring)
        lost = {"ring_full": {name.rstrip("s"): count for name, count in found._asdict().items() if count}}
        for meter in counted:
            for reason, count in meter.items():
                if count:
                    counts = lost.setdefault(reason, {})
                    counts["shadow"] = counts.get("shadow", 0) + count
        return lost

    def arms(self) -> list[ArmStats]:
        """Return what every model has answered for every arm so far."""
        end_us = core.clock_ns() // 1000
        found = []
        for key, inputs, outputs, handle in self.profiles():
            copy = profile_core.copy(handle)
            cells, weights = profile_core.read_latencies(copy)
            p50, p90, p99 = [_latency_s(cells.astype(np.int64), weights, q) for q in (0.5, 0.9, 0.99)]
            begin_us = self._flusher.profiled_at_ns // 1000
            profile = read_profile(copy, inputs, outputs, **key._asdict(), begin=begin_us, end=end_us)
            found.append(ArmStats(*key, int(weights.sum()), p50, p90, p99, profile))
        return found

    # ---- the disk ----

    def settle(self) -> None:
        """Wait until what was recorded so far is on the disk, or the disk has refused it."""
        self._flusher.settle()

    def flush(self, timeout_s: float | None) -> bool:
        """Write out what was recorded so far; False where that failed or took longer."""
        return self._flusher.flush(timeout_s)

    @property
    def problem(self) -> str | None:
        """Why the last write failed; None where it did not."""
        return self._flusher.problem

    def close(self) -> None:
        """Write out everything, seal the segments and stop."""
        self._flusher.close()

    def disown(self) -> None:
        """Leave a parent's recorder alone, in a forked child: what it recorded is the parent's to write."""
        self._flusher.disown()
        core.disown(self.ring)
        for handle in self._profiles.values():
            profile_core.disown(handle)


def _profile_key(source: Source) -> ProfileKey:
    return ProfileKey(source.bundle, source.version, str(source.model), source.arm, source.node)


def _now(sequence: int = 0, unit: int | None = None) -> core.Event:
    return core.Event(sequence, unit, core.clock_ns(), 0)


def _latency_s(cells: NDArray[np.int64], weights: NDArray[np.uint64], q: float) -> float:
    return cell_quantile(cells, weights, q) * 1e-9 if len(cells) else math.nan
