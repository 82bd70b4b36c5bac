"""Every limit of the device package, in one frozen dataclass; each is tested at the limit and one past it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What edgerun accepts at most. Going past a limit is an error that names it, never a truncation."""

    key_max_bytes: int = 2**20
    """Bytes of one key, after a text is encoded and an integer is written out."""

    salt_max_bytes: int = 1024
    """UTF-8 bytes of a split's salt."""

    arm_name_max_bytes: int = 128
    """UTF-8 bytes of an arm's name."""

    arms_max: int = 1024
    """Arms of one split, those of weight zero included."""

    ranges_max: int = 65536
    """Ranges of one split: ``ER_SPLIT_MAX_RANGES`` of the C core. A reweight of n arms adds at most n - 1."""

    weight_max_bits: int = 8192
    """Bits of each weight once all weights of a split are brought to one common denominator."""


LIMITS = Limits()
