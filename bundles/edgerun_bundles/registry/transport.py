"""HTTP to one registry: who one is, retries, redirects. The one module that knows the HTTP library.

Secrets go to the registry itself and to the token service that it names, and nowhere else: not to where a download is
redirected, not to where an upload is sent, and never in the clear to another machine.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from edgerun_bundles.errors import RegistryError
from edgerun_bundles.limits import LIMITS
from edgerun_bundles.registry.reference import Reference
from edgerun_bundles.registry.urls import joined, origin_of, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edgerun_bundles.registry.credentials import Credentials

TIMEOUT_S = (10, 60)
"""To connect, and between two bytes."""

RETRIED = frozenset({429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
WAIT_FIRST_S = 0.5
WAIT_MAX_S = 30.0
PIECE_BYTES = 2**16
"""Of a body; what has come of a piece is lost where the connection breaks off within it."""

_PARAMETER = re.compile(r'([a-zA-Z]+)="([^"]*)"')


class Answer:
    """The answer to one request; its body is read in pieces, and no more of it than is wanted."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    @property
    def location(self) -> str:
        """Where it leads, as a whole URL; empty if it does not say."""
        where = self.headers.get("Location", "")
        return joined(self._response.url, where) if where else ""

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave what was not read."""
        self._response.close()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body.

        Raises:
            RegistryError: the connection broke off, or the body is encoded in a way that nobody asked for.
        """
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise RegistryError(f"{place_of(self._response.url)} sends a compressed body that was not asked for", 200)
        try:
            yield from self._response.iter_content(PIECE_BYTES)
        except requests.RequestException as error:
            raise RegistryError(f"{place_of(self._response.url)}: the connection broke off: {error}") from error

    def read(self, max_bytes: int) -> bytes:
        """Return the body.

        Raises:
            RegistryError: as `pieces`, or it is larger than ``max_bytes``.
        """
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > max_bytes:
                raise RegistryError(f"{place_of(self._response.url)} answers more than {max_bytes} bytes", self.status)
        return bytes(body)


class Transport:
    """A connection to one registry, as one user.

    Args:
        reference: any reference of that registry.
        credentials: who one is; None is nobody.
        token: what to show where it asks for a token and names nobody who gives one.
        is_plain: whether HTTP without TLS is right; by default only to this machine.
        sleep: how to wait, in seconds.
    """

    def __init__(
        self,
        reference: Reference,
        credentials: Credentials | None = None,
        *,
        token: str | None = None,
        is_plain: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        scheme = "http" if is_plain or reference.is_loopback else "https"
        self.origin = f"{scheme}://{reference.host}"
        self._credentials = credentials
        self._is_loopback = reference.is_loopback
        self._bearer = token
        self._authorization: str | None = None
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = not reference.is_loopback  # a proxy would see what is meant for this machine alone
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True  # an authority may be trusted there, too
        self._session.headers.update({"User-Agent": "edgerun", "Accept-Encoding": "identity"})

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def request(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, data: bytes = b"") -> Answer:
        """Send a request that may be sent twice, until there is an answer other than "later".

        Raises:
            RegistryError: there is no answer.
        """
        for attempt in range(LIMITS.attempts_max):
            try:
                answer = self.send(method, url, headers=headers, data=data)
            except RegistryError as error:
                if error.status is not None or attempt == LIMITS.attempts_max - 1:
                    raise
                self.wait(attempt)
                continue
            if answer.status not in RETRIED or attempt == LIMITS.attempts_max - 1:
                return answer
            answer.close()
            self.wait(attempt, answer.headers.get("Retry-After", ""))
        raise AssertionError

    def send(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, data: bytes = b"") -> Answer:
        """Send a request once; where the registry asks who one is, tell it and send it again.

        Args:
            method: of HTTP.
            url: a path at the registry, or a URL that it gave.
            headers: of HTTP, without the authorization.
            data: the body.

        Raises:
            RegistryError: there is no answer, or the registry asks for what cannot be given.
        """
        url = joined(self.origin, url)
        self._refuse_downgrade(url)
        answer = self._send_as(self._authorization, method, url, headers, data)
        if answer.status == 401 and origin_of(url) == origin_of(self.origin):
            challenge = answer.headers.get("WWW-Authenticate", "")
            answer.close()
            self._authorization = self._authorize(challenge)
            answer = self._send_as(self._authorization, method, url, headers, data)
        return answer

    def download(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Get something from the registry or from where it sends one, as registries do with blobs.

        Raises:
            RegistryError: there is no answer, or it leads in circles or from TLS to plain HTTP.
        """
        answer = self.request("GET", url, headers=headers)
        for _ in range(LIMITS.redirects_max):
            if answer.status not in REDIRECTS:
                return answer
            answer.close()
            url = answer.location
            answer = self.request("GET", url, headers=headers)
        if answer.status in REDIRECTS:
            answer.close()
            raise RegistryError(f"{place_of(url)} redirects more than {LIMITS.redirects_max} times", answer.status)
        return answer

    def wait(self, attempt: int, retry_after: str = "") -> None:
        """Wait before the next attempt: as long as the registry asks, else a random part of ever longer spans."""
        asked = float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else None
        span = min(WAIT_MAX_S, WAIT_FIRST_S * 2.0 ** min(attempt, 16))
        jitter = random.uniform(0, span)  # noqa: S311 - it keeps clients apart and secures nothing
        self._sleep(jitter if asked is None else min(asked, WAIT_MAX_S) + jitter)

    def _send_as(
        self, authorization: str | None, method: str, url: str, headers: Mapping[str, str] | None, data: bytes
    ) -> Answer:
        known = {"Authorization": authorization} if authorization and origin_of(url) == origin_of(self.origin) else {}
        return self._exchange(method, url, {**(headers or {}), **known}, data)

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], data: Any) -> Answer:
        try:
            response = self._session.request(
                method, url, headers=headers, data=data, auth=_unchanged, timeout=TIMEOUT_S,
                stream=True, allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException as error:
            is_final = isinstance(error, requests.exceptions.SSLError)
            raise RegistryError(
                f"{place_of(url)} cannot be reached: {_reason(error)}", 0 if is_final else None
            ) from error
        except (ValueError, UnicodeError) as error:  # a URL that the registry made up
            raise RegistryError(f"{place_of(url)} is no URL: {error}", 0) from error
        return Answer(response)

    def _refuse_downgrade(self, url: str) -> None:
        scheme = urlsplit(url).scheme
        if scheme not in {"https", urlsplit(self.origin).scheme}:
            raise RegistryError(f"{self.origin} leads to {place_of(url)}, which is not protected by TLS", 0)

    def _authorize(self, challenge: str) -> str:
        """Return the header that answers a challenge."""
        scheme, _, rest = challenge.partition(" ")
        fields = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
        if scheme.lower() == "basic":
            if self._credentials is None or self._credentials.refresh_token:
                raise RegistryError(f"{self.origin} asks for a name and password; log in with docker or skopeo", 401)
            return _basic(self._credentials)
        if scheme.lower() == "bearer" and "realm" not in fields and self._bearer is not None:
            if urlsplit(self.origin).scheme != "https" and not self._is_loopback:
                raise RegistryError(f"{self.origin} asks to send a token in the clear", 401)
            return f"Bearer {self._bearer}"
        if scheme.lower() != "bearer" or "realm" not in fields:
            raise RegistryError(f"{self.origin} refuses, and asks for an authentication that is not known here", 401)
        return f"Bearer {self._token(fields)}"

    def _token(self, fields: Mapping[str, str]) -> str:
        realm = joined(self.origin, fields["realm"])
        is_safe = urlsplit(realm).scheme == "https" or origin_of(realm) == origin_of(self.origin)
        if not is_safe and not Reference(urlsplit(realm).netloc, "").is_loopback:
            raise RegistryError(f"{self.origin} asks to send secrets in the clear to {place_of(realm)}", 401)
        query = {name: fields[name] for name in ("service", "scope") if name in fields}
        with self._ask_for_token(realm, query) as answer:
            if answer.status != 200:
                raise RegistryError(f"{place_of(realm)} gives no token: HTTP {answer.status}; log in again", 401)
            body = answer.read(LIMITS.registry_answer_max_bytes)
        with contextlib.suppress(ValueError):
            document = json.loads(body)
            token = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
            if isinstance(token, str) and re.fullmatch(r"[!-~]+", token):
                return token
        raise RegistryError(f"{place_of(realm)} answers with no token", 401)

    def _ask_for_token(self, realm: str, query: Mapping[str, str]) -> Answer:
        known = self._credentials
        if known is not None and known.refresh_token:
            form = {
                **query,
                "grant_type": "refresh_token",
                "client_id": "edgerun",
                "refresh_token": known.refresh_token,
            }
            return self._exchange("POST", realm, {}, form)
        headers = {}
        if known is not None:
            headers["Authorization"] = _basic(known)
        url = requests.Request("GET", realm, params=query).prepare().url
        return self._exchange("GET", str(url), headers, b"")


def _basic(credentials: Credentials) -> str:
    secret = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(secret).decode()}"


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authenticate as told and no further: the library would look into ~/.netrc, for redirect targets too."""
    return request


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted, or it does not speak TLS"
    if isinstance(error, ValueError):
        return "that is no URL of HTTP"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "the connection failed"
