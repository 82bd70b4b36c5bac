"""Split: weights made into ranges once, keys looked up in C. A split never changes: new weights make a new one."""

from __future__ import annotations

import reprlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, final

import numpy as np

from edgerun._core import CData
from edgerun._core import split as _core
from edgerun._shown import shown
from edgerun.errors import SplitError
from edgerun.limits import LIMITS
from edgerun.split import _document
from edgerun.split._batch import Keys, arms_of_keys
from edgerun.split._keys import Key, key_bytes
from edgerun.split._ranges import Range, first_ranges, reweighted_ranges, widths_of_ranges
from edgerun.split._weights import POINTS, Weight, checked_weights, widths_of_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

_assign_key = _core.split_assign_key  # bound once: assign() is called before every inference


class Explanation(NamedTuple):
    """Every step from a key to its arm, for a person who asks why; ``str()`` lays it out on lines."""

    salt: str
    """The split's own."""
    key: bytes
    """The bytes that were hashed."""
    seed: int
    """XXH64 of the salt under seed 42."""
    hash: int
    """XXH64 of the key under `seed`: 64 bits."""
    point: int
    """The upper 32 bits of `hash`."""
    range: Range
    """The range that contains `point`."""
    arm: str
    """The owner of `range`."""
    why: str
    """The same as one sentence."""

    def __str__(self) -> str:
        lines = {
            "salt": repr(self.salt),
            "key": reprlib.repr(self.key),
            "seed": f"{self.seed:#018x} = XXH64(salt, 42)",
            "hash": f"{self.hash:#018x} = XXH64(key, seed)",
            "point": f"{self.point} = hash >> 32",
            "range": f"[{self.range.start}, {self.range.end})",
            "arm": repr(self.arm),
            "why": self.why,
        }
        return "\n".join(f"{name:<6} {text}" for name, text in lines.items())


@final
class Split:
    """A salt, arms with weights, and the ranges of points that each arm owns. Immutable and thread-safe.

    Two splits are equal when they answer alike for every key: the same salt, the same arms in the same order,
    the same ranges. Splits can be hashed, copied and pickled.

    Args:
        salt: names the experiment; splits of different salts assign independently. At most
            ``LIMITS.salt_max_bytes`` bytes of UTF-8.
        weights: arm name to a non-negative number; they normalise themselves. A float counts as the binary
            value that it holds. Their order gives the arms their indexes, and matters to nothing else.

    Raises:
        SplitError: the salt or a weight is wrong; the message names the arm.

    Example:
        >>> split = Split("checkout-button", {"control": 90, "green": 10})
        >>> split.assign("user-7")
        'control'
    """

    __slots__ = ("_arms", "_handle", "_ranges", "_salt", "_weights")

    _arms: tuple[str, ...]
    _handle: CData
    _ranges: tuple[Range, ...]
    _salt: str
    _weights: Mapping[str, Weight]

    def __init__(self, salt: str, weights: Mapping[str, Weight]) -> None:
        checked = checked_weights(weights)
        self._hold(salt, checked, first_ranges(widths_of_weights(checked)))

    @classmethod
    def _of(cls, salt: str, weights: dict[str, Weight], ranges: tuple[Range, ...]) -> Self:
        """Make a split of parts that are known to fit together."""
        self = cls.__new__(cls)
        self._hold(salt, weights, ranges)
        return self

    def _hold(self, salt: str, weights: dict[str, Weight], ranges: tuple[Range, ...]) -> None:
        if len(ranges) > LIMITS.ranges_max:
            raise SplitError(
                f"{len(ranges)} ranges are more than {LIMITS.ranges_max}; after so many reweights, "
                "start a new experiment with a new salt"
            )
        index_of_arm = {arm: index for index, arm in enumerate(weights)}
        self._handle = _core.split_new(
            _salt_bytes(salt),
            np.array([start for start, _, _ in ranges], np.uint32),
            np.array([index_of_arm[arm] for _, _, arm in ranges], np.int32),
        )
        self._salt = str(salt)
        self._weights = MappingProxyType(weights)
        self._arms = tuple(weights)
        self._ranges = ranges

    @property
    def salt(self) -> str:
        """The salt, as given."""
        return self._salt

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms' names in the order in which they were given; `assign_many` gives indexes into it."""
        return self._arms

    @property
    def weights(self) -> Mapping[str, Weight]:
        """Arm to weight, as given, not normalised."""
        return self._weights

    @property
    def shares(self) -> Mapping[str, float]:
        """Arm to the share of points that it owns: a multiple of 2^-32, less than 2^-32 off its weight's."""
        widths = widths_of_ranges(self._ranges)
        return {arm: widths.get(arm, 0) / POINTS for arm in self._arms}

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The ``(start, end, arm)`` ranges: ascending, covering ``[0, 2^32)`` without gap or overlap."""
        return self._ranges

    @property
    def handle(self) -> CData:
        """The C split, for edgerun's own calls to `_core`. It lives as long as this object: keep both."""
        return self._handle

    def assign(self, key: Key) -> str:
        """Return the name of the arm that owns `key`.

        Raises:
            InputError: the key is not a str, an int or bytes, is no Unicode text, or is too long
                (`key_bytes`).
        """
        try:
            data = key.encode() if type(key) is str else key_bytes(key)
            return self._arms[_assign_key(self._handle, data, len(data))]
        except (UnicodeEncodeError, IndexError):
            key_bytes(key)  # says what is wrong with it
            raise

    def assign_many(self, keys: Keys) -> NDArray[np.int32]:
        """Return the arms of many keys: int32 indexes into `arms`, of shape ``(len(keys),)``.

        Args:
            keys: a list or another sequence of what `assign` takes, or a one-dimensional array: numpy
                integers of any width and order, fixed-width bytes (dtype ``V16``, say), texts (``U``,
                ``StringDType``) or objects; a ``pyarrow.Array`` or ``ChunkedArray`` of strings, binaries or
                integers, dictionary-encoded or not; anything with ``__array__``, such as a pandas Series. The
                fastest are Arrow strings and binaries, ``V`` and int64 arrays: they are read in place.

        Raises:
            InputError: no such keys, or a null, masked or bad one among them; then nothing is assigned.
        """
        return arms_of_keys(self._handle, keys)

    def explain(self, key: Key) -> Explanation:
        """Return every step from `key` to its arm.

        Raises:
            InputError: as `assign`.
        """
        data = key_bytes(key)
        hash_out = _core.new_hash()
        arm = self._arms[_core.split_assign(self._handle, data, len(data), hash_out)]
        point = hash_out[0] >> 32
        owner = next(owned for owned in self._ranges if point < owned.end)
        return Explanation(
            salt=self._salt,
            key=data,
            seed=_core.split_seed(self._handle),
            hash=hash_out[0],
            point=point,
            range=owner,
            arm=arm,
            why=f"the key's point {point} lies in [{owner.start}, {owner.end}), which belongs to {arm!r}, "
            f"the owner of {self.shares[arm]:.2%} of all points",
        )

    def reweight(self, weights: Mapping[str, Weight]) -> Split:
        """Return a split with new weights in which as few keys as can be have another arm than here.

        Arms may be added and removed: an absent one has weight zero. The share of keys that move is the
        total-variation distance of old and new shares, ``sum(max(0, new - old))``. The result depends on
        `ranges`, so keep it (`to_dict`): the new weights alone would make another split.

        Raises:
            SplitError: as for a split that is made; or there would be more than ``LIMITS.ranges_max`` ranges.
        """
        checked = checked_weights(weights)
        return Split._of(self._salt, checked, reweighted_ranges(self._ranges, widths_of_weights(checked)))

    def to_dict(self) -> dict[str, Any]:
        """Return the split as a JSON object: version, salt, weights and ranges. `from_dict` reads it."""
        return _document.write(self._salt, self._weights, self._ranges)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Split:
        """Return the split that `to_dict` wrote.

        Raises:
            SplitError: an unknown version or field, a missing one, or parts that do not fit together.
        """
        return cls._of(*_document.read(document))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Split):
            return NotImplemented
        return (self._salt, self._arms, self._ranges) == (other._salt, other._arms, other._ranges)

    def __hash__(self) -> int:
        return hash((self._salt, self._arms, self._ranges))

    def __repr__(self) -> str:
        return f"<Split {self._salt!r}: {dict(self._weights)} in {len(self._ranges)} ranges>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., Split], tuple[str, dict[str, Weight], tuple[Range, ...]]]:
        return Split._of, (self._salt, dict(self._weights), self._ranges)


def _salt_bytes(salt: str) -> bytes:
    if not isinstance(salt, str):
        raise SplitError(f"a salt is a str, not {type(salt).__qualname__} {shown(salt)}")
    try:
        data = salt.encode()
    except UnicodeEncodeError as error:
        raise SplitError(f"the salt {shown(salt)} has a lone surrogate: it is not Unicode text") from error
    if len(data) > LIMITS.salt_max_bytes:
        raise SplitError(f"a salt has at most {LIMITS.salt_max_bytes} bytes, but this one has {len(data)}")
    return data
