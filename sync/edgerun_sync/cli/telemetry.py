"""The options of ``edgerun collector serve`` that send what is measured to a receiver of OTLP."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgerun_sync.errors import TelemetryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgerun_sync.collector.http.metrics import Metrics

F = TypeVar("F", bound="Callable[..., Any]")

DEFAULT_EVERY_S = 60.0
OWN, ARMS = "collector", "arms"
"""What is measured."""

_OPTIONS = (
    click.option(
        "--otlp",
        metavar="URL",
        help="Send metrics to this receiver of OTLP over HTTP, too; OTEL_EXPORTER_OTLP_HEADERS has its secrets.",
    ),
    click.option(
        "--otlp-every",
        type=click.FloatRange(0, min_open=True),
        default=DEFAULT_EVERY_S,
        show_default=True,
        metavar="SECONDS",
        help="Between two times.",
    ),
    click.option("--otlp-arms", is_flag=True, help="Send also how every arm of the fleet did in the last minutes."),
)


def otlp_options(command: F) -> F:
    """Add the options to a command, which hands them to `telemetry`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def telemetry(
    url: str, metrics: Metrics, listen: tuple[str, int], *, otlp: str | None, otlp_every: float, otlp_arms: bool
) -> AbstractContextManager[object]:
    """Return what sends metrics on while it is entered; without a receiver, nothing does.

    Args:
        url: of the data, where calls are.
        metrics: the collector's own.
        listen: where it listens, which tells it from others of the same machine.
        otlp: the receiver's URL.
        otlp_every: seconds between two times.
        otlp_arms: whether calls are counted, too.

    Raises:
        TelemetryError: the URL or the environment is not what it should be, or OpenTelemetry's library is missing.
    """
    if otlp is None:
        if otlp_arms:
            raise click.UsageError("--otlp-arms needs a receiver: --otlp URL")
        return nullcontext()
    try:
        from edgerun_sync.collector.telemetry import Source, Telemetry  # noqa: PLC0415 - most collectors need none
    except ModuleNotFoundError as error:
        missing = f"--otlp needs the module {error.name!r}, which is not installed"
        raise TelemetryError(f'{missing}; try: pip install "edgerun[collector]"') from error

    sources = [Source(OWN, metrics.families, is_told_at_the_end=True)]
    if otlp_arms:
        from edgerun_sync.collector.data import open_data  # noqa: PLC0415 - the tables' library is slow to load
        from edgerun_sync.queries.arms import RecentArms  # noqa: PLC0415 - likewise

        arms = RecentArms(lambda: open_data(url).tables)
        sources.append(Source(ARMS, arms.families, arms.interrupt))
    instance = f"{socket.gethostname()}:{listen[1]}"
    return Telemetry(otlp, sources, instance=instance, every_s=otlp_every, done=metrics.exported)
