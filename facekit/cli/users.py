"""``facekit users``: who may come in, from a shell; it works while the service runs."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facekit.cli.terminal import check_there
from facekit.server.roles import SCOPES, Role
from facekit.storage.logs import quiet_console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.server.accounts import Accounts
    from facekit.server.roles import Scope

users_app = typer.Typer(no_args_is_help=True)


def _scope(text: str) -> str:
    if text not in SCOPES:
        message = f"{text} is none of {', '.join(SCOPES)}."
        raise typer.BadParameter(message)
    return text


Name = Annotated[str, typer.Argument(help="The user's name.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")]


@users_app.command()
def add(
    context: typer.Context,
    name: Name,
    role: Annotated[Role, typer.Option(help="viewer: see and search; editor: also export and ingest; admin: all.")],
    password_stdin: FromStdin = False,
) -> None:
    """Make an account; the first has to be an admin's. From then on everybody has to sign in."""
    with _accounts(context) as accounts:
        user = accounts.add(name, _password(from_stdin=password_stdin), role)
    typer.echo(f"{user.name} can sign in ({user.role}).")


@users_app.command("list")
def list_users(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the accounts."""
    with _accounts(context) as accounts:
        users = accounts.users()
    if as_json:
        rows = [
            {"name": user.name, "role": user.role, "disabled": user.disabled, "created_at": user.created_at.isoformat()}
            for user in users
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    table = Table("name", "role", "", "since", header_style="bold")
    for user in users:
        table.add_row(escape(user.name), user.role, "locked" if user.disabled else "", f"{user.created_at:%Y-%m-%d}")
    Console(highlight=False).print(table)


@users_app.command("role")
def change_role(
    context: typer.Context, name: Name, role: Annotated[Role, typer.Argument(help="The new role.")]
) -> None:
    """Change what a user may do, at once."""
    with _accounts(context) as accounts:
        user = accounts.change(name, role=role)
    typer.echo(f"{user.name} is {user.role} now.")


@users_app.command("password")
def change_password(context: typer.Context, name: Name, password_stdin: FromStdin = False) -> None:
    """Give a user a new password; their sessions and API keys end."""
    with _accounts(context) as accounts:
        user = accounts.change(name, password=_password(from_stdin=password_stdin))
    typer.echo(f"{user.name} has a new password.")


@users_app.command()
def disable(context: typer.Context, name: Name) -> None:
    """Lock a user out, at once; everything is kept."""
    with _accounts(context) as accounts:
        user = accounts.change(name, disabled=True)
    typer.echo(f"{user.name} is locked.")


@users_app.command()
def enable(context: typer.Context, name: Name) -> None:
    """Let a locked user in again."""
    with _accounts(context) as accounts:
        user = accounts.change(name, disabled=False)
    typer.echo(f"{user.name} can sign in.")


@users_app.command()
def remove(context: typer.Context, name: Name) -> None:
    """Remove a user with all sessions and keys."""
    with _accounts(context) as accounts:
        accounts.remove(name)
    typer.echo(f"{name} was removed.")


@users_app.command()
def key(
    context: typer.Context,
    user: Name,
    scope: Annotated[
        list[str],
        typer.Option(
            parser=_scope, metavar="SCOPE", help=f"What the key may do, one or several of: {', '.join(SCOPES)}."
        ),
    ],
    name: Annotated[str, typer.Option(help="What the key will be known by.")] = "",
    expires: Annotated[int | None, typer.Option(min=1, help="Days that it is good for; by default always.")] = None,
) -> None:
    """Make an API key for a program of this user. It is printed once, alone on stdout."""
    from facekit.server.tokens import Keys

    with _accounts(context) as accounts:
        secret, made = Keys(accounts.store).create(user, cast("list[Scope]", scope), name=name, expires_days=expires)
    typer.echo(f"The key {made.id} of {made.user}; it can't be shown again:", err=True)
    typer.echo(secret)


@users_app.command("keys")
def list_keys(context: typer.Context) -> None:
    """List the API keys, with the ids that `revoke` takes."""
    from facekit.server.tokens import Keys

    table = Table("id", "user", "name", "scopes", "last used", "", header_style="bold")
    with _accounts(context) as accounts:
        for one in Keys(accounts.store).of():
            used = f"{one.last_used_at:%Y-%m-%d}" if one.last_used_at else "never"
            state = "revoked" if one.revoked else ""
            table.add_row(one.id, escape(one.user), escape(one.name), " ".join(one.scopes), used, state)
    Console(highlight=False).print(table)


@users_app.command()
def revoke(context: typer.Context, key_id: Annotated[str, typer.Argument(help="The key's id.")]) -> None:
    """End an API key, at once."""
    from facekit.server.tokens import Keys

    with _accounts(context) as accounts:
        Keys(accounts.store).revoke(key_id)
    typer.echo(f"The key {key_id} is good no longer.")


@contextmanager
def _accounts(context: typer.Context) -> Iterator[Accounts]:
    from facekit.server.accounts import Accounts
    from facekit.server.stores import open_store
    from facekit.storage.place import backend_at, whole_place

    check_there(context.obj)
    quiet_console()
    store = open_store(backend_at(whole_place(context.obj)))
    try:
        yield Accounts(store)
    finally:
        store.close()


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return asked
