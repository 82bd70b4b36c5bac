"""Every limit of the workstation package, in one frozen record; each is tested at the limit and one past it."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What the workstation accepts at most. Going past a limit is an error that names it, never a truncation."""

    index_max_bytes: int = 4 * 2**20
    """Bytes of a layout's index.json, and of a registry's list of referrers."""

    index_manifests_max: int = 1024
    """Manifests that one index lists."""

    archive_entries_max: int = 16384
    """Entries of an archive, its folders included."""

    archive_padding_max_bytes: int = 2**20
    """Zeros after the end of an archive."""

    pax_max_bytes: int = 4096
    """Bytes of one extended header of an archive."""

    referrers_max: int = 64
    """Provenance artifacts of one bundle that are fetched from a registry."""

    registry_answer_max_bytes: int = 2**20
    """Bytes of an answer of a registry that is no manifest, index or blob: tokens, errors."""

    upload_chunk_bytes: int = 8 * 2**20
    """Bytes of one request of an upload; a failure repeats no more than these."""

    redirects_max: int = 5
    """Redirects that one download follows."""

    attempts_max: int = 6
    """Times that one request is tried, or one blob goes on where it broke off without a byte more."""


LIMITS = Limits()
