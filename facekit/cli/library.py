"""``facekit init``, ``stats``, ``doctor``, ``upgrade``, ``backup``, ``restore``, ``migrate``: a library as a whole."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from facekit.cli.terminal import (
    AsJson,
    Device,
    EngineName,
    check_there,
    note,
    open_existing,
    open_given,
    out,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.storage.backend import Backend

IndexAddress = Annotated[
    str, typer.Option(help='A Milvus server, http://HOST:19530, or "postgresql" for the catalog\'s database.')
]
BlobsAddress = Annotated[
    str, typer.Option(help="Where thumbnails are: a folder that all machines see, or s3://...; by default DIR.")
]
BrokerAddress = Annotated[str, typer.Option(help="redis://HOST:6379, which tells workers of new work sooner.")]
_CATALOG = "postgresql://USER@HOST/DATABASE?library=NAME; the password comes from PGPASSWORD."


def init(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A new folder, with which this machine opens it; or one that does already."),
    ],
    catalog: Annotated[str, typer.Option(help=_CATALOG)],
    index: IndexAddress = "",
    blobs: BlobsAddress = "",
    broker: BrokerAddress = "",
    detector: Annotated[str | None, typer.Option(help="The detector of a new library.")] = None,
    embedder: Annotated[str | None, typer.Option(help="The embedder of a new library.")] = None,
) -> None:
    """Make a library on servers, let a folder lead to one that is there, or change that one's addresses."""
    from facekit.library.opening import init_library

    servers = {"catalog": catalog, "index": index, "blobs": blobs, "broker": broker}
    with init_library(folder, detector=detector, embedder=embedder, **servers) as library:
        photos = sum(library.stats()["photos"].values())
    note.print(f"{folder} leads to a library with {photos} photos.", markup=False, soft_wrap=True)


def upgrade(context: typer.Context) -> None:
    """Bring the catalog of a library on servers to this facekit's version: once, while nobody else uses it."""
    from facekit.storage.place import backend_at, upgrade_catalog, whole_place

    said = upgrade_catalog(context.obj)
    try:
        from facekit.server.stores import upgrade_store
    except ModuleNotFoundError:  # a machine with the service's packages upgrades the service's tables
        said += " The service's packages are not here: accounts and jobs were left as they are."
    else:
        upgrade_store(backend_at(whole_place(context.obj)))
    note.print(said, markup=False, soft_wrap=True)


def stats(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the numbers of a library."""
    with open_existing(context) as library:
        numbers = library.stats()
    if as_json:
        print_json(numbers)
    else:
        print_table(["", ""], [[name, value] for name, value in numbers.items()])


def doctor(
    context: typer.Context,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Rescue what can be read of a damaged catalog; for a lost one, begin anew. On servers: make the "
            "vector index anew from the catalog.",
        ),
    ] = False,
    device: Device = "auto",
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Check versions, weights, the device and, where there is one, the library."""
    from facekit.storage.place import is_there, repair_library, whole_place

    if repair:
        note.print(repair_library(whole_place(context.obj)), markup=False, soft_wrap=True)
    from facekit.models.registry import default_models
    from facekit.storage.doctor import Doctor, examine_machine

    if is_there(context.obj):
        with open_given(context, device=device, engine=engine) as library:
            result = library.doctor()
    else:
        note.print(f"There is no library in {context.obj}; the machine only is checked.", markup=False)
        detector, embedder, _ = default_models()
        result = Doctor(tuple(examine_machine(detector, embedder, device, engine)))
    if as_json:
        print_json(result.to_dict())
    else:
        out.print(repr(result), markup=False, soft_wrap=True)
    if not result:
        raise typer.Exit(1)


def backup(
    context: typer.Context, target: Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]
) -> None:
    """Bring a backup of the library up to date, also while a service has it. It holds faces, and no photos."""
    with open_existing(context) as library:
        count = library.backup(target)
    note.print(f"{target} is up to date ({count} new thumbnails).", markup=False, soft_wrap=True)


def restore(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of the library that is there; it is kept beside it.")
    ] = False,
) -> None:
    """Make a library of a backup, in a folder that is empty or not there."""
    from facekit.storage.backup import restore as bring_back
    from facekit.storage.place import folder_of_place

    if aside := bring_back(target, folder_of_place(context.obj), replace=replace):
        note.print(f"The library that was there is {aside} now.", markup=False, soft_wrap=True)
    note.print(f"{context.obj} is restored.", markup=False, soft_wrap=True)


def migrate(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="An empty library: DIR, or the address of a catalog; DIR is made.")],
    catalog: Annotated[str, typer.Option(help=f"Make DIR lead to a library on servers: {_CATALOG}")] = "",
    index: IndexAddress = "",
    blobs: BlobsAddress = "",
    broker: BrokerAddress = "",
    as_json: AsJson = False,
) -> None:
    """Copy the library into an empty one: from its folder to servers, or back. Run it again after a stop."""
    from facekit.library.migration import migrate_library

    check_there(context.obj)
    also = _accounts_too()
    done = migrate_library(context.obj, to, catalog=catalog, index=index, blobs=blobs, broker=broker, also=also)
    if as_json:
        print_json(done.to_dict())
    else:
        out.print(repr(done), markup=False, soft_wrap=True)


def _accounts_too() -> Callable[[Backend, Backend], None] | None:
    """What copies a service's accounts; None where the service's packages are missing, without which there are none."""
    try:
        from facekit.server.account_copy import copy_accounts_of
    except ModuleNotFoundError:
        return None
    return copy_accounts_of
