"""What a forked child is told before it goes on: whether its parent's other threads may have been inside a model.

A fork copies locks as they stand, and nobody is there in the child to release what another thread held. edgerun makes
its own anew; those inside onnxruntime it cannot reach, so what another thread may have been using is left alone.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

SHADOW_THREAD = "edgerun-shadow"
"""The name of shadow threads. They run models of their own, which no call uses."""

LOG_THREAD = "edgerun-log"
"""The name of threads that write the log. They run no model."""

FOLLOW_THREAD = "edgerun-follow"
"""The name of threads that follow a store. They run models only within inside_models()."""


class Forked(Protocol):
    """Something that goes on in a forked child."""

    def after_fork(self, *, alone: bool) -> None:
        """Mend this object in the child; ``alone`` says that no other thread can have been inside a model."""


_objects: weakref.WeakSet[Forked] = weakref.WeakSet()
_alone = True
_inside: set[int] = set()
"""Threads within inside_models(). A child reads it as it stood at the very moment of the fork."""


def follow_forks(forked: Forked) -> None:
    """Call the object's after_fork() in every child that is forked while it lives."""
    _objects.add(forked)


@contextmanager
def inside_models() -> Iterator[None]:
    """Say that this thread of edgerun's own, which otherwise runs no model, loads and runs some now."""
    me = threading.get_ident()
    _inside.add(me)
    try:
        yield
    finally:
        _inside.discard(me)


def _before_fork() -> None:
    global _alone  # noqa: PLW0603 - what the parent sees before the fork is told to the child after it
    others = (thread for thread in threading.enumerate() if thread is not threading.current_thread())
    _alone = all(thread.name in {SHADOW_THREAD, LOG_THREAD, FOLLOW_THREAD} for thread in others)


def _after_fork_in_child() -> None:
    alone = _alone and not _inside - {threading.get_ident()}
    _inside.clear()
    for forked in list(_objects):
        forked.after_fork(alone=alone)


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
