"""The options of ``edgerun collector serve`` that let it act on ROLL BACK, and the keys that it then has."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edgerun_sync.cli.key_folders import PASSPHRASE_VARIABLE, opened_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edgerun_bundles.repository.publishing import Signers
    from edgerun_sync.collector.audit import Audit
    from edgerun_sync.collector.objects import Objects
    from edgerun_sync.collector.repository import Repository
    from edgerun_sync.collector.watching import Looked

LOOK_EVERY_S = 3600.0
LOOK_MIN_S = 1.0


class Acting(NamedTuple):
    """What the options say."""

    channel_keys: Path | None
    """The folder of keys; None where the collector does not act."""

    known_keys: Path | None
    """The folder of known keys, a file for each experiment."""

    every_s: float
    """Seconds between two looks."""

    def signers(self) -> Signers | None:
        """Open the keys; see `opened_keys`.

        Raises:
            UsageError: there is no passphrase, or no private key.
            RepositoryError: a key cannot be opened.
        """
        return None if self.channel_keys is None else opened_keys(self.channel_keys, "--channel-keys")

    def watch(
        self,
        place: str,
        objects: Objects,
        repository: Repository,
        audit: Audit,
        keys: Collection[Signers | None],
        done: Callable[[Looked], object],
    ) -> AbstractContextManager[object]:
        """Return what looks at experiments while it is entered; nothing does where the collector does not act.

        Args:
            place: of the tables.
            objects: where notes are kept.
            repository: where experiments run.
            audit: where acts are written down.
            keys: whose signatures count; None is nobody's.
            done: is told of each look at an experiment.
        """
        if self.channel_keys is None:
            return nullcontext()
        from edgerun_sync.collector.rollbacks import Hands  # noqa: PLC0415 - the TUF library is slow to load
        from edgerun_sync.collector.watching import Tables, Watch  # noqa: PLC0415 - likewise

        held = Held([one for one in keys if one is not None])
        hands = Hands(repository.storage, held, objects, audit)
        return Watch(hands, Tables(place, self.known_keys), every_s=self.every_s, done=done)


class Held:
    """The keys of several folders.

    Args:
        folders: of keys.
    """

    def __init__(self, folders: Collection[Signers]) -> None:
        self._folders = folders

    def signers(self, keyids: Collection[str]) -> list[Any]:
        """Return the signers of those keys that are in any of the folders, each once."""
        found = {one.public_key.keyid: one for folder in self._folders for one in folder.signers(keyids)}
        return [*found.values()]


def acting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options, and the argument ``acting`` that says what they are."""

    @functools.wraps(command)
    def wrapped(
        *arguments: Any,
        act_on_rollback: bool,
        channel_keys: Path | None,
        known_keys: Path | None,
        look_every: float,
        **options: Any,
    ) -> Any:
        if act_on_rollback != (channel_keys is not None):
            raise click.UsageError("--act-on-rollback and --channel-keys go together")
        return command(*arguments, acting=Acting(channel_keys, known_keys, look_every), **options)

    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    for option in (
        click.option(
            "--look-every",
            type=click.FloatRange(LOOK_MIN_S),
            default=LOOK_EVERY_S,
            show_default=True,
            metavar="SECONDS",
            help="Between two looks at an experiment, about.",
        ),
        click.option("--known-keys", type=folder, help="Folder with known keys of experiments: NAME.txt, one a line."),
        click.option(
            "--channel-keys",
            type=folder,
            help=f"Folder with keys of channels, snapshot and timestamp; {PASSPHRASE_VARIABLE} has the passphrase.",
        ),
        click.option("--act-on-rollback", is_flag=True, help="Stop experiments that do harm: docs/experiments.md."),
    ):
        wrapped = option(wrapped)
    return wrapped
