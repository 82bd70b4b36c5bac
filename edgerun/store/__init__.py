"""A device's store: its bundles, which of them it serves, the metadata it trusts. FORMAT.md is its specification."""

from edgerun.store.documents import Subscription
from edgerun.store.garbage import Collected
from edgerun.store.source import BlobSource, FolderSource
from edgerun.store.start import Start
from edgerun.store.state import Bad, Candidate, Happening, State
from edgerun.store.store import Store
from edgerun.store.stored import StoredBundle
from edgerun.store.verifying import Verification

__all__ = [
    "Bad",
    "BlobSource",
    "Candidate",
    "Collected",
    "FolderSource",
    "Happening",
    "Start",
    "State",
    "Store",
    "StoredBundle",
    "Subscription",
    "Verification",
]
