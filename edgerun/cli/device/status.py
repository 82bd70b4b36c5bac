"""``edgerun device status`` and ``history``: what a device serves, what it follows, and what happened to bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgerun.cli.device import asked
from edgerun.cli.output import columns, examples, json_line

if TYPE_CHECKING:
    from edgerun.store import Store


@click.command(
    short_help="What the device serves and follows.",
    epilog=examples("edgerun device status --store /var/lib/edgerun", "edgerun device status --store store --json"),
)
@asked.store_folder
@asked.as_json
def status(folder: str, as_json: bool) -> None:
    """Tell what the device serves, what it follows, and what it trusts."""
    store = asked.opened(folder)
    click.echo(json_line(_document(store)) if as_json else columns(_rows(store)))


def _document(store: Store) -> dict[str, Any]:
    state, follows = store.state(), store.subscription()
    return {
        "device": store.device,
        "follows": None if follows is None else follows._asdict(),
        "current": asked.document(store.current()),
        "previous": asked.document(store.previous()),
        "candidate": asked.document(store.candidate()),
        "starts_left": None if state.candidate is None else state.candidate.starts_left,
        "bad": [{"digest": bad.digest, "why": bad.why} for bad in state.bad],
        "floors": dict(state.floors),
        "fresh": asked.time_text(state.seen_s) if state.seen_s else None,
    }


def _rows(store: Store) -> list[tuple[str, str]]:
    state, follows = store.state(), store.subscription()
    rows = [("device", store.device)]
    if follows is not None:
        groups = f", in {', '.join(follows.groups)}" if follows.groups else ""
        rows.append(("follows", f"{follows.bundle} in {follows.channel} of {follows.repository}{groups}"))
    for what, found in (("current", store.current()), ("previous", store.previous()), ("candidate", store.candidate())):
        if found is not None:
            rows.append((what, f"{asked.full_name(found)}  {asked.short(found.digest)}"))
    if state.current is None:
        rows.append(("current", "none yet"))
    if state.candidate is not None:
        rows.append(("starts left", str(state.candidate.starts_left)))
    rows += [("bad", f"{asked.short(bad.digest)}: {bad.why}") for bad in state.bad]
    rows += [("fresh", asked.time_text(state.seen_s))] if state.seen_s else []
    return rows


@click.command(
    short_help="What happened to bundles, oldest first.",
    epilog=examples("edgerun device history --store /var/lib/edgerun"),
)
@asked.store_folder
@asked.as_json
def history(folder: str, as_json: bool) -> None:
    """Tell what was activated, confirmed, rejected and rolled back, oldest first."""
    store = asked.opened(folder)
    kept = (store.current(), store.previous(), store.candidate())
    names = {found.digest: asked.full_name(found) for found in kept if found is not None}
    if as_json:
        happened = [
            {"time": asked.time_text(one.time_s), "what": one.what, "digest": one.digest} for one in store.history()
        ]
        click.echo(json_line({"history": happened}))
        return
    rows = [
        (asked.time_text(one.time_s), one.what, asked.short(one.digest), names.get(one.digest, ""))
        for one in store.history()
    ]
    click.echo(columns(rows) if rows else "nothing has happened yet")
