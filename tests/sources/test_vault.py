"""Tokens of connected places: encrypted, apart from their key, renewed once, and gone when they are to be."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING

import keyring
import pytest
from cryptography.fernet import Fernet
from fake_service import answer, hurry
from fake_sign_in import ADDRESS, CLIENT, CLIENT_ID, HOW, SECRET, FakeSignIn
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.backends.null import Keyring as NullKeyring

from facekit.catalog.sources import SourceRow
from facekit.catalog.times import now
from facekit.errors import RefusedError, SignInError, SourceError
from facekit.sources.item import SourceKind, Token
from facekit.sources.signing_in import token_key, tokens
from facekit.sources.signing_in.tokens import Tokens
from facekit.sources.signing_in.vault import FILE, Vault
from facekit.system.permissions import protect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = Token("y0_the-access/token+", "1//the-refresh", 2e9, {"device_id": "d-1", "client_id": "c"})
KIND = SourceKind("testing", "Testing", (), lambda *_: None, lambda _: None, {}, sign_in=HOW, needs_token=True)
PUBLIC = SourceKind("public", "Public", (), lambda *_: None, lambda _: None, {})


def row(name: str = "place", kind: str = "testing") -> SourceRow:
    return SourceRow(name, kind, {}, keep_originals=False, paused=False, added_at=now())


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user of their own, without a keyring."""
    monkeypatch.delenv(token_key.VARIABLE, raising=False)
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_a, **_k: tmp_path / "config")
    monkeypatch.setattr(token_key, "_silent", set())
    monkeypatch.setattr(tokens, "kind_named", {"testing": KIND, "public": PUBLIC}.__getitem__)
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir(mode=0o700)
    return folder


class Keyring(KeyringBackend):
    """A real one, in memory."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise keyring.errors.KeyringLocked
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


class PlaintextKeyring(Keyring):
    """What the package of more backends calls so, with its priority."""

    priority = 0.5


def all_bytes(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def traces(token: Token) -> list[bytes]:
    """What a token looks like: itself, its halves, and in base64 wherever it may begin."""
    found = []
    for text in (token.access, token.refresh or token.access):
        data = text.encode()
        found += [data, data[: len(data) // 2], data[len(data) // 2 :], data.hex().encode()]
        for coded in (b64encode, urlsafe_b64encode):
            found += [coded(data[start:])[:12] for start in range(3)]
    return found


def test_token_is_kept_for_its_owner_alone_and_shows_in_no_file(library: Path, tmp_path: Path) -> None:
    vault = Vault(library)
    assert vault.get("vk") is None
    assert not list(library.iterdir())
    umask = os.umask(0)
    try:
        vault.put("vk", TOKEN)
    finally:
        os.umask(umask)
    assert vault.get("vk") == Vault(library).get("vk") == TOKEN
    key = tmp_path / "config/token.key"
    for path in (library / FILE, key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    everything = all_bytes(tmp_path)
    assert not [one for one in traces(TOKEN) if one in everything]
    assert key.read_bytes() not in all_bytes(library)


def test_folder_that_was_opened_to_others_is_closed_again(library: Path) -> None:
    vault = Vault(library)
    vault.put("vk", TOKEN)
    (library / FILE).chmod(0o644)
    protect(library, "thumbnails")
    assert stat.S_IMODE((library / FILE).stat().st_mode) == 0o600
    (library / FILE).chmod(0o644)
    vault.put("other", TOKEN)
    assert stat.S_IMODE((library / FILE).stat().st_mode) == 0o600


def test_forgotten_token_leaves_nothing(library: Path) -> None:
    vault = Vault(library)
    vault.put("vk", TOKEN)
    kept = json.loads((library / FILE).read_bytes())["tokens"]["vk"]["token"]
    vault.put("disk", Token("another"))
    vault.forget("vk")
    vault.forget("never there")
    assert vault.get("vk") is None
    assert vault.get("disk") == Token("another")
    assert kept.encode()[20:60] not in all_bytes(library)
    vault.forget("disk")
    assert not (library / FILE).exists()
    Vault(library).forget("disk")


@pytest.mark.parametrize("lost", ["deleted", "another", "no key"])
def test_lost_key_wants_another_sign_in(library: Path, tmp_path: Path, lost: str) -> None:
    Vault(library).put("vk", TOKEN)
    key = tmp_path / "config/token.key"
    if lost == "deleted":
        key.unlink()
    else:
        key.write_bytes(Fernet.generate_key() if lost == "another" else b"no key at all")
    vault = Vault(library)
    with pytest.raises(SourceError) as error:
        vault.get("vk")
    assert "facekit sources reconnect" in error.value.remedy
    assert isinstance(error.value, SignInError) == (lost != "no key")
    if lost != "no key":
        vault.put("vk", Token("new"))
        assert vault.get("vk") == Token("new")


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"format": 1, "tokens": {"vk": 3}}', b"\xff\x00", b'{"format": "x"}']
)
def test_damaged_file_wants_another_sign_in(library: Path, damage: bytes) -> None:
    vault = Vault(library)
    vault.put("vk", TOKEN)
    (library / FILE).write_bytes(damage)
    for one in (vault, Vault(library)):
        with pytest.raises(SignInError, match="damaged") as error:
            one.get("vk")
        assert "facekit sources reconnect vk" in error.value.remedy
    vault.put("vk", TOKEN)
    assert Vault(library).get("vk") == TOKEN


def test_file_of_a_newer_facekit_is_left_alone(library: Path) -> None:
    (library / FILE).write_text('{"format": 2, "tokens": {}}')
    for act in (lambda: Vault(library).get("vk"), lambda: Vault(library).put("vk", TOKEN)):
        with pytest.raises(SourceError, match="newer"):
            act()
    assert json.loads((library / FILE).read_text()) == {"format": 2, "tokens": {}}


def test_token_of_one_place_is_not_taken_for_that_of_another(library: Path) -> None:
    vault = Vault(library)
    vault.put("vk", TOKEN)
    document = json.loads((library / FILE).read_bytes())
    document["tokens"]["mine"] = document["tokens"]["vk"]
    (library / FILE).write_text(json.dumps(document))
    with pytest.raises(SignInError, match="mine"):
        Vault(library).get("mine")


def test_real_keyring_has_the_key(library: Path, tmp_path: Path) -> None:
    real = Keyring()
    keyring.set_keyring(real)
    Vault(library).put("vk", TOKEN)
    assert Vault(library).get("vk") == TOKEN
    assert not (tmp_path / "config").exists()
    [key] = real.kept.values()
    assert key.encode() not in all_bytes(tmp_path)
    real.locked = True
    with pytest.raises(SignInError, match="keyring"):
        Vault(library).get("vk")
    Vault(library).put("vk", Token("new"))  # a session without one goes on with a file
    assert Vault(library).get("vk") == Token("new")
    real.locked = False
    assert Vault(library).get("vk") == Token("new")


@pytest.mark.parametrize("backend", [NullKeyring, NoKeyring, PlaintextKeyring], ids=["null", "fail", "plain"])
def test_keyring_that_keeps_nothing_or_in_the_clear_is_none(library: Path, tmp_path: Path, backend: type) -> None:
    keyring.set_keyring(backend())
    Vault(library).put("vk", TOKEN)
    assert (tmp_path / "config/token.key").exists()
    assert not getattr(keyring.get_keyring(), "kept", None)


def test_keyring_that_does_not_answer_is_not_waited_for(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asking(Keyring):
        def get_password(self, service: str, username: str) -> None:
            asked.append(1)
            done.wait(20)
            if len(asked) > 1:  # it was given a key, and is asked for it: what asked is at its end
                ended.set()

    asked: list[int] = []
    done, ended = threading.Event(), threading.Event()
    keyring.set_keyring(Asking())
    monkeypatch.setattr(token_key, "_UNLOCK_SECONDS", 0.1)
    Vault(library).put("vk", TOKEN)
    assert Vault(library).get("vk") == TOKEN
    assert len(asked) == 1
    done.set()
    assert ended.wait(20)


def test_service_names_the_file_of_its_key(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.set_keyring(Keyring())
    path = tmp_path / "secrets/key"
    monkeypatch.setenv(token_key.VARIABLE, str(path))
    Vault(library).put("vk", TOKEN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not keyring.get_keyring().kept
    path.write_bytes(path.read_bytes() + b"\n")  # as editors write it
    assert Vault(library).get("vk") == TOKEN
    monkeypatch.setenv(token_key.VARIABLE, str(library / "key"))
    with pytest.raises(RefusedError, match="own folder"):
        Vault(library).put("vk", TOKEN)


def test_full_disk_is_said_and_the_token_before_stays(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(library)
    vault.put("vk", TOKEN)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("facekit.system.files.os.fsync", full)
        with pytest.raises(SourceError, match="No space left") as error:
            vault.put("vk", Token("new"))
    assert "Make room" in error.value.remedy
    assert vault.get("vk") == TOKEN
    assert sorted(path.name for path in library.iterdir() if path.name.endswith(".part")) == []


WRITER = """
import sys
from pathlib import Path
from facekit.sources.item import Token
from facekit.sources.signing_in.vault import Vault
vault = Vault(Path(sys.argv[1]))
for number in range(5):
    vault.put(f"{sys.argv[2]}-{number}", Token(f"token {sys.argv[2]} {number}"))
"""


def test_two_processes_lose_none_of_each_other(library: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        token_key.VARIABLE: str(tmp_path / "key"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    command = [sys.executable, "-c", WRITER, str(library)]
    running = [subprocess.Popen([*command, name], env=environment) for name in "ab"]
    assert [one.wait(120) for one in running] == [0, 0]
    os.environ[token_key.VARIABLE] = str(tmp_path / "key")
    vault = Vault(library)
    for name in "ab":
        for number in range(5):
            assert vault.get(f"{name}-{number}") == Token(f"token {name} {number}")


# -- renewal -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running() -> Iterator[FakeSignIn]:
    with FakeSignIn() as service:
        yield service


@pytest.fixture
def service(running: FakeSignIn, monkeypatch: pytest.MonkeyPatch) -> FakeSignIn:
    running.heal()
    monkeypatch.setenv(ADDRESS, running.url)
    monkeypatch.setenv(CLIENT_ID, CLIENT)
    monkeypatch.delenv(SECRET, raising=False)
    monkeypatch.setattr("facekit.sources.signing_in.oauth._PER_SECOND", 1000.0)
    hurry(monkeypatch)
    return running


def given(service: FakeSignIn, seconds: float = 3600) -> Token:
    """A token that the service has given."""
    said = service.give()
    more = {"client_id": CLIENT, "device_id": "device"}
    return Token(said["access_token"], said["refresh_token"], time.time() + seconds, more)


def renewals(service: FakeSignIn) -> int:
    return len([one for one in service.requests if one.path == "/oauth/token"])


def test_good_token_is_used_as_it_is(library: Path, service: FakeSignIn) -> None:
    kept = Tokens(library)
    access = kept.access(row())
    token = given(service)
    kept.put("place", token)
    assert access(None) == access(None) == token.access
    kept.put("place", Token("pasted"))
    assert access(None) == "pasted"
    assert renewals(service) == 0


@pytest.mark.parametrize("why", ["expired", "refused"])
def test_token_is_renewed_and_written_before_it_is_used(library: Path, service: FakeSignIn, why: str) -> None:
    kept = Tokens(library)
    token = given(service, -5 if why == "expired" else 3600)
    kept.put("place", token)
    got = kept.access(row())(None if why == "expired" else token.access)
    assert got in service.good
    assert got != token.access
    written = Vault(library).get("place")
    assert written is not None
    assert written.access == got
    assert written.refresh in service.refresh
    assert kept.access(row())(None) == got
    assert kept.access(row())(token.access) == got  # who was refused before this one was there
    assert renewals(service) == 1


def test_many_at_once_renew_once(library: Path, service: FakeSignIn) -> None:
    token = given(service)
    Tokens(library).put("place", token)
    got = []
    ready = threading.Barrier(6)

    def use() -> None:
        access = Tokens(library).access(row())  # as another process has it: another file handle, another lock
        ready.wait(20)
        got.append(access(token.access))

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 6
    assert len(set(got)) == 1
    assert renewals(service) == 1


def test_pasted_token_that_is_refused_wants_another(library: Path, service: FakeSignIn) -> None:
    kept = Tokens(library)
    kept.put("place", Token("pasted", expires_at=1.0))
    assert kept.access(row())(None) == "pasted"  # it is the service's clock that counts
    with pytest.raises(SignInError, match="Testing takes the token of place no longer") as error:
        kept.access(row())("pasted")
    assert "facekit sources reconnect place" in error.value.remedy
    assert "pasted" not in str(error.value)


def test_refused_renewal_wants_another_sign_in_and_keeps_the_secret(library: Path, service: FakeSignIn) -> None:
    kept = Tokens(library)
    token = given(service)
    service.refresh.clear()
    kept.put("place", token)
    with pytest.raises(SignInError) as error:
        kept.access(row())(token.access)
    assert not [one for one in traces(token) if one.decode() in repr(error.value)]


def test_without_a_token_only_places_that_want_one_stop(library: Path) -> None:
    assert Tokens(library).access(row("open", "public"))(None) is None
    with pytest.raises(SignInError, match="no token of place"):
        Tokens(library).access(row())(None)


def test_renewed_token_that_a_full_disk_refuses_is_written_later(
    library: Path, service: FakeSignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Tokens(library)
    token = given(service)
    kept.put("place", token)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("facekit.system.files.os.fsync", full)
        for _ in range(2):
            with pytest.raises(SourceError, match="No space left"):
                kept.access(row())(token.access)
    got = kept.access(row())(token.access)
    assert got in service.good
    assert Vault(library).get("place").access == got
    assert renewals(service) == 1


def test_service_that_can_not_be_reached_is_no_lost_token(library: Path, service: FakeSignIn) -> None:
    kept = Tokens(library)
    token = given(service)
    kept.put("place", token)
    service.fail(answer(503, b"<html>later</html>"), path="/oauth/token", times=99)
    with pytest.raises(SourceError) as error:
        kept.access(row())(token.access)
    assert not isinstance(error.value, SignInError)
    service.heal()
    assert kept.access(row())(token.access) in service.good


def test_forgotten_token_is_not_brought_back_by_a_renewal(library: Path, service: FakeSignIn) -> None:
    kept = Tokens(library)
    token = given(service)
    kept.put("place", token)
    kept.forget("place")
    with pytest.raises(SignInError):
        kept.access(row())(token.access)
    assert kept.get("place") is None
    assert renewals(service) == 0
