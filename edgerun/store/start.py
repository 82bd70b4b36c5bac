"""What a process serves now, and what it has to say of it afterwards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, Self

from edgerun.store.state import State, confirmed, rejected, rolled_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun.store.stored import StoredBundle


class _Change(Protocol):
    def __call__(self, change: Callable[[State], State], **details: str) -> State: ...


class Start:
    """A bundle that this process serves from now on; `Store.start` makes it.

    Attributes:
        bundle: what to serve.
        is_candidate: whether it was to prove healthy when it was started.
    """

    def __init__(self, bundle: StoredBundle, change: _Change, release: Callable[[], None] | None = None) -> None:
        """Serve a bundle; use Store.start()."""
        self.bundle = bundle
        self.is_candidate = release is not None
        self._change = change
        self._release = release

    def confirm(self) -> None:
        """Make the bundle current: it has proven healthy. What is current already stays so.

        Raises:
            StoreError: it is no longer the candidate, or the disk failed.
        """
        digest = self.bundle.digest
        self._change(lambda state: confirmed(state, digest, int(time.time())))
        self.close()

    def reject(self, reason: str) -> None:
        """Remember the bundle as bad: the candidate is rejected, a current bundle rolled back. Then start again.

        Where another process has done so before, nothing happens.

        Args:
            reason: why, in a few words.

        Raises:
            StoreError: there is no previous bundle to go back to, or the disk failed.
        """
        digest, now_s = self.bundle.digest, int(time.time())

        def without(state: State) -> State:
            if digest == state.current:
                return rolled_back(state, reason, now_s)
            is_candidate = state.candidate is not None and state.candidate.digest == digest
            return rejected(state, digest, reason, now_s) if is_candidate else state

        self._change(without, reason=reason)
        self.close()

    def close(self) -> None:
        """Say that this process does not serve the bundle any more. In a forked child, the parent's start goes on."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
