"""Rolling an experiment back: the version that its publisher prepared is given to a channel, once, and written down.

First a note says what is about to be done, then it is published, then the audit log has it, then the note is closed. A
note that stays open was left by a collector that died: whoever finds it completes it. The signature is that of a
channel's key; what is chosen was signed by its publisher, and is compared with what runs before it is chosen.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from edgerun.errors import EdgerunError
from edgerun_bundles.errors import PublishedMeanwhileError, RepositoryError
from edgerun_bundles.experiment.published import release_of, running_in
from edgerun_bundles.experiment.releases import stopped
from edgerun_bundles.experiment.steering import prepared
from edgerun_bundles.experiment.versions import control_version
from edgerun_bundles.repository import admission
from edgerun_bundles.repository.channels import read_channel, write_document
from edgerun_bundles.repository.drafting import Draft
from edgerun_bundles.repository.publishing import check_signers, publish
from edgerun_sync.errors import CollectorError
from edgerun_sync.times import parse_time, time_text

if TYPE_CHECKING:
    from datetime import datetime

    from edgerun_bundles.experiment.published import Published, Running
    from edgerun_bundles.repository.metadata import State
    from edgerun_bundles.repository.publishing import Signers
    from edgerun_bundles.repository.storage import Storage
    from edgerun_sync.collector.audit import Audit
    from edgerun_sync.collector.objects import Objects

logger = logging.getLogger("edgerun.collector")

ACTION = "experiment.rollback"
"""What the audit log calls it."""
UNPREPARED = "experiment.unprepared"
"""What it calls one that was due and could not be done."""
PREFIX = "rollbacks/"
PATIENCE_S = 600.0
"""How long a note is left to whoever made it."""
TRIES = 8
"""How often others may publish in between."""

Outcome: TypeAlias = Literal["rolled_back", "unprepared", "left"]
"""What became of it: it was rolled back, nothing was prepared, or others are at it or decided before."""


class Note(NamedTuple):
    """What is about to be done, and why."""

    bundle: str
    """Name of the bundle."""

    version: str
    """The version in which the experiment runs."""

    channel: str
    """The channel that gives it to devices."""

    experiment: str
    """Name of the experiment."""

    arm: str
    """The treatment that does harm."""

    reason: str
    """The verdict's, in one sentence."""

    facts: str
    """SHA-256 of the facts that it was computed from."""

    time: str
    """When it was decided, in RFC 3339 UTC."""

    @property
    def key(self) -> str:
        """Where the note is kept."""
        return note_key(self.bundle, self.version, self.channel)


class Hands(NamedTuple):
    """What a collector acts with."""

    storage: Storage
    """The repository."""

    keys: Signers
    """Those of channels, and of snapshot and timestamp."""

    objects: Objects
    """Where notes are kept."""

    audit: Audit
    """Where acts are written down."""


def note_key(bundle: str, version: str, channel: str) -> str:
    """Return where the note of a version in a channel is kept."""
    return f"{PREFIX}{bundle}/{version}/{channel}.json"


def is_noted(objects: Objects, running: Running) -> bool:
    """Whether a version of an experiment was rolled back in its channel already, or is about to be.

    Raises:
        StorageError: nobody knows.
    """
    channel = running.channel
    return objects.get(note_key(channel.bundle, running.newest.listed.version, channel.channel)) is not None


def roll_back(hands: Hands, state: State, running: Running, note: Note, now: datetime) -> Outcome:
    """Give those who have an experiment the version with the control alone.

    Args:
        hands: what to act with.
        state: of the repository.
        running: the experiment in its channel.
        note: why.
        now: the time.

    Raises:
        RepositoryError: a key is missing, or something cannot be read or stored.
        CollectorError: the store fails, or others publish all the time.
        BundleError: the plan is wrong.
    """
    back = prepared(hands.storage, state, running.newest)
    if back is None:
        _tell_unprepared(hands, note)
        return "unprepared"
    check_signers(hands.storage, _draft(state, running, back), hands.keys, now)
    if not hands.objects.put_new(note.key, json.dumps(note._asdict()).encode()):
        return "left"
    return "rolled_back" if _carry_out(hands, note, now) else "left"


def complete(hands: Hands, now: datetime) -> list[Note]:
    """Complete what collectors that died had begun; what cannot be completed now is told, and tried again.

    Args:
        hands: what to act with.
        now: the time.

    Returns:
        The notes that were completed.

    Raises:
        StorageError: the store fails.
    """
    keys, found = {*hands.objects.list(PREFIX)}, []
    for key in sorted(key for key in keys if key.endswith(".json") and _closed(key) not in keys):
        try:
            note = _parsed(key, hands.objects.get(key))
            if now.timestamp() - parse_time(note.time) >= PATIENCE_S and _carry_out(hands, note, now):
                found.append(note)
        except EdgerunError as error:
            logger.warning("a rollback could not be completed", extra={"note": key, "problem": str(error)})
    return found


def _carry_out(hands: Hands, note: Note, now: datetime) -> bool:
    """Publish what a note says, unless it is done or overtaken; then close it. Whether it was done, by whomever."""
    for _ in range(TRIES):
        state = admission.read_published(hands.storage)
        if state is None:
            raise RepositoryError(f"{hands.storage.where}: the repository is gone")
        running = _running(hands, state, note)
        if running is None:
            is_done = _is_gone(hands, state, note)
            break
        back = prepared(hands.storage, state, running.newest)
        if back is None:
            _tell_unprepared(hands, note)
            return False
        try:
            publish(hands.storage, _draft(state, running, back), hands.keys, now)
        except PublishedMeanwhileError:
            continue
        is_done = True
        break
    else:
        raise CollectorError(f"{note.channel}: others publish all the time; {note.experiment} is not rolled back yet")
    if is_done and not _is_audited(hands, note):
        hands.audit.append("collector", ACTION, _subject(note), _details(note))
    hands.objects.put_new(_closed(note.key), b"{}")
    return is_done


def _running(hands: Hands, state: State, note: Note) -> Running | None:
    """The experiment of a note, if the version that it is about is still the one that devices take first."""
    found = running_in(hands.storage, state, note.channel, note.bundle)[1]
    return next((one for one in found if one.newest.listed.version == note.version), None)


def _is_gone(hands: Hands, state: State, note: Note) -> bool:
    """Whether a channel has no longer the version of a note; else somebody decided otherwise."""
    document = read_channel(hands.storage, Draft(state), note.channel, note.bundle)
    return all(release.version != note.version for release in document.releases)


def _draft(state: State, running: Running, back: Published) -> Draft:
    draft = Draft(state)
    write_document(draft, stopped(running.channel, running.versions, release_of(back.document)))
    return draft


def _tell_unprepared(hands: Hands, note: Note) -> None:
    """Say that nothing can be done: in the log each time, in the audit log once."""
    wanted = control_version(note.version)
    logger.error(
        "an experiment does harm and nothing is prepared to stop it: edgerun experiment stop",
        extra={**note._asdict(), "wanted": f"{note.bundle}@{wanted}"},
    )
    if hands.objects.put_new(note.key.removesuffix(".json") + ".unprepared", b"{}"):
        hands.audit.append("collector", UNPREPARED, _subject(note), _details(note))


def _is_audited(hands: Hands, note: Note) -> bool:
    return any(
        entry["action"] == ACTION and entry["subject"] == _subject(note) and entry["details"].get("facts") == note.facts
        for entry in hands.audit.entries()
    )


def _subject(note: Note) -> str:
    return f"{note.bundle}@{note.version} in {note.channel}"


def _details(note: Note) -> dict[str, Any]:
    told = {"experiment": note.experiment, "arm": note.arm, "reason": note.reason, "facts": note.facts}
    return {**told, "decided": note.time, "version": control_version(note.version)}


def _closed(key: str) -> str:
    return key.removesuffix(".json") + ".closed"


def _parsed(key: str, data: bytes | None) -> Note:
    try:
        document = json.loads(data or b"")
        return Note(**{field: str(document[field]) for field in Note._fields})
    except (ValueError, KeyError, TypeError) as error:
        raise CollectorError(f"{key} is damaged; remove it, and the experiment is looked at again") from error


def noted(running: Running, arm: str, reason: str, facts: str, now: datetime) -> Note:
    """Return the note of a verdict."""
    newest, channel = running.newest, running.channel
    what = (channel.bundle, newest.listed.version, channel.channel, newest.experiment)
    return Note(*what, arm, reason, facts, time_text(now))
