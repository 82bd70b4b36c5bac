"""Takes secrets out of what is written down unasked: command lines and addresses.

It goes by names, as people give them: a secret under an innocent name is not found, and an innocent value under a
secret name is lost. What a user hands over as a parameter or a tag is never touched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from edgerun_bundles.provenance.values import cut, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

LEFT_OUT = "(left out)"

_SECRET = re.compile(
    r"(^|[-_.])(pass(word|wd|phrase)?|pwd|secret|secrets|credentials?|auth|authorization|signature|sig|"
    r"api[-_.]?key|access[-_.]?key(id)?|private[-_.]?key|secret[-_.]?key|(?P<token>token))$",
    re.IGNORECASE,
)
_TOKENS_OF_TEXT = re.compile(
    r"(^|[-_.])(pad|eos|bos|mask|sep|unk|cls|special|stop|start|end|image|per)[-_.]token$", re.IGNORECASE
)
"""What tokenisers call tokens is no secret."""

_ASSIGNED = re.compile(r"(?P<name>-{0,2}[\w.-]+)=(?P<value>.*)", re.DOTALL)
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\"]+")


def without_secrets(text: str) -> str:
    """Return a text with the passwords and signatures of every address in it taken out."""
    return _ADDRESS.sub(lambda found: _address(found.group()), readable(text))


def arguments(argv: Sequence[str], limit_bytes: int) -> tuple[str, ...]:
    """Return a command line without the values of options that are secret by their name."""
    found: list[str] = []
    hide_next = False
    for given in argv:
        text = cut(without_secrets(str(given)), limit_bytes)
        assigned = _ASSIGNED.fullmatch(text)
        if hide_next and not text.startswith("-"):
            text = LEFT_OUT
        elif assigned and is_secret_name(assigned["name"]):
            text = f"{assigned['name']}={LEFT_OUT}"
        hide_next = text.startswith("-") and not assigned and is_secret_name(text)
        found.append(text)
    return tuple(found)


def is_secret_name(name: str) -> bool:
    """Say whether a name is one that secrets usually have, such as ``--hf-token``."""
    return bool(_SECRET.search(name)) and not _TOKENS_OF_TEXT.search(name)


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:  # it only looked like one; brackets do not fit
        return re.sub(r"(?<=://)[^/@]*@", "", text)
    host = parts.netloc.rpartition("@")[2]
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    keeps_user = bool(user) and parts.scheme.endswith("ssh")
    query = parts.query
    pairs = parse_qsl(query, keep_blank_values=True)
    if any(is_secret_name(name) for name, _ in pairs):
        query = urlencode(
            [(name, LEFT_OUT if is_secret_name(name) else value) for name, value in pairs], quote_via=quote
        )
    return urlunsplit((parts.scheme, f"{user}@{host}" if keeps_user else host, parts.path, query, parts.fragment))
