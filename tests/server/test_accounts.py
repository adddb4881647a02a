"""Accounts, sessions and keys as they are kept, and ``facekit users``."""

from __future__ import annotations

import json
import sqlite3
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from loguru import logger
from typer.testing import CliRunner

from facekit.cli.users import users_app
from facekit.errors import FacekitError, LibraryError
from facekit.server import tokens
from facekit.server.accounts import AccountConflictError, AccountError, AccountNotFoundError, Accounts
from facekit.server.database import ServiceStore
from facekit.server.shared_store import SharedServiceStore
from facekit.server.tables import api_keys, sessions, users
from facekit.server.tokens import SESSION_SECONDS, Keys, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    Opener = Callable[[], ServiceStore]

PASSWORD = "a wall of seven bricks"
OTHER = "a fence of eight boards"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "library.toml").touch()
    return tmp_path


@pytest.fixture
def own_store(folder: Path) -> Iterator[ServiceStore]:
    """The store in a folder."""
    store = ServiceStore(folder)
    yield store
    store.close()


@pytest.fixture
def own_accounts(own_store: ServiceStore) -> Accounts:
    accounts = Accounts(own_store)
    accounts.add("Ольга", PASSWORD, "admin")
    return accounts


@pytest.fixture
def accounts(store: ServiceStore) -> Accounts:
    accounts = Accounts(store)
    accounts.add("Ольга", PASSWORD, "admin")
    return accounts


def test_a_user_is_known_by_name_and_password(accounts: Accounts) -> None:
    user = accounts.check("ольга", PASSWORD)
    assert user is not None
    assert (user.name, user.role, user.disabled) == ("Ольга", "admin", False)
    assert accounts.check("Ольга", OTHER) is None
    assert accounts.check("nobody", PASSWORD) is None


def test_accents_are_the_same_however_a_keyboard_writes_them(accounts: Accounts) -> None:
    accounts.add("zoe\N{COMBINING DIAERESIS}", "cafe\N{COMBINING ACUTE ACCENT} at the corner", "viewer")
    assert accounts.check(
        "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}", "caf\N{LATIN SMALL LETTER E WITH ACUTE} at the corner"
    )


def test_the_database_holds_no_password_and_is_for_its_owner_only(own_store: ServiceStore, folder: Path) -> None:
    accounts = Accounts(own_store)
    accounts.add("Ольга", PASSWORD, "admin")
    for name in ("service.db", "service.db-wal"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    _, refresh = (pair := Sessions(accounts.store).start("Ольга")).access, pair.refresh
    key, _ = Keys(accounts.store).create("Ольга", ["read"])
    accounts.store.close()
    with sqlite3.connect(folder / "service.db") as connection:
        dump = "\n".join(connection.iterdump())
    for secret in (PASSWORD, refresh.partition(".")[2], key.split("_", 2)[2]):
        assert secret not in dump
        assert secret.encode().hex() not in dump.lower()
    assert "$argon2id$" in dump


def test_a_server_holds_no_password_either(shared_store_opener: Opener) -> None:
    accounts = Accounts(shared_store_opener())
    accounts.add("Ольга", PASSWORD, "admin")
    refresh = Sessions(accounts.store).start("Ольга").refresh
    key, _ = Keys(accounts.store).create("Ольга", ["read"])
    with accounts.store.read() as connection:
        rows = [repr(connection.execute(sa.select(table)).all()) for table in (users, sessions, api_keys)]
    accounts.store.close()
    assert "$argon2id$" in rows[0]
    for secret in (PASSWORD, refresh.partition(".")[2], key.split("_", 2)[2]):
        assert secret not in "".join(rows)


def test_several_services_know_the_same_people_and_believe_each_others_tokens(store_opener: Opener) -> None:
    one, other = store_opener(), store_opener()
    Accounts(one).add("ada", PASSWORD, "admin")
    assert Accounts(other).check("Ada", PASSWORD)
    pair = Sessions(one).start("ada")
    identity = Sessions(other).identify(pair.access)
    assert identity is not None
    assert identity.name == "ada"
    fresh = Sessions(other).refresh(pair.refresh)
    assert fresh is not None
    assert Sessions(one).refresh(pair.refresh) is None  # it was used, wherever
    assert Sessions(other).identify(fresh.access) is None
    key, made = Keys(one).create("ada", ["read"], expires_days=400_000)
    assert Keys(other).identify(key)
    Keys(other).revoke(made.id)
    assert Keys(one).identify(key) is None
    one.close()
    other.close()


def test_of_two_services_one_gives_the_last_admins_place_away(store_opener: Opener) -> None:
    stores = [store_opener() for _ in range(2)]
    ways = [Accounts(store) for store in stores]
    for name in ("ada", "ben"):
        ways[0].add(name, PASSWORD, "admin")
    together = Barrier(2)

    def leave(accounts: Accounts, name: str) -> str:
        together.wait()
        try:
            accounts.change(name, role="viewer")
        except AccountConflictError:
            return "refused"
        return "done"

    with ThreadPoolExecutor(2) as both:
        said = list(both.map(leave, ways, ("ada", "ben")))
    assert sorted(said) == ["done", "refused"]
    assert sorted(user.role for user in ways[1].users()) == ["admin", "viewer"]
    for store in stores:
        store.close()


def test_what_no_text_can_be_is_nobody(accounts: Accounts) -> None:
    for name in ("ольга\0", "\0", "ольга\ud800"):
        assert accounts.check(name, PASSWORD) is None
    for token in ("\0", "a\0b.c", "0" * 32 + ".\0"):
        assert Sessions(accounts.store).refresh(token) is None
    assert Keys(accounts.store).identify("fk_\0_x") is None
    _, made = Keys(accounts.store).create("ольга", ["read"], name="a\0b")
    assert made.name in {"a\0b", "a\N{REPLACEMENT CHARACTER}b"}


def test_a_schema_without_a_library_and_a_server_that_is_away_are_refused_in_a_line(
    postgres_url: str, postgres_schema: str
) -> None:
    with pytest.raises(LibraryError, match=f"There is no library .*{postgres_schema}") as refused:
        SharedServiceStore(postgres_url, postgres_schema)
    assert "secret" not in str(refused.value)
    nowhere = sa.make_url(postgres_url).set(port=1).render_as_string(hide_password=False)
    with pytest.raises(LibraryError, match="can't be read or written") as refused:
        SharedServiceStore(nowhere, postgres_schema)
    assert refused.value.remedy
    assert "\n" not in refused.value.message
    assert "secret" not in str(refused.value)


def test_an_account_is_refused_for_a_reason(accounts: Accounts) -> None:
    cases: list[tuple[str, str, type[FacekitError], str]] = [
        ("ОЛЬГА", PASSWORD, AccountConflictError, "already"),
        ("eve", "short", AccountError, "15 characters"),
        ("eve.from.the.garden", "Eve.From.The.Garden", AccountError, "user's name"),
        ("", PASSWORD, AccountError, "no name"),
        ("../etc/passwd", PASSWORD, AccountError, "no name"),
        ("[bold]eve", PASSWORD, AccountError, "no name"),
        ("eve\n", PASSWORD, AccountError, "no name"),
    ]
    for name, password, error, words in cases:
        with pytest.raises(error, match=words) as raised:
            accounts.add(name, password, "viewer")
        assert raised.value.remedy
    assert [user.name for user in accounts.users()] == ["Ольга"]


def test_the_first_account_is_an_admins_and_the_last_admin_stays(store: ServiceStore) -> None:
    accounts = Accounts(store)
    with pytest.raises(AccountConflictError, match="first account"):
        accounts.add("vera", PASSWORD, "viewer")
    assert not accounts.exist()
    accounts.add("ada", PASSWORD, "admin")
    accounts.add("vera", PASSWORD, "viewer")
    accounts.add("late", PASSWORD, "admin")
    accounts.change("late", disabled=True)  # one who can't come in does not count
    for attempt in ({"role": "editor"}, {"disabled": True}):
        with pytest.raises(AccountConflictError, match="last admin"):
            accounts.change("ADA", **attempt)  # type: ignore[arg-type]
    with pytest.raises(AccountConflictError, match="last admin"):
        accounts.remove("ada")
    accounts.change("vera", role="admin")
    accounts.remove("ada")
    assert [(user.name, user.role) for user in accounts.users()] == [("late", "admin"), ("vera", "admin")]
    with pytest.raises(AccountNotFoundError):
        accounts.remove("ada")


@pytest.mark.usefixtures("real_passwords")
def test_a_hash_with_old_parameters_is_made_anew_at_the_next_sign_in(own_accounts: Accounts) -> None:
    accounts = own_accounts

    def stored() -> str:
        with accounts.store.read() as connection:
            return str(connection.scalar(sa.select(users.c.password_hash)))

    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    with accounts.store.write() as connection:
        connection.execute(sa.update(users).values(password_hash=old))
    assert accounts.check("Ольга", OTHER) is None
    assert stored() == old
    assert accounts.check("Ольга", PASSWORD)
    assert stored() != old
    assert not PasswordHasher().check_needs_rehash(stored())
    assert accounts.check("Ольга", PASSWORD)


@pytest.mark.usefixtures("real_passwords")
def test_an_unknown_name_costs_a_hash_like_a_known_one(own_accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, *arguments: Any) -> bool:
        verified.append(arguments[0])
        return verify(self, *arguments)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    for name in ("Ольга", "nobody"):
        assert own_accounts.check(name, OTHER) is None
    assert len(verified) == 2
    assert verified[0].split("$")[:4] == verified[1].split("$")[:4]  # the same work, too


def test_a_session_ends_after_thirty_days(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Sessions(accounts.store)
    pair = keeper.start("Ольга")
    later = tokens.now() + SESSION_SECONDS
    monkeypatch.setattr(tokens, "now", lambda: later - 1)
    fresh = keeper.refresh(pair.refresh)
    assert fresh is not None
    monkeypatch.setattr(tokens, "now", lambda: later)
    assert keeper.refresh(fresh.refresh) is None
    assert keeper.identify(fresh.access) is None
    keeper.start("Ольга")
    with accounts.store.read() as connection:
        assert len(connection.execute(sa.select(sessions)).all()) == 1  # what is over is not kept


def test_removed_disabled_and_demoted_users_lose_what_they_had(accounts: Accounts) -> None:
    keeper, keys = Sessions(accounts.store), Keys(accounts.store)
    accounts.add("ed", PASSWORD, "editor")
    pair, (key, _) = keeper.start("ed"), keys.create("ed", ["read", "ingest"])
    identity = keys.identify(key)
    assert identity is not None
    assert (identity.name, identity.kind, identity.scopes) == ("ed", "key", {"read", "ingest"})

    accounts.change("ed", role="viewer")
    assert [who.scopes for who in (keeper.identify(pair.access), keys.identify(key)) if who] == [
        {"read", "search"},
        {"read"},
    ]
    accounts.change("ed", disabled=True)
    assert accounts.check("ed", PASSWORD) is None
    assert (keeper.identify(pair.access), keeper.refresh(pair.refresh), keys.identify(key)) == (None, None, None)
    accounts.change("ed", disabled=False)
    assert accounts.check("ed", PASSWORD)
    assert keeper.identify(pair.access) is None  # sign in anew
    assert keys.identify(key)

    accounts.remove("ed")
    accounts.add("ed", PASSWORD, "editor")  # somebody else, perhaps
    assert (keeper.identify(pair.access), keeper.refresh(pair.refresh), keys.identify(key)) == (None, None, None)


def test_a_key_is_good_until_it_expires_or_is_revoked(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys(accounts.store)
    key, made = keys.create("ольга", ["search", "read"], name="backup", expires_days=2)
    assert key.startswith(f"fk_{made.id}_")
    assert len(key.split("_", 2)[2]) == 43
    assert (made.user, made.name, made.scopes, made.last_used_at) == ("Ольга", "backup", ("read", "search"), None)
    for wrong in (
        key[:-1],
        key + "A",
        f"fk_{made.id}_",
        "fk_",
        "fk_x",
        f"fk_{made.id}",
        key.replace(made.id, "0" * 12),
    ):
        assert keys.identify(wrong) is None

    start = tokens.now()
    for second, noted in ((0, start), (59, start), (60, start + 60)):
        monkeypatch.setattr(tokens, "now", lambda second=second: start + second)
        assert keys.identify(key)
        used = keys.of("ОЛЬГА")[0].last_used_at
        assert used is not None
        assert used.timestamp() == noted

    monkeypatch.setattr(tokens, "now", lambda: start + 2 * 86_400 + 1)
    assert keys.identify(key) is None
    lasting, other = keys.create("Ольга", ["metrics"])
    with pytest.raises(AccountNotFoundError):
        keys.revoke(other.id, "somebody")
    keys.revoke(other.id, "Ольга")
    assert keys.identify(lasting) is None
    assert [one.revoked for one in keys.of()] == [False, True]


def test_a_key_may_do_no_more_than_its_user(accounts: Accounts) -> None:
    accounts.add("vera", PASSWORD, "viewer")
    keys = Keys(accounts.store)
    with pytest.raises(AccountError, match="read, search"):
        keys.create("vera", ["read", "admin"])
    with pytest.raises(AccountError):
        keys.create("vera", [])
    with pytest.raises(AccountNotFoundError):
        keys.create("nobody", ["read"])


def test_tokens_of_another_making_are_refused(accounts: Accounts) -> None:
    keeper = Sessions(accounts.store)
    good = keeper.start("Ольга").access
    claims = jwt.decode(good, options={"verify_signature": False})
    assert sorted(claims) == ["exp", "iat", "iss", "jti", "sid", "sub"]
    secret = accounts.store.secret()
    assert keeper.identify(jwt.encode(claims, secret, "HS256"))
    forged = [
        jwt.encode(claims, bytes(32), "HS256"),
        jwt.encode(claims, None, "none"),
        jwt.encode(claims, secret + secret, "HS512"),
        jwt.encode(claims, secret + secret[:16], "HS384"),
        jwt.encode(claims | {"iss": "another"}, secret, "HS256"),
        jwt.encode(claims | {"exp": claims["iat"] - 1}, secret, "HS256"),
        jwt.encode(claims | {"sub": "eve"}, secret, "HS256"),
        jwt.encode(claims | {"sid": "0" * 32}, secret, "HS256"),
        jwt.encode({name: claims[name] for name in claims if name != "exp"}, secret, "HS256"),
        good[:-2],
        "",
        "a.b.c",
    ]
    for token in forged:
        assert keeper.identify(token) is None


def test_the_log_holds_no_secret(accounts: Accounts) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, level="DEBUG", format="{message}")  # type: ignore[arg-type]
    keeper = Sessions(accounts.store)
    accounts.check("Ольга", OTHER)
    accounts.check("my password by mistake", OTHER)
    pair = keeper.start("Ольга")
    fresh = keeper.refresh(pair.refresh)
    keeper.refresh(pair.refresh)
    key, _ = Keys(accounts.store).create("Ольга", ["read"])
    accounts.change("Ольга", password=OTHER)
    logger.remove(sink)
    text = "".join(lines)
    assert "closed" in text
    assert fresh is not None
    for secret in (OTHER, PASSWORD, pair.refresh[33:], fresh.refresh[33:], pair.access, key, "mistake", "argon2"):
        assert secret not in text


class RefreshTokens(RuleBasedStateMachine):
    """At any time, just the newest token of an open session is good, and an old one closes the session."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = ServiceStore(Path(self.folder.name))
        with self.store.write() as connection:
            row = {"name": "ada", "display": "Ada", "password_hash": "", "role": "viewer", "created_at": 0}
            connection.execute(sa.insert(users), row)
        self.keeper = Sessions(self.store)
        self.given: list[list[tokens.Tokens]] = []
        self.open: list[bool] = []

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule()
    def sign_in(self) -> None:
        self.given.append([self.keeper.start("ada")])
        self.open.append(True)

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def show_a_refresh_token(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.given) - 1))
        mine = self.given[number]
        which = data.draw(st.integers(0, len(mine) - 1))
        fresh = self.keeper.refresh(mine[which].refresh)
        if self.open[number] and which == len(mine) - 1:
            assert fresh is not None
            mine.append(fresh)
        else:
            assert fresh is None
            self.open[number] = False

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def sign_out(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.given) - 1))
        identity = self.keeper.identify(self.given[number][0].access)
        assert (identity is not None) == self.open[number]
        if identity:
            self.keeper.end(identity.id)
            self.open[number] = False

    @rule(token=st.text() | st.from_regex(r"[0-9a-f]{32}\.[\w-]{43}", fullmatch=True))
    def guess(self, token: str) -> None:
        assert self.keeper.refresh(token) is None

    @invariant()
    def access_tokens_live_as_long_as_their_session(self) -> None:
        for mine, is_open in zip(self.given, self.open, strict=True):
            assert (self.keeper.identify(mine[-1].access) is not None) == is_open


RefreshTokens.TestCase.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
test_refresh_tokens = RefreshTokens.TestCase


def run(folder: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(users_app, list(arguments), obj=folder, input=stdin)


def test_users_from_a_shell_while_the_service_runs(folder: Path, own_store: ServiceStore) -> None:
    store = own_store
    accounts, keys = Accounts(store), Keys(store)
    with store.read() as connection:  # a request is being answered
        connection.execute(sa.select(users))
        typed = run(folder, "add", "Ada", "--role", "admin", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert typed.exit_code == 0, typed.output
    assert PASSWORD not in typed.output
    assert accounts.check("ada", PASSWORD)

    assert run(folder, "add", "vera", "--role", "viewer", "--password-stdin", stdin=f"{OTHER}\n").exit_code == 0
    listed = json.loads(run(folder, "list", "--json").stdout)
    assert [(row["name"], row["role"], row["disabled"]) for row in listed] == [
        ("Ada", "admin", False),
        ("vera", "viewer", False),
    ]

    made = run(folder, "key", "vera", "--scope", "read", "--scope", "search", "--name", "a script", "--expires", "90")
    assert made.exit_code == 0, made.output
    identity = keys.identify(made.stdout.strip())
    assert identity is not None
    assert (identity.name, identity.scopes) == ("vera", {"read", "search"})

    other = run(folder, "key", "vera", "--scope", "read").stdout.strip()
    key_id = other.split("_")[1]
    assert key_id in run(folder, "keys").stdout
    assert run(folder, "revoke", key_id).exit_code == 0
    assert keys.identify(other) is None

    assert run(folder, "disable", "vera").exit_code == 0
    assert keys.identify(made.stdout.strip()) is None
    assert "locked" in run(folder, "list").stdout
    assert run(folder, "enable", "vera").exit_code == 0
    assert run(folder, "role", "vera", "editor").exit_code == 0
    assert run(folder, "password", "vera", "--password-stdin", stdin=f"{PASSWORD}\n").exit_code == 0
    user = accounts.check("vera", PASSWORD)
    assert user is not None
    assert user.role == "editor"
    assert run(folder, "remove", "vera").exit_code == 0
    assert [user.name for user in accounts.users()] == ["Ada"]


def test_the_shell_refuses_in_a_sentence(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("nothing")
    refused = run(nowhere, "list")
    assert isinstance(refused.exception, LibraryError)
    assert list(nowhere.iterdir()) == []
    for arguments in (["remove", "eve"], ["role", "eve", "viewer"], ["key", "eve", "--scope", "read"]):
        assert isinstance(run(folder, *arguments).exception, AccountNotFoundError)
    assert run(folder, "add", "eve", "--role", "emperor").exit_code == 2
    differing = run(folder, "add", "eve", "--role", "admin", stdin=f"{PASSWORD}\n{OTHER}\n")
    assert differing.exit_code == 1
    assert json.loads(run(folder, "list", "--json").stdout) == []
