"""The downlink: what the bundle repository has for this device, fetched and activated."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from edgerun_sync.agent.enrolment import Enrolment

STATE_FILE = "state"


def served_bundle(store: str) -> dict[str, Any] | None:
    """Return what a store serves, as a check-in says it; None where it holds no bundle.

    Raises:
        StoreError: the store cannot be read.
    """
    if not os.path.isfile(os.path.join(store, STATE_FILE)):
        return None
    from edgerun.store import Store  # noqa: PLC0415 - a folder that only logs needs none of it

    found = Store(store)
    for bundle, state in ((found.candidate(), "candidate"), (found.current(), "current")):
        if bundle is not None:
            return {"name": bundle.name, "version": bundle.version, "digest": bundle.digest, "state": state}
    return None


def given_up(store: str) -> str | None:
    """Return why the last bundle that was given up is bad; None where none was.

    Raises:
        StoreError: the store cannot be read.
    """
    if not os.path.isfile(os.path.join(store, STATE_FILE)):
        return None
    from edgerun.store import Store  # noqa: PLC0415 - a folder that only logs needs none of it

    bad = Store(store).state().bad
    return bad[-1].why if bad else None


def fetch_bundle(store: str, enrolment: Enrolment) -> str | None:
    """Fetch and activate what is new; returns what came, as a sentence, or None.

    Raises:
        UpdateError: the repository cannot be reached or trusted.
        StoreError: the store cannot take the bundle.
    """
    if not os.path.isfile(os.path.join(store, STATE_FILE)):
        return None
    from edgerun.store import Store  # noqa: PLC0415 - a folder that only logs needs none of it
    from edgerun.update.client import update  # noqa: PLC0415 - likewise

    found = Store(store)
    subscription = found.subscription()
    if subscription is None:
        return None
    token = enrolment.token if is_of_service(subscription.repository, enrolment.url) else None
    came = update(found, ca_file=enrolment.ca_file, token=token)
    return came.why if came.what == "activated" else None


def is_of_service(repository: str, service: str) -> bool:
    """Whether a repository is one of the service's own, which alone gets the device's token."""
    ours, theirs = urlsplit(service), urlsplit(repository)
    path = ours.path.rstrip("/") + "/"
    return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc) and theirs.path.startswith(path)
