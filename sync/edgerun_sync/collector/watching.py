"""Looking at every experiment that runs, now and then, and rolling back those that do harm.

A look makes the report that anybody could make, and acts on ROLL BACK alone: that is shown by the sequential test,
which holds however often somebody looks (docs/verdict.md). What cannot be looked at is told, and nothing is done.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import threading
from typing import TYPE_CHECKING, NamedTuple

from edgerun.errors import EdgerunError
from edgerun_bundles.experiment.published import all_running, phases_so_far
from edgerun_bundles.repository import admission
from edgerun_bundles.repository.metadata import BUNDLE_PREFIX, ROOT, TARGETS
from edgerun_bundles.repository.pushing import utc_now
from edgerun_sync.collector.rollbacks import complete, is_noted, noted, roll_back
from edgerun_sync.errors import ExperimentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from edgerun_bundles.experiment.published import Running
    from edgerun_bundles.repository.metadata import State
    from edgerun_sync.collector.rollbacks import Hands
    from edgerun_sync.experiments.scorecard import Scorecard

logger = logging.getLogger("edgerun.collector")

EVERY_S = 3600.0
"""Between two looks; moved by chance by up to half."""
FACTS = "facts/"
"""Where the facts are kept that were acted upon."""


class Looked(NamedTuple):
    """What a look at one experiment in one channel found."""

    experiment: str
    """Name of the experiment."""

    channel: str
    """The channel."""

    version: str
    """The version that devices take first."""

    outcome: str
    """``kept``, ``rolled_back``, ``unprepared``, ``left`` (decided before), or ``failed``."""

    says: str
    """The verdicts, or why there is none."""


class Tables(NamedTuple):
    """What looks are made of."""

    data: str
    """Where the tables are."""

    known_keys: Path | None
    """A folder with a file of known keys, EXPERIMENT.txt, for each experiment; None where there is none."""


def look(hands: Hands, tables: Tables, now: datetime) -> list[Looked]:
    """Look at every experiment once.

    Args:
        hands: what to act with.
        tables: what to look at.
        now: the time; what came later is not looked at.

    Raises:
        RepositoryError: the repository is not what it should be.
        StorageError: the store fails.
    """
    complete(hands, now)
    state = admission.read_published(hands.storage)
    if state is None:
        return []
    cards: dict[tuple[str, str], Scorecard | str] = {}
    return [_looked(hands, tables, state, running, cards, now) for running in all_running(hands.storage, state)]


def _looked(
    hands: Hands,
    tables: Tables,
    state: State,
    running: Running,
    cards: dict[tuple[str, str], Scorecard | str],
    now: datetime,
) -> Looked:
    newest, bundle = running.newest, running.channel.bundle
    what = (newest.experiment, running.channel.channel, newest.listed.version)
    try:
        if is_noted(hands.objects, running):
            return Looked(*what, "left", "it was rolled back before, and somebody released it again")
        key = (bundle, newest.experiment)
        if key not in cards:
            cards[key] = _card(hands, tables, state, *key, now)
        card = cards[key]
        if isinstance(card, str):
            return Looked(*what, "kept", card)
        harmful = [found for found in card.treatments if found.verdict.kind == "ROLL BACK"]
        if not harmful:
            said = "; ".join(f"{found.arm}: {found.verdict.kind}: {found.verdict.reason}" for found in card.treatments)
            return Looked(*what, "kept", said)
        verdict = harmful[0].verdict
        note = noted(running, harmful[0].arm, verdict.reason, _kept(hands, card), now)
        return Looked(*what, roll_back(hands, state, running, note, now), f"{note.arm}: ROLL BACK: {verdict.reason}")
    except EdgerunError as error:
        return Looked(*what, "failed", str(error))


def _card(hands: Hands, tables: Tables, state: State, bundle: str, name: str, now: datetime) -> Scorecard | str:
    """The scorecard of an experiment; or why there is none yet."""
    from edgerun_sync.experiments.scorecard import scorecard  # noqa: PLC0415 - brings scipy
    from edgerun_sync.queries.engines import open_engine  # noqa: PLC0415 - engines are slow to load
    from edgerun_sync.queries.published import published_facts  # noqa: PLC0415 - likewise
    from edgerun_sync.queries.training import training_published  # noqa: PLC0415 - likewise

    phases = phases_so_far(hands.storage, state, f"{bundle}/{name}")
    training = training_published(hands.storage, phases[-1])
    with open_engine(tables.data) as engine:
        try:
            facts = published_facts(engine, phases, until=now, keys=_known_keys(tables, name), training=training)
        except ExperimentError as error:
            return f"nothing to look at: {error}"
    return scorecard(facts)


def _known_keys(tables: Tables, name: str) -> list[str] | None:
    path = None if tables.known_keys is None else tables.known_keys / f"{name}.txt"
    if path is None or not path.exists():
        return None
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} cannot be read as keys, one a line, in UTF-8: {error}") from error


def _kept(hands: Hands, card: Scorecard) -> str:
    """Keep the facts that are acted upon, and return their digest: anybody makes the same report of them."""
    from edgerun_sync.experiments.facts_json import facts_document  # noqa: PLC0415 - brings numpy

    raw = json.dumps(facts_document(card.facts)).encode()
    digest = hashlib.sha256(raw).hexdigest()
    hands.objects.put_new(f"{FACTS}{digest}.json", raw)
    return digest


def excess(hands: Hands, state: State) -> list[str]:
    """Return the roles that the keys at hand can sign for and that a collector must not: those of publishers."""
    delegated = [role for role in state.roles if role.startswith(BUNDLE_PREFIX)]
    keyids = {role: found.keyids for role in delegated if (found := state.delegation(role)) is not None}
    keyids |= {role: state.root.signed.roles[role].keyids for role in (ROOT, TARGETS)}
    return sorted(role for role, ids in keyids.items() if hands.keys.signers(ids))


class Watch:
    """Looks at experiments in a thread of its own, until it is stopped; a context manager.

    Args:
        hands: what to act with.
        tables: what to look at.
        every_s: seconds between two looks, about.
        done: is told of each experiment that was looked at.
    """

    def __init__(
        self,
        hands: Hands,
        tables: Tables,
        *,
        every_s: float = EVERY_S,
        done: Callable[[Looked], object] = lambda _: None,
    ) -> None:
        self._hands, self._tables, self._every_s, self._done = hands, tables, every_s, done
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgerun-experiments", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; a look that is under way is left to end by itself, for it may be cut short anywhere."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _work(self) -> None:
        chance = random.Random()  # noqa: S311 - chance that spreads load guards no secret
        is_warned = False
        while not self._stop.is_set():
            try:
                if not is_warned:
                    is_warned = self._warn()
                for found in look(self._hands, self._tables, utc_now()):
                    level = logging.INFO if found.outcome in {"kept", "left"} else logging.WARNING
                    logger.log(level, "looked at an experiment", extra=found._asdict())
                    self._done(found)
            except EdgerunError as error:
                logger.warning("experiments could not be looked at", extra={"problem": str(error)})
            self._stop.wait(self._every_s * chance.uniform(0.5, 1.5))

    def _warn(self) -> bool:
        state = admission.read_published(self._hands.storage)
        if state is None:
            return False
        roles = excess(self._hands, state)
        if roles:
            logger.warning("the collector holds keys of publishers; give it those of channels", extra={"roles": roles})
        return True
