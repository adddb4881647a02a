"""``facekit sources``: places that photos come from besides folders, such as a cloud disk."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from facekit.cli.terminal import (
    AsJson,
    in_shell_words,
    interval_of,
    note,
    open_existing,
    open_given,
    out,
    plain,
    print_json,
    print_table,
)
from facekit.errors import FacekitError, RefusedError
from facekit.sources.kinds import kind_of_address, kinds
from facekit.types.sources import PlaceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facekit.types.sources import ConnectedPlace

sources_app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What the place is called in the library.")]
TokenFile = Annotated[
    str | None,
    typer.Option("--token-file", metavar="FILE", help="A file whose first line is the token; - is standard input."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the place, see `facekit sources kinds`; repeat it."),
]


@sources_app.command("kinds")
def list_kinds(as_json: AsJson = False) -> None:
    """List the kinds of places that can be connected, with their settings and the hosts that are contacted."""
    found = [
        {
            "kind": kind.name,
            "words": kind.words,
            "token": "needed" if kind.needs_token else "optional" if kind.sign_in else "none",
            "settings": dict(kind.settings),
            "hosts": list(kind.hosts),
        }
        for kind in kinds().values()
    ]
    if as_json:
        print_json(found)
        return
    for kind, one in zip(kinds().values(), found, strict=True):
        settings = [f"  --set {name}=...  {what}" for name, what in kind.settings.items()]
        hosts = ", ".join(kind.hosts) or ("none" if kind.name == "takeout" else "the one that you name")
        out.print(f"{kind.name} ({kind.words}); token: {one['token']}", markup=False)
        out.print("\n".join([*settings, f"  hosts: {hosts}"]), markup=False, soft_wrap=True)


@sources_app.command()
def add(
    context: typer.Context,
    place: Annotated[str, typer.Argument(metavar="KIND|ADDRESS", help="An address, or a kind: see `sources kinds`.")],
    name: Annotated[str | None, typer.Option(help="What to call it; by default its kind.")] = None,
    settings: Settings = None,
    token_file: TokenFile = None,
    keep_originals: Annotated[
        bool | None, typer.Option("--keep-originals/--cache-originals", help="Keep the photos' files here for good.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Connect a place. Nothing is fetched before `facekit sources sync`. A token is asked for without an echo."""
    given = dict(map(_setting, settings or ()))
    token = _token(token_file) or _asked_token(place, given)
    with open_given(context) as library:
        made = library.sources.add(place, name=name, settings=given, token=token, keep_originals=keep_originals)
    if as_json:
        print_json(asdict(made))
        return
    out.print(
        f"{made.name} is connected: {plain(made.place)}. Bring it in: facekit sources sync {made.name}", soft_wrap=True
    )


@sources_app.command("list")
def list_sources(context: typer.Context, as_json: AsJson = False) -> None:
    """List the connected places, and how the last sync of each has ended."""
    with open_existing(context) as library:
        found = library.sources.list()
    if as_json:
        print_json([asdict(one) for one in found])
    elif not found:
        out.print("No place is connected: facekit sources add ADDRESS")
    else:
        rows = [(one.name, one.state, one.photos, _moment(one), one.place) for one in found]
        print_table(["name", "state", "photos", "synced", "place"], rows)
        for one in found:
            if one.problem:
                out.print(f"{one.name}: {in_shell_words(_problem(one))}", markup=False, soft_wrap=True)


@sources_app.command()
def sync(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Which; by default all that are not paused.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only photos from this day on: 2024-05-31.")] = None,
    album: Annotated[str | None, typer.Option(help="Only this album or folder, with those below it.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only: what would come, and how many bytes.")] = False,
    most: Annotated[str | None, typer.Option(help="The most to fetch from each place now, such as 5GB.")] = None,
    every: Annotated[str | None, typer.Option(help="Again and again, such as every 6h or 30min, until Ctrl-C.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring in what is new at connected places, and note what is gone. Run it again to go on after a stop."""
    wait = None if every is None else interval_of(every).total_seconds()
    most_bytes = None if most is None else _bytes(most)
    while True:
        began = time.monotonic()
        with open_existing(context) as library:
            report = library.sources.sync(
                *(names or ()), since=since, album=album, dry_run=dry_run, most_bytes=most_bytes
            )
            left = [] if names else [one for one in library.sources.list() if not one.waits_for_nothing]
        if as_json:
            print_json(report.to_dict())
        else:
            out.print(in_shell_words(repr(report)), markup=False, soft_wrap=True)
        synced = {one.name for one in report.places}
        for one in left:
            if one.name not in synced:
                note.print(f"{one.name} is left out: {_left_out(one)}", markup=False, soft_wrap=True)
        if any(one.stopped for one in report.places) or (wait is None and not report.ended_well):
            raise typer.Exit(1)
        if wait is None:
            return
        pause = max(0.0, wait - (time.monotonic() - began))
        note.print(f"The next sync begins in {pause / 60:.0f} min; Ctrl-C ends it.", markup=False)
        time.sleep(pause)


@sources_app.command()
def pause(context: typer.Context, name: Name) -> None:
    """Leave a place out of syncs that name none."""
    with open_existing(context) as library:
        library.sources.pause(name)
    out.print(f"{plain(name)} is paused: facekit sources resume {plain(name)} ends that.", soft_wrap=True)


@sources_app.command()
def resume(context: typer.Context, name: Name) -> None:
    """Sync a paused place again."""
    with open_existing(context) as library:
        library.sources.pause(name, paused=False)
    out.print(f"{plain(name)} is synced with the others again.", soft_wrap=True)


@sources_app.command()
def remove(
    context: typer.Context,
    name: Name,
    photos: Annotated[
        Literal["keep", "forget"] | None,
        typer.Option(help="Whether the library keeps its photos, or forgets them; without it, you are asked."),
    ] = None,
) -> None:
    """Connect a place no more: its token is revoked where the service can, and forgotten."""
    with open_existing(context) as library:
        place = library.sources.get(name)
        what = photos or _what_stays(place)
        forgotten = library.sources.remove(name, photos=what)
    stays = f"{forgotten} photos are forgotten" if what == "forget" else f"its {place.photos} photos stay"
    out.print(f"{plain(name)} is connected no more; {stays}. Nothing was changed there.", soft_wrap=True)


@sources_app.command()
def reconnect(context: typer.Context, name: Name, token_file: TokenFile = None) -> None:
    """Give a place another token, or sign in anew."""
    token = _token(token_file)
    with open_existing(context) as library:
        place = library.sources.get(name)
        library.sources.reconnect(name, token=token or _asked_token(place.kind, {}))
    out.print(f"{plain(name)} is connected again: facekit sources sync {plain(name)}", soft_wrap=True)


@sources_app.command()
def check(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Walk through every step of a sync, with one photo, changing nothing, and print what works."""
    with open_existing(context) as library:
        steps = library.sources.check(name)
    if as_json:
        print_json([asdict(one) for one in steps])
    else:
        out.print(in_shell_words(repr(steps)), markup=False, soft_wrap=True)
    if not steps.works:
        raise typer.Exit(1)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        message = f"{text!r} is no setting."
        raise RefusedError(message, "Write --set NAME=VALUE, such as --set album=Summer.")
    return name.strip(), value.strip()


def _token(file: str | None) -> str | None:
    """The token in a file, or on standard input."""
    if file is None:
        return None
    try:
        if file == "-":
            line = sys.stdin.readline()
        else:
            with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - a path as it was typed
                line = opened.readline()
    except (OSError, UnicodeDecodeError) as error:
        message = f"The token can't be read from {file}: {getattr(error, 'strerror', None) or error}."
        raise FacekitError(message, "Put it into the first line of a file of your own.") from error
    return line.strip() or None


def _asked_token(place: str, settings: Mapping[str, str]) -> str | None:
    """A token that somebody types, where the kind of place wants one and there is nothing to sign in to here."""
    found = kind_of_address(place)
    kind = found[0] if found else kinds().get(place.strip().lower().replace("_", "-"))
    settings = {**(found[1] if found else {}), **settings}
    if kind is None or not kind.needs_token_for(settings) or not sys.stdin.isatty():
        return None
    words = f"Token for {kind.words}" + (" (Enter signs in with a browser)" if kind.sign_in else "")
    return typer.prompt(words, default="", hide_input=True, show_default=False).strip() or None


def _what_stays(place: ConnectedPlace) -> Literal["keep", "forget"]:
    if not place.photos:
        return "keep"
    asked = f"Forget its {place.photos} photos with their faces, too? They stay in the library otherwise."
    return "forget" if typer.confirm(asked, default=False) else "keep"


_SIZES = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def _bytes(text: str) -> int:
    number, unit = text.strip()[:-2], text.strip()[-2:].lower()
    try:
        found = int(float(number.strip()) * _SIZES[unit])
    except (KeyError, ValueError, OverflowError):
        found = 0
    if found <= 0:
        message = f"{text!r} is no size."
        raise RefusedError(message, "Write 500MB or 5GB.")
    return found


def _left_out(one: ConnectedPlace) -> str:
    if one.state is PlaceState.PAUSED:
        return f"it is paused; facekit sources resume {one.name} ends that."
    return f"{_problem(one)} facekit sources sync {one.name} tries it now."


def _moment(one: ConnectedPlace) -> str:
    return f"{one.synced_at.astimezone():%Y-%m-%d %H:%M}" if one.synced_at else "never"


def _problem(one: ConnectedPlace) -> str:
    later = f" It can go on at {one.resume_at.astimezone():%Y-%m-%d %H:%M}." if one.resume_at else ""
    return f"{one.problem} {one.remedy or ''}{later}".strip() if one.problem else ""
