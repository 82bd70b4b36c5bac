"""Keeping the repository alive: snapshot and timestamp are signed anew before they expire, where their keys are here.

Several collectors of the same data may each do so: the conditional put lets one of them, and the others find it done.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from edgerun.errors import EdgerunError
from edgerun_bundles.errors import PublishedMeanwhileError
from edgerun_bundles.repository import admission, renewal
from edgerun_bundles.repository.metadata import SHORT_LIFE, SNAPSHOT, TIMESTAMP
from edgerun_bundles.repository.pushing import utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from edgerun_bundles.repository.publishing import Signers
    from edgerun_sync.collector.audit import Audit
    from edgerun_sync.collector.repository import Repository

logger = logging.getLogger("edgerun.collector")

EVERY_S = 3600.0
"""Between two looks; moved by chance by up to half."""
FRESH = SHORT_LIFE / 2
"""Metadata with less than this before it is signed anew."""


def renew_if_due(repository: Repository, keys: Signers, audit: Audit, now: datetime) -> tuple[str, ...]:
    """Sign snapshot and timestamp anew, where they are in the second half of their lives.

    Args:
        repository: whose.
        keys: those of snapshot and timestamp; others among them are used too.
        audit: where it is written down.
        now: the time.

    Returns:
        The roles that were signed; none where nothing was due, or another collector was faster.

    Raises:
        RepositoryError: the repository is not what it should be, or a key is missing.
        CollectorError: the store fails.
    """
    state = admission.read_published(repository.storage)
    if state is None or min(state.expiries[role] for role in (SNAPSHOT, TIMESTAMP)) - now > FRESH:
        return ()
    try:
        done = renewal.renew(repository.storage, state, keys, now)
    except PublishedMeanwhileError:
        return ()
    versions = {role: done.state.versions[role] for role in done.signed}
    audit.append("collector", "repository.renew", f"timestamp {versions[TIMESTAMP]}", {"roles": versions})
    return done.signed


class Upkeep:
    """Looks after a repository in a thread of its own, until it is stopped; a context manager.

    Args:
        repository: whose.
        keys: of snapshot and timestamp; None where they are somewhere else.
        audit: where it is written down.
    """

    def __init__(self, repository: Repository, keys: Signers | None, audit: Audit) -> None:
        self._repository, self._keys, self._audit = repository, keys, audit
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgerun-repository")

    def __enter__(self) -> Upkeep:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End after what is under way."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        chance = random.Random()  # noqa: S311 - chance that spreads load guards no secret
        while not self._stop.is_set():
            self._look()
            self._stop.wait(EVERY_S * chance.uniform(0.5, 1.5))

    def _look(self) -> None:
        try:
            if self._keys is not None:
                signed = renew_if_due(self._repository, self._keys, self._audit, utc_now())
                if signed:
                    logger.info("signed anew", extra={"roles": [*signed]})
            self._repository.uploads.clean(time.time())
        except EdgerunError as error:
            logger.warning("the repository could not be looked after", extra={"problem": str(error)})
