"""What several commands of an experiment ask: its phases in a repository, the facts of these, and times and keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edgerun_bundles.cli.progress import progress_bar
from edgerun_bundles.cli.signing import reading
from edgerun_sync.errors import ExperimentError
from edgerun_sync.limits import LIMITS

if TYPE_CHECKING:
    from pathlib import Path

    from edgerun.bundle import Bundle
    from edgerun_bundles.experiment.published import Published
    from edgerun_sync.experiments.facts import Facts
    from edgerun_sync.queries.training import Training


class ReadBundle(NamedTuple):
    """A bundle, and what was read of its files."""

    bundle: Bundle
    """Its description."""

    training: Training
    """What its training data were like."""


def parse_time(ctx: click.Context, param: click.Parameter, text: str | None) -> datetime:
    """Return a time of ISO 8601, in UTC where it has no zone; now where there is none."""
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no time such as 2026-01-31T12:00:00", ctx, param) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


DATA = click.option("--data", metavar="DIR|s3://BUCKET/PREFIX", help="Where the collector keeps it all.")
UNTIL = click.option("--until", callback=parse_time, metavar="TIME", help="What came later is not looked at; now.")


def phases_in(repository: str | None, experiment: str) -> list[Published]:
    """Return the phases of an experiment that a repository lists, up to the one that runs.

    Raises:
        InputError: no repository is chosen.
        RepositoryError: it has no such experiment, or something cannot be read.
    """
    from edgerun_bundles.experiment.published import phases_so_far  # noqa: PLC0415 - the TUF library is slow to load

    place = reading(repository)
    return phases_so_far(
        place.source, place.read(), experiment, lambda length: progress_bar(length, "looking through the versions")
    )


def facts_of(
    phases: list[Published], repository: str | None, data: str, engine: str | None, keys: Path | None, until: datetime
) -> Facts:
    """Ask the tables for the facts of an experiment, whose phases a repository lists.

    Raises:
        QueryError: the engine failed.
        ExperimentError: nothing was recorded, or the keys cannot be read.
        CollectorError: the tables cannot be read.
        BundleError: the plan is wrong, or does not fit a version.
    """
    from edgerun_sync.queries.engines import open_engine  # noqa: PLC0415 - engines are slow to load
    from edgerun_sync.queries.published import published_facts  # noqa: PLC0415 - likewise
    from edgerun_sync.queries.training import training_published  # noqa: PLC0415 - likewise

    known = None if keys is None else lines_of(keys)
    training = training_published(reading(repository).source, phases[-1])
    with open_engine(data, engine) as opened:
        return published_facts(opened, phases, until=until, keys=known, training=training)


def kept_facts(path: Path) -> Facts:
    """Return the facts of a former report in JSON, or of facts alone.

    Raises:
        ExperimentError: it cannot be read, is too large, or holds none.
    """
    from edgerun_sync.experiments.facts_json import parse_facts  # noqa: PLC0415 - brings numpy

    try:
        if path.stat().st_size > LIMITS.facts_max_bytes:
            raise ExperimentError(f"{path} is larger than {LIMITS.facts_max_bytes} bytes")
        document: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ExperimentError(f"{path} cannot be read as JSON: {error}") from error
    return parse_facts(document["facts"] if isinstance(document, dict) and "facts" in document else document, str(path))


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file that are not empty.

    Raises:
        ExperimentError: it cannot be read.
    """
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} cannot be read as keys, one a line, in UTF-8: {error}") from error


def read_bundles(bundles: tuple[Path, ...], repository: str | None) -> list[ReadBundle]:
    """Return bundles as they are named; whoever looks at them later needs none of their files.

    Raises:
        BundleError: one cannot be read.
        RepositoryError: one cannot be fetched.
    """
    from edgerun_bundles.cli.opened import opened  # noqa: PLC0415 - brings the models' library
    from edgerun_sync.queries.training import training_in  # noqa: PLC0415 - likewise

    found = []
    for path in bundles:
        with opened(path, repository) as one:
            found.append(ReadBundle(one.bundle, training_in(one.bundle)))
    return found
