"""The agent: one sync after the other, each a check-in, what goes up and what comes down.

One part that fails stops no other.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple, Self

from edgerun.errors import EdgerunError
from edgerun_sync.agent.check_in import check_in_document
from edgerun_sync.agent.downlink import fetch_bundle, served_bundle
from edgerun_sync.agent.enrolment import JSON, Enrolment, document_of, machine_hash, read_enrolment, write_enrolment
from edgerun_sync.agent.http import Http
from edgerun_sync.agent.policy import DEFAULT_SYNC_POLICY, SyncPolicy, check_policy
from edgerun_sync.agent.status import Status, read_status, write_status
from edgerun_sync.agent.uplink import Uplink, Uplinked
from edgerun_sync.errors import AgentError, UnreachableError, WireError
from edgerun_sync.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

ROTATION_S = 30 * 86_400.0
LOG_FOLDER = "log"


class Synced(NamedTuple):
    """What one sync did."""

    uplink: Uplinked
    """What went up."""

    bundle: str | None
    """What came down, in a few words; None where nothing did."""

    flags: tuple[str, ...]
    """What the service finds odd about this device."""

    clock_offset_s: float | None
    """How far the device's clock is behind the service's."""

    problems: tuple[str, ...]
    """What went wrong; what could be done all the same was done."""


class Agent:
    """Syncs one store with its service.

    Args:
        store: the store's folder, which was enrolled.
        policy: how often, in which order, how fast.

    Raises:
        WireError: the policy is out of range.
    """

    def __init__(self, store: str | os.PathLike[str], policy: SyncPolicy = DEFAULT_SYNC_POLICY) -> None:
        self._store = os.path.abspath(store)
        self._policy = check_policy(policy)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._random = random.Random()  # noqa: S311 - chance that spreads load guards no secret
        self._problems: tuple[str, ...] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Sync in a thread of its own until `stop`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.run, name="edgerun-agent", daemon=True)
            self._thread.start()

    def ask_to_stop(self) -> None:
        """Let `run` end as soon as the request under way has ended; callable from a signal's handler."""
        self._stop.set()

    def stop(self) -> None:
        """End as soon as the request under way has ended; what was not handed over stays for the next time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def run(self, told: Callable[[Synced | EdgerunError], None] = lambda _: None) -> None:
        """Sync again and again, until `stop`.

        Args:
            told: is told what each sync did, or why it could not be.
        """
        interval_s, left = self._policy.interval_s, 0
        while not self._stop.is_set():
            try:
                synced = self.sync(time_s=interval_s)
                left = synced.uplink.left
                told(synced)
            except EdgerunError as error:
                left = 0
                told(error)
            if not left:
                self._stop.wait(interval_s * self._random.uniform(0.75, 1.25))

    def sync(self, progress: Callable[[Uplinked], None] = lambda _: None, *, time_s: float | None = None) -> Synced:
        """Sync once.

        Args:
            progress: is told after each segment that went up.
            time_s: after which no further segment is begun, so that a backlog holds up neither bundles nor what was
                recorded meanwhile; None for none.

        Raises:
            AgentError: the store is not enrolled, or its files cannot be used.
        """
        problems: list[str] = []
        enrolment = read_enrolment(self._store)
        try:
            enrolment = self._next(enrolment)
        except AgentError as error:  # a full disk: only the uplink makes room again, and it needs none
            problems.append(str(error))
        policy = self._policy
        http = Http(
            enrolment.url,
            ca_file=enrolment.ca_file,
            timeout_s=policy.timeout_s,
            bytes_per_s=policy.bytes_per_s,
            sleep=self._stop.wait,
        )
        try:
            synced = self._sync(http, enrolment, progress, problems, time_s)
        finally:
            http.close()
        try:
            write_status(self._store, Status.of(synced, time.time()))
        except AgentError as error:
            synced = synced._replace(problems=(*synced.problems, str(error)))
        self._problems = synced.problems
        return synced

    def _next(self, enrolment: Enrolment) -> Enrolment:
        """Count this check-in, before anything is sent: a count that was used is never used again."""
        machine = machine_hash()
        if machine != enrolment.machine:  # the store was copied or moved
            enrolment = enrolment._replace(machine=machine, instance=os.urandom(8).hex())
        enrolment = enrolment._replace(check_ins=enrolment.check_ins + 1)
        write_enrolment(self._store, enrolment)
        return enrolment

    def _sync(
        self,
        http: Http,
        enrolment: Enrolment,
        progress: Callable[[Uplinked], None],
        problems: list[str],
        time_s: float | None,
    ) -> Synced:
        flags: tuple[str, ...] = ()
        offset_s: float | None = None
        try:
            if not problems:
                flags, offset_s = self._check_in(http, enrolment)
                enrolment = self._rotated(http, enrolment)
        except (AgentError, WireError, UnreachableError) as error:
            problems.append(str(error))
            if isinstance(error, UnreachableError):
                return Synced(Uplinked(problem=str(error)), None, (), None, (*problems,))
        log = os.path.join(self._store, LOG_FOLDER)
        uplinked = Uplink(http, enrolment.device, log, self._policy, self._pause).run(
            enrolment.token, progress, time_s=time_s
        )
        problems += uplinked.refusals
        if uplinked.problem is not None:
            problems.append(uplinked.problem)
        came = None
        if not self._stop.is_set():
            try:
                came = fetch_bundle(self._store, enrolment)
            except EdgerunError as error:
                problems.append(str(error))
        return Synced(uplinked, came, flags, offset_s, (*problems,))

    def _check_in(self, http: Http, enrolment: Enrolment) -> tuple[tuple[str, ...], float]:
        document = check_in_document(
            enrolment,
            os.path.join(self._store, LOG_FOLDER),
            edgerun=_version("edgerun") or "unknown",
            onnxruntime=_version("onnxruntime"),
            bundle=served_bundle(self._store),
            errors=self._former_problems(),
        )
        started = time.time()
        path = f"/v1/devices/{enrolment.device}/checkin"
        answer = http.send("POST", path, token=enrolment.token, body=json.dumps(document).encode(), headers=JSON)
        said = document_of(answer, "check-in", 200)
        flags = said.get("flags", [])
        if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
            raise WireError("the service's answer to the check-in has no list of flags")
        theirs = parse_time(said.get("time"))
        return (*flags,), theirs - (started + time.time()) / 2

    def _former_problems(self) -> tuple[str, ...]:
        """What went wrong at the last sync, which may have been that of another process."""
        if self._problems is None:
            former = read_status(self._store)
            self._problems = former.problems if former is not None else ()
        return self._problems

    def _rotated(self, http: Http, enrolment: Enrolment) -> Enrolment:
        """Get the next token, where it is time; the former works until the next one was used."""
        age_s = time.time() - enrolment.rotated_s
        if 0 <= age_s < ROTATION_S:
            return enrolment
        path = f"/v1/devices/{enrolment.device}/token"
        said = document_of(http.send("POST", path, token=enrolment.token, body=b"", headers=JSON), "rotation", 201)
        if not isinstance(said.get("token"), str):
            raise WireError("the service's answer to the rotation has no token")
        enrolment = enrolment._replace(token=said["token"], rotated_s=time.time())
        write_enrolment(self._store, enrolment)
        return enrolment

    def _pause(self, seconds: float) -> bool:
        """Wait; returns whether to go on."""
        return not self._stop.wait(seconds)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
