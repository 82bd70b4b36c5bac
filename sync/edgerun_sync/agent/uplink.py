"""The uplink: sealed segments to the service, each deleted only when the service has it for good.

What is sent next is a pure function of what lies there. Nothing but the file itself says whether a segment was handed
over, so a crash between the answer and the deletion sends it once more, and the service knows it.
"""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from edgerun.errors import LogError
from edgerun.log.handover import SegmentFile, segment_files
from edgerun_sync.agent.http import content_digest
from edgerun_sync.agent.waiting import Verdict, verdict, wait_s
from edgerun_sync.errors import UnreachableError
from edgerun_sync.names import SEGMENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgerun_sync.agent.http import Answer, Http
    from edgerun_sync.agent.policy import SyncPolicy

REFUSED_FOLDER = "refused"
REFUSALS_MAX = 4
"""Of how many refused segments one sync keeps why: a device whose segments are all refused says it of each, else."""
_WHY_MAX_CHARS = 200
TRIES_MAX = 5
"""How often one sync tries a segment, before it leaves the rest to the next."""


class Uplinked(NamedTuple):
    """What one sync handed over."""

    segments: int = 0
    """That the service has now."""

    bytes: int = 0
    """Of them."""

    refused: tuple[str, ...] = ()
    """Names of those that it will never take."""

    problem: str | None = None
    """Why it ended early; None where everything went."""

    is_locked_out: bool = False
    """Whether the token was refused."""

    left: int = 0
    """Sealed segments that were not looked at, for the time was up."""

    refusals: tuple[str, ...] = ()
    """Sentences on the first of the refused ones: why, as the service says."""


class Refusal(NamedTuple):
    """A segment that the service will never take."""

    why: str
    """As the service says."""


def order(files: Iterable[SegmentFile], *, newest_first: bool) -> list[SegmentFile]:
    """Return what is to be sent, in its order: journals, the newest measurements, the rest from its old or its new end.

    A segment that stands behind an unsealed one of its stream waits for it: should that one be sealed after a crash,
    only the files beside it tell which rows are its own.
    """
    files = [*files]
    unsealed: dict[int, int] = {}
    for file in files:
        if not file.is_sealed:
            unsealed[file.epoch] = min(file.first_row, unsealed.get(file.epoch, file.first_row))
    ready = [file for file in files if file.is_sealed and file.first_row < unsealed.get(file.epoch, 2**64)]
    ready.sort(key=lambda file: (file.begun_us, file.epoch, file.first_row), reverse=newest_first)
    journals = [file for file in ready if file.is_journal]
    measured = [file for file in ready if not file.is_journal]
    if not newest_first and len(measured) > 1:
        measured = [measured[-1], *measured[:-1]]
    return journals + measured


class Uplink:
    """Hands a log over.

    Args:
        http: to the service.
        device: its name there.
        folder: the log's.
        policy: in which order.
        pause: waits so many seconds, and says whether to go on.
    """

    def __init__(
        self, http: Http, device: str, folder: str, policy: SyncPolicy, pause: Callable[[float], bool]
    ) -> None:
        self._http, self._device, self._folder, self._policy, self._pause = http, device, folder, policy, pause
        self._random = random.Random()  # noqa: S311 - chance that spreads load guards no secret

    def run(
        self, token: str, progress: Callable[[Uplinked], None] = lambda _: None, *, time_s: float | None = None
    ) -> Uplinked:
        """Send everything that is sealed.

        Args:
            token: the device's.
            progress: is told after each segment.
            time_s: after which no further segment is begun, so that what was recorded meanwhile comes before the rest
                of a backlog; None for none.
        """
        done, end = Uplinked(), None if time_s is None else time.monotonic() + time_s
        try:
            waiting = order(segment_files(self._folder), newest_first=self._policy.newest_first)
        except LogError as error:
            return done._replace(problem=str(error))
        for number, file in enumerate(waiting[: self._policy.backlog_max]):
            if number and end is not None and time.monotonic() >= end:
                return done._replace(left=len(waiting) - number)
            outcome = self._send_patiently(file, token)
            if isinstance(outcome, str):
                return done._replace(problem=outcome)
            if outcome is Verdict.LOCKED_OUT:
                problem = "the service refuses this device's token; enrol it again"
                return done._replace(problem=problem, is_locked_out=True)
            if isinstance(outcome, Refusal):
                said = f"{file.name} is refused for good, and kept in {REFUSED_FOLDER}/ of the log: {outcome.why}"
                refusals = (*done.refusals, said)[:REFUSALS_MAX]
                done = done._replace(refused=(*done.refused, file.name), refusals=refusals)
            elif outcome is Verdict.DONE:
                done = done._replace(segments=done.segments + 1, bytes=done.bytes + file.size)
            progress(done)
        return done

    def _send_patiently(self, file: SegmentFile, token: str) -> Verdict | Refusal | str | None:
        """Send a segment, trying again; a text where the sync is to end, None where it is gone."""
        path = os.path.join(self._folder, file.name)
        problem = "the service does not take it"
        for failures in range(1, TRIES_MAX + 1):
            try:
                with open(path, "rb") as segment:
                    body = segment.read()
            except FileNotFoundError:  # the budget was quicker
                return None
            except OSError as error:
                return f"{path} cannot be read: {error.strerror or error}"
            retry_after = None
            try:
                answer = self._put(file, body, token)
                found = verdict(answer.status)
                if found is not Verdict.LATER:
                    self._settle(path, found)
                    return Refusal(_why(answer)) if found is Verdict.REFUSED else found
                problem, retry_after = f"the service answers {answer.status}", answer.headers.get("Retry-After")
            except UnreachableError as error:
                problem = str(error)
            except OSError as error:
                return f"{path} cannot be put away: {error.strerror or error}"
            if failures == TRIES_MAX or not self._pause(wait_s(failures, retry_after, datetime.now(UTC), self._random)):
                break
        return problem

    def _put(self, file: SegmentFile, body: bytes, token: str) -> Answer:
        headers = {"Content-Type": SEGMENT_TYPE, "Content-Digest": content_digest(body), "If-None-Match": "*"}
        path = f"/v1/devices/{self._device}/segments/{file.name.removesuffix('.log')}"
        return self._http.send("PUT", path, token=token, body=body, headers=headers)

    def _settle(self, path: str, found: Verdict) -> None:
        """Put a segment away. A deletion that a power cut undoes sends it again, and the service knows it."""
        with suppress(FileNotFoundError):
            if found is Verdict.DONE:
                os.unlink(path)
            elif found is Verdict.REFUSED:
                away = os.path.join(self._folder, REFUSED_FOLDER)
                os.makedirs(away, exist_ok=True)
                os.replace(path, os.path.join(away, os.path.basename(path)))


def _why(answer: Answer) -> str:
    """What the service says of a refusal; its status alone where that cannot be read."""
    with suppress(ValueError, RecursionError):
        document = json.loads(answer.body)
        if isinstance(document, dict) and "message" in document:
            return f"{str(document['message'])[:_WHY_MAX_CHARS]} ({answer.status})"
    return f"the service answers {answer.status}"


def backlog(files: Sequence[SegmentFile]) -> tuple[int, int, int | None]:
    """Return how many sealed segments wait, their bytes, and when the oldest was begun, microseconds since 1970."""
    sealed = [file for file in files if file.is_sealed]
    oldest = min((file.begun_us for file in sealed), default=None)
    return len(sealed), sum(file.size for file in sealed), oldest
