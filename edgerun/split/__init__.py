"""Which arm of an experiment a key belongs to: the same on every device, in every process, for ever.

native/SPLIT.md is the specification. Assigning hashes the key and looks its point up, in C; weights become
ranges once, in exact arithmetic, when a split is made.
"""

from edgerun.split._batch import Keys
from edgerun.split._hash import xxh64
from edgerun.split._keys import Key, key_bytes
from edgerun.split._ranges import Range
from edgerun.split._split import Explanation, Split
from edgerun.split._weights import Weight

__all__ = ["Explanation", "Key", "Keys", "Range", "Split", "Weight", "key_bytes", "xxh64"]

for _public in (Explanation, Range, Split, key_bytes, xxh64):
    _public.__module__ = __name__
