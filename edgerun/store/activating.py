"""Proving a bundle before it becomes the candidate: every byte is read again, and it is run in a process of its own."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from edgerun.errors import BundleError, GraphError, ModelError, StoreError
from edgerun.requirements import Allowance, this_machine, unmet_requirements
from edgerun.store.faults import disk_errors
from edgerun.store.holdings import named
from edgerun.store.state import rejected
from edgerun.store.stored import verified_terms

if TYPE_CHECKING:
    from edgerun.store.holdings import Holdings

Rehearse: TypeAlias = Callable[[str, Allowance], object]
"""Loads and runs the bundle at a path within limits; raises a BundleError, ModelError or GraphError if it does not."""


def rehearse_apart(path: str, limits: Allowance) -> object:
    """Load and run a bundle in a process of its own.

    Raises:
        BundleError: it does not serve here.
    """
    return importlib.import_module("edgerun.rehearsal").rehearse(path, limits)


def prove(holdings: Holdings, digest: str, rehearse: Rehearse) -> None:
    """Return if a bundle is whole and serves here; one that does not serve is remembered as bad.

    Raises:
        StoreError: it is not there or not whole, the machine lacks what it needs, it does not serve here, or the disk
            failed.
    """
    found = holdings.bundle(digest)
    try:
        with disk_errors(f"{digest} cannot be read back"):
            terms = verified_terms(holdings.blobs, found)
            holdings.disk.sync_folder(holdings.blobs.folder)  # whoever fetched it may have died before
    except BundleError as error:
        raise StoreError(f"{found.name}@{found.version} is not whole: {error}") from error
    holdings.say("bundle_verified", **named(found))
    unmet = unmet_requirements(terms.requires, this_machine())
    if unmet:
        raise StoreError(f"{found.name}@{found.version} cannot be served here: {'; '.join(unmet)}")
    try:
        rehearse(found.path, terms.limits)
    except (BundleError, ModelError, GraphError) as error:
        why = str(error)
        holdings.apply(lambda state: rejected(state, digest, why, int(time.time())), reason=why)
        raise StoreError(f"{found.name}@{found.version} does not serve here: {why}") from error
    holdings.say("bundle_rehearsed", **named(found))
