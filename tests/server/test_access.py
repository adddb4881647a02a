"""Who may come in, over HTTP: the parts of the service that say no, in an application of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import jwt
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, UploadFile
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel

from facekit.server import limits
from facekit.server.access import Access, LocalOnly, needs
from facekit.server.accounts import Accounts, Identity
from facekit.server.database import ServiceStore
from facekit.server.limits import BODY_BYTES, UPLOAD_BYTES, BodyLimit
from facekit.server.refusal import ServiceRefusal
from facekit.server.routes.accounts import router as auth_router
from facekit.server.strict import StrictRoute
from facekit.server.tokens import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "a wall of seven bricks"
OTHER = "a fence of eight boards"
OWNER_KEY = "the key that is new at every start"
HERE = "http://127.0.0.1:8000"


class Folder(BaseModel):
    path: str


def application(access: Access) -> FastAPI:
    app = FastAPI()
    app.state.access = access
    app.add_middleware(BodyLimit)
    app.add_middleware(LocalOnly)
    app.include_router(auth_router)
    router = APIRouter(route_class=StrictRoute)

    @router.get("/photos")
    def photos(me: Annotated[Identity, Depends(needs("read"))]) -> str:
        return me.name

    @router.post("/search")
    async def search(file: UploadFile, me: Annotated[Identity, Depends(needs("search"))]) -> int:
        return len(await file.read())

    @router.post("/ingest", dependencies=[Depends(needs("ingest"))])
    def ingest(folder: Folder) -> str:
        return folder.path

    @router.get("/healthz")
    def healthz() -> str:
        return "ok"

    app.include_router(router)
    return app


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    store = ServiceStore(tmp_path)
    yield Accounts(store)
    store.close()


@pytest.fixture
def local(accounts: Accounts) -> TestClient:
    """A service without accounts."""
    return TestClient(application(Access(accounts, OWNER_KEY)), HERE)


@pytest.fixture
def client(accounts: Accounts) -> TestClient:
    """A service with Ada, an admin."""
    accounts.add("Ada", PASSWORD, "admin")
    return TestClient(application(Access(accounts, OWNER_KEY)), HERE)


def sign_in(client: TestClient, name: str = "ada", password: str = PASSWORD) -> dict[str, Any]:
    answer = client.post("/api/v1/auth/token", data={"username": name, "password": password})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def signed_in(client: TestClient, name: str = "ada", password: str = PASSWORD) -> dict[str, str]:
    return bearer(sign_in(client, name, password)["access_token"])


def test_without_accounts_everybody_on_this_machine_may_do_everything(local: TestClient) -> None:
    assert local.get("/api/v1/auth/status").json() == {"accounts": False}
    assert local.get("/photos").json() == "local"
    me = local.get("/api/v1/auth/me").json()
    assert (me["name"], me["role"], me["kind"], me["accounts"]) == ("local", "admin", "local", False)
    assert "admin" in me["scopes"]
    for method, path in (("POST", "token"), ("GET", "keys")):
        answer = local.request(method, f"/api/v1/auth/{path}", data={"username": "a", "password": "b"})
        assert answer.status_code == 409
        assert "no accounts" in answer.json()["detail"]["message"]
    assert local.post("/api/v1/auth/logout").status_code == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]:8000"])
def test_this_machines_names_are_answered(local: TestClient, host: str) -> None:
    assert local.get("/photos", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.7", ""]
)
def test_a_name_that_was_made_to_point_here_is_not_answered(local: TestClient, host: str) -> None:
    for path in ("/photos", "/healthz"):
        answer = local.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert "no accounts" in answer.json()["detail"]["message"]


def test_with_accounts_any_host_is_answered_and_nobody_is_let_in_without_one(client: TestClient) -> None:
    for path in ("/photos", "/api/v1/auth/me", "/api/v1/auth/keys", "/api/v1/auth/users"):
        answer = client.get(path, headers={"Host": "photos.example"})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["detail"]["remedy"]
    wrong = client.get("/photos", headers=bearer("nonsense"))
    assert wrong.status_code == 401
    assert "invalid_token" in wrong.headers["WWW-Authenticate"]
    assert client.get("/api/v1/auth/status", headers={"Host": "photos.example"}).json() == {"accounts": True}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Origin": "null"},
    ],
)
def test_pages_of_other_sites_are_refused_with_and_without_accounts(
    local: TestClient, accounts: Accounts, headers: dict[str, str]
) -> None:
    for _ in range(2):
        for method, path in (("GET", "/photos"), ("POST", "/ingest"), ("POST", "/healthz"), ("OPTIONS", "/photos")):
            assert local.request(method, path, headers=headers | bearer(OWNER_KEY)).status_code == 403
        assert local.get("/healthz", headers=headers).status_code == 200
        if not accounts.exist():
            accounts.add("ada", PASSWORD, "admin")
    own = {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}
    assert local.get("/photos", headers=own | bearer(OWNER_KEY)).status_code == 200


def test_the_first_account_closes_the_service_at_once_and_for_good(local: TestClient) -> None:
    admin = {"name": "ada", "password": PASSWORD, "role": "admin"}
    assert local.post("/api/v1/auth/users", json=admin | {"role": "viewer"}).status_code == 409
    assert local.post("/api/v1/auth/users", json=admin).status_code == 201
    assert local.get("/photos").status_code == 401
    assert local.get("/photos", headers=signed_in(local)).status_code == 200
    assert local.delete("/api/v1/auth/users/ada", headers=signed_in(local)).status_code == 409


def test_the_owners_key_opens_everything(client: TestClient, accounts: Accounts) -> None:
    for headers in (bearer(OWNER_KEY), {"X-API-Key": OWNER_KEY}):
        me = client.get("/api/v1/auth/me", headers=headers).json()
        assert (me["kind"], me["role"], me["accounts"]) == ("owner", "admin", True)
    assert client.get("/api/v1/auth/users", headers=bearer(OWNER_KEY)).json()[0]["name"] == "Ada"
    keyless = TestClient(application(Access(accounts, "")), HERE)
    assert keyless.get("/photos", headers={"X-API-Key": ""}).status_code == 401


def test_roles_do_what_they_may_and_no_more(client: TestClient, grace_hopper: Path) -> None:
    admin = signed_in(client)
    for role in ("viewer", "editor"):
        new = {"name": f"a-{role}", "password": PASSWORD, "role": role}
        assert client.post("/api/v1/auth/users", json=new, headers=admin).status_code == 201
    expected = {"viewer": (200, 200, 403, 403), "editor": (200, 200, 200, 403), "admin": (200, 200, 200, 200)}
    for role, statuses in expected.items():
        headers = admin if role == "admin" else signed_in(client, f"A-{role}")
        with grace_hopper.open("rb") as file:
            answers = (
                client.get("/photos", headers=headers),
                client.post("/search", files={"file": file}, headers=headers),
                client.post("/ingest", json={"path": "x"}, headers=headers),
                client.get("/api/v1/auth/users", headers=headers),
            )
        assert tuple(answer.status_code for answer in answers) == statuses
        assert answers[1].json() == grace_hopper.stat().st_size
        for answer in answers:
            if answer.status_code == 403:
                assert "the right to" in answer.json()["detail"]["message"]
                assert "insufficient_scope" in answer.headers["WWW-Authenticate"]


def test_sign_in_says_what_one_may_do_and_is_not_cached(client: TestClient) -> None:
    answer = client.post("/api/v1/auth/token", data={"username": "ADA", "password": PASSWORD})
    document = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert (document["token_type"], document["role"], document["expires_in"]) == ("bearer", "admin", 900)
    assert document["scopes"] == ["read", "search", "export", "ingest", "metrics", "admin"]
    for name, password in (("ada", OTHER), ("nobody", PASSWORD), ("\ud800", "\ud800")):
        form = f"username={name}&password={password}".encode("utf-8", "surrogatepass")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        refused = client.post("/api/v1/auth/token", content=form, headers=headers)
        assert refused.status_code == 401
        assert refused.json()["detail"]["message"] == "The name or the password is wrong, or the account is locked."


def test_refresh_rotates_and_an_old_token_closes_the_session(client: TestClient) -> None:
    first, bystander = sign_in(client), signed_in(client)

    def refresh(pair: dict[str, Any]) -> Any:
        return client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})

    second = refresh(first).json()
    third = refresh(second).json()
    for pair in (first, second, third):  # until they expire, access tokens are as good as their session
        assert client.get("/photos", headers=bearer(pair["access_token"])).status_code == 200
    assert refresh(first).status_code == 401
    assert refresh(third).status_code == 401
    assert client.get("/photos", headers=bearer(third["access_token"])).status_code == 401
    assert client.get("/photos", headers=bystander).status_code == 200
    assert client.get("/photos", headers=bearer(third["refresh_token"])).status_code == 401


def test_signing_out_ends_the_session(client: TestClient) -> None:
    pair = sign_in(client)
    headers = bearer(pair["access_token"])
    assert client.post("/api/v1/auth/logout", headers=headers).status_code == 204
    assert client.get("/photos", headers=headers).status_code == 401
    refused = client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert refused.status_code == 401


def test_a_new_password_ends_the_other_sessions(client: TestClient) -> None:
    here, elsewhere = signed_in(client), signed_in(client)

    def change(current: str, new: str) -> int:
        body = {"current": current, "new": new}
        return client.post("/api/v1/auth/password", json=body, headers=here).status_code

    assert change(OTHER, OTHER) == 401
    assert change(PASSWORD, "short") == 422
    assert client.get("/photos", headers=elsewhere).status_code == 200
    assert change(PASSWORD, OTHER) == 204
    assert client.get("/photos", headers=elsewhere).status_code == 401
    assert client.get("/photos", headers=here).status_code == 200
    assert sign_in(client, password=OTHER)


def test_what_an_admin_changes_holds_at_once(client: TestClient) -> None:
    admin = signed_in(client)
    new = {"name": "Vera", "password": PASSWORD, "role": "editor"}
    assert client.post("/api/v1/auth/users", json=new, headers=admin).json()["name"] == "Vera"
    vera = signed_in(client, "vera")

    def change(**body: Any) -> Any:
        return client.patch("/api/v1/auth/users/VERA", json=body, headers=admin)

    assert change(role="viewer").json()["role"] == "viewer"
    assert client.post("/ingest", json={"path": "x"}, headers=vera).status_code == 403
    assert change(disabled=True).json()["disabled"] is True
    assert client.get("/photos", headers=vera).status_code == 401
    assert change(disabled=False, password=OTHER).status_code == 200
    vera = signed_in(client, "vera", OTHER)
    assert change(color="red").status_code == 422
    assert client.patch("/api/v1/auth/users/nobody", json={}, headers=admin).status_code == 404
    assert client.delete("/api/v1/auth/users/vera", headers=admin).status_code == 204
    assert client.get("/photos", headers=vera).status_code == 401
    assert [user["name"] for user in client.get("/api/v1/auth/users", headers=admin).json()] == ["Ada"]


def test_keys_open_what_their_scopes_say(client: TestClient, accounts: Accounts) -> None:
    accounts.add("vera", PASSWORD, "viewer")
    vera, admin = signed_in(client, "vera"), signed_in(client)
    answer = client.post(
        "/api/v1/auth/keys", json={"name": "frame", "scopes": ["read"], "expires_days": 7}, headers=vera
    )
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.json()
    for headers in (bearer(made["key"]), {"X-API-Key": made["key"]}):
        assert client.get("/photos", headers=headers).json() == "vera"
        assert client.post("/search", files={"file": b"x"}, headers=headers).status_code == 403
        for path in ("keys", "password", "logout"):  # a key must not make keys
            body = {"scopes": ["read"], "current": PASSWORD, "new": OTHER}
            if path == "keys":
                body = {"scopes": ["read"]}
            assert client.post(f"/api/v1/auth/{path}", json=body, headers=headers).status_code == 403
    too_much = client.post("/api/v1/auth/keys", json={"scopes": ["admin"]}, headers=vera)
    assert too_much.status_code == 422

    others = client.post("/api/v1/auth/keys", json={"scopes": ["metrics"]}, headers=admin).json()
    listed = client.get("/api/v1/auth/keys", headers=vera)
    assert [key["id"] for key in listed.json()] == [made["id"]]
    assert made["key"].rpartition("_")[2] not in listed.text
    assert len(client.get("/api/v1/auth/keys", headers=admin).json()) == 2
    assert client.delete(f"/api/v1/auth/keys/{others['id']}", headers=vera).status_code == 404
    assert client.delete(f"/api/v1/auth/keys/{made['id']}", headers=admin).status_code == 204
    assert client.get("/photos", headers=bearer(made["key"])).status_code == 401


def test_forged_tokens_are_refused(client: TestClient) -> None:
    claims = jwt.decode(sign_in(client)["access_token"], options={"verify_signature": False})
    for token in (jwt.encode(claims, bytes(32), "HS256"), jwt.encode(claims, None, "none")):
        assert client.get("/photos", headers=bearer(token)).status_code == 401


class Guesses:
    """Sign-ins from addresses of their own, at a time of their own."""

    def __init__(self, accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app = application(Access(accounts, OWNER_KEY))
        self.seconds = 1000.0
        self.said: Any = None
        monkeypatch.setattr(limits.time, "monotonic", lambda: self.seconds)

    def __call__(self, password: str = OTHER, name: str = "ada", address: str = "10.0.0.1", **more: str) -> int:
        client = TestClient(self.app, HERE, client=(address, 50_000))
        self.said = client.post("/api/v1/auth/token", data={"username": name, "password": password, **more})
        return int(self.said.status_code)


@pytest.fixture
def guess(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> Guesses:
    accounts.add("Ada", PASSWORD, "admin")
    accounts.add("vera", PASSWORD, "viewer")
    monkeypatch.setattr(limits, "WRONG_FROM_ONE_PLACE", 3)
    monkeypatch.setattr(limits, "WRONG_FOR_AN_ACCOUNT", 8)
    return Guesses(accounts, monkeypatch)


def test_each_wrong_password_makes_the_next_wait_longer(guess: Guesses) -> None:
    assert [guess(), guess(), guess(PASSWORD)] == [401, 401, 200]  # and the count starts anew
    assert [guess(name=name) for name in ("ada", "Ada", "ADA")] == [401, 401, 401]
    for wait in (1, 2, 4, 8, 16, 32, 60, 60):
        assert guess(PASSWORD) == 429
        assert int(guess.said.headers["Retry-After"]) == wait
        assert guess.said.json()["detail"]["remedy"] == ("Wait 1 second." if wait == 1 else f"Wait {wait} seconds.")
        assert "too many wrong passwords" in guess.said.json()["detail"]["message"]
        guess.seconds += wait - 0.5
        assert guess(PASSWORD) == 429  # being refused makes nobody wait longer
        guess.seconds += 0.5
        assert guess() == 401
    guess.seconds += 60
    assert guess(PASSWORD) == 200
    assert [guess(), guess()] == [401, 401]
    assert guess(name="somebody") == 401


def test_wrong_passwords_are_forgotten_after_an_hour(guess: Guesses) -> None:
    assert [guess() for _ in range(4)] == [401, 401, 401, 429]
    guess.seconds += 3600
    assert [guess() for _ in range(4)] == [401, 401, 401, 429]


def test_who_guesses_from_many_addresses_is_slowed_down_and_shuts_no_owner_out(guess: Guesses) -> None:
    assert guess(PASSWORD) == 200
    device = guess.said.json()["device_token"]
    assert guess(PASSWORD, "vera") == 200
    veras = guess.said.json()["device_token"]
    assert [guess() for _ in range(4)] == [401, 401, 401, 429]
    assert guess(PASSWORD, address="10.0.0.2") == 200  # one address has used up nobody's tries but its own
    tries = [guess(address=f"10.0.1.{number}") for number in range(60)]
    assert tries[:8] == [401] * 8
    assert tries[8:] == [429] * 52
    assert guess(PASSWORD, address="10.0.0.3") == 429  # a stranger to the service, as all who guess are
    for address in ("10.0.0.1", "10.0.1.1", "10.0.0.3"):
        assert guess(PASSWORD, address=address, device=device) == 200, "the owner's device, wherever it is"
        assert guess(PASSWORD, address=address, device=veras) == 429, "another's device says nothing"
        assert guess(PASSWORD, address=address, device="nonsense") == 429
    assert [guess(device=device) for _ in range(4)] == [401, 401, 401, 429]  # nor is a device that was stolen free


def test_a_device_is_let_in_when_its_address_has_used_up_the_sign_ins(
    guess: Guesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SIGN_INS_AN_ADDRESS", 5)
    guess.app.state.access.limits = limits.RateLimits()
    assert guess(PASSWORD) == 200
    device = guess.said.json()["device_token"]
    assert [guess(name=f"nobody{number}") for number in range(5)] == [401, 401, 401, 401, 429]
    assert guess(PASSWORD) == 429
    assert guess(PASSWORD, device=device) == 200


def test_a_device_token_opens_nothing(client: TestClient) -> None:
    device = sign_in(client)["device_token"]
    assert client.get("/photos", headers=bearer(device)).status_code == 401
    assert client.post("/api/v1/auth/refresh", json={"refresh_token": device}).status_code == 401


def test_made_up_names_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_COUNTS", 100)
    counts = limits.RateLimits()
    for _ in range(9):
        counts.sign_in("ada", "10.0.0.1")
    for number in range(300):
        counts.sign_in(f"nobody{number}", f"10.1.{number // 250}.{number % 250}")
    assert len(counts._wrong) <= 102
    counts.sign_in("ada", "10.0.0.1")
    with pytest.raises(ServiceRefusal):
        counts.sign_in("ada", "10.0.0.1")


def test_no_key_changes_accounts_or_keys(client: TestClient, accounts: Accounts) -> None:
    accounts.add("vera", PASSWORD, "viewer")
    secret, key = Keys(accounts.store).create("ada", ["admin", "read"])
    paths = client.get("/openapi.json").json()["paths"]
    tried = 0
    for path, methods in paths.items():
        for method in methods.keys() - {"get"}:
            if not path.startswith("/api/v1/auth/") or path.endswith(("/token", "/refresh")):
                continue
            bodies = {
                "post /api/v1/auth/users": {"name": "eve", "password": PASSWORD, "role": "admin"},
                "patch /api/v1/auth/users/{name}": {"password": OTHER},
                "post /api/v1/auth/password": {"current": PASSWORD, "new": OTHER},
                "post /api/v1/auth/keys": {"scopes": ["read"]},
            }
            body = bodies.get(f"{method} {path}")
            place = path.format(name="vera", key_id=key.id)
            for headers in (bearer(secret), {"X-API-Key": secret}):
                answer = client.request(method, place, json=body, headers=headers)
                assert answer.status_code == 403, (method, path)
            tried += 1
    assert tried == 7
    assert [user.name for user in accounts.users()] == ["Ada", "vera"]
    assert accounts.check("vera", PASSWORD)
    assert client.get("/api/v1/auth/users", headers=bearer(secret)).status_code == 200  # looking is what it is for


def test_keys_end_with_the_password_of_their_user(client: TestClient, accounts: Accounts) -> None:
    accounts.add("vera", PASSWORD, "viewer")
    keys = Keys(accounts.store)
    admins, theirs, others = (bearer(keys.create(name, ["read"])[0]) for name in ("ada", "vera", "vera"))
    ada = signed_in(client)
    assert client.patch("/api/v1/auth/users/vera", json={"role": "editor"}, headers=ada).status_code == 200
    assert client.get("/photos", headers=theirs).status_code == 200
    assert client.patch("/api/v1/auth/users/vera", json={"password": OTHER}, headers=ada).status_code == 200
    assert [client.get("/photos", headers=key).status_code for key in (theirs, others, admins)] == [401, 401, 200]
    body = {"current": PASSWORD, "new": OTHER}
    assert client.post("/api/v1/auth/password", json=body, headers=ada).status_code == 204
    assert client.get("/photos", headers=admins).status_code == 401
    assert client.get("/photos", headers=ada).status_code == 200


def test_requests_and_searches_have_a_limit_for_each_who_asks(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUESTS", 8)
    monkeypatch.setattr(limits, "SEARCHES", 2)
    accounts.add("ada", PASSWORD, "admin")
    access = Access(accounts, OWNER_KEY)
    assert access.sessions is not None
    client = TestClient(application(access), HERE)
    ada = bearer(access.sessions.start("ada").access)

    def search(headers: dict[str, str]) -> int:
        return client.post("/search", files={"file": b"x"}, headers=headers).status_code

    assert [search(ada) for _ in range(3)] == [200, 200, 429]
    assert [client.get("/photos", headers=ada).status_code for _ in range(6)] == [200] * 5 + [429]
    assert [search(bearer(OWNER_KEY)) for _ in range(12)] == [200] * 12
    strangers = [client.get("/photos", headers=bearer("guess")) for _ in range(9)]
    assert [answer.status_code for answer in strangers] == [401] * 8 + [429]
    assert "Retry-After" in strangers[-1].headers


def test_bodies_have_a_limit_whether_they_say_their_size_or_not(
    local: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"path": "'
        for _ in range(17):
            yield b"x" * 2**16
        yield b'"}'

    json_type = {"Content-Type": "application/json"}
    for body in (b"x" * (BODY_BYTES + 1), pieces()):
        answer = local.post("/ingest", content=body, headers=json_type)
        assert answer.status_code == 413
        assert answer.json()["detail"]["message"] == "The body is larger than 1 MiB."
    said = json_type | {"Content-Length": str(10**30)}
    assert local.post("/ingest", content=b"x", headers=said).status_code == 413
    assert local.post("/ingest", json={"path": "x" * (BODY_BYTES - 100)}).status_code == 200

    assert local.post("/search", files={"file": b"x" * (2 * BODY_BYTES)}).status_code == 200
    monkeypatch.setattr(limits, "UPLOAD_BYTES", 3 * 2**20)
    assert UPLOAD_BYTES == 64 * 2**20
    whole = local.post("/search", files={"file": b"x" * (4 * 2**20)})
    assert whole.status_code == 413
    form = whole.request.read()
    streamed = local.post(
        "/search", content=iter([form]), headers={"Content-Type": whole.request.headers["content-type"]}
    )
    assert streamed.status_code == 413
    assert streamed.json()["detail"]["message"] == "The body is larger than 3 MiB."


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/ingest", "text/plain"),
        ("/ingest", "application/x-www-form-urlencoded"),
        ("/ingest", ""),
        ("/ingest", "application/jsonp"),
        ("/search", "application/json"),
        ("/search", "image/jpeg"),
        ("/api/v1/auth/token", "application/json"),
        ("/api/v1/auth/refresh", "text/plain"),
    ],
)
def test_a_body_of_another_type_is_refused(local: TestClient, path: str, content_type: str) -> None:
    answer = local.post(path, content=b'{"path": "x"}', headers={"Content-Type": content_type})
    assert answer.status_code == 415
    assert "Send it as" in answer.json()["detail"]["remedy"]


def test_json_may_say_its_charset_and_odd_text_does_no_harm(local: TestClient) -> None:
    typed = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert local.post("/ingest", content=b'{"path": "x"}', headers=typed).json() == "x"
    for odd in (r"\ud800", r"\u0000", "x" * 10_000, "é"):
        body = f'{{"name": "{odd}", "password": "{odd * 15}", "role": "admin"}}'.encode()
        assert local.post("/api/v1/auth/users", content=body, headers=typed).status_code in {201, 422}
        refresh = f'{{"refresh_token": "{odd}.{odd}"}}'.encode()
        assert local.post("/api/v1/auth/refresh", content=refresh, headers=typed).status_code in {401, 409, 422}
    for path in ("/api/v1/auth/users/%ff%00", "/api/v1/auth/users/%ed%a0%80"):
        assert local.delete(path, headers=bearer(OWNER_KEY)).status_code == 404


def test_an_answer_of_no_names_the_request(accounts: Accounts) -> None:
    app = application(Access(accounts, OWNER_KEY))

    @app.exception_handler(ServiceRefusal)
    def render(request: Request, refusal: ServiceRefusal) -> JSONResponse:
        detail = {"message": refusal.message, "remedy": refusal.remedy, "reference": request.state.request_id}
        return JSONResponse({"detail": detail}, refusal.status_code, refusal.headers)

    async def with_id(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["request_id"] = "r-1"
        await app(scope, receive, send)

    client = TestClient(with_id, HERE)
    answers = (client.get("/photos", headers={"Host": "evil.example"}), client.post("/api/v1/auth/logout"))
    for answer in answers:
        assert answer.status_code == 403
        assert sorted(answer.json()["detail"]) == ["message", "reference", "remedy"]
        assert answer.json()["detail"]["reference"] == "r-1"


def test_every_route_but_the_three_for_strangers_is_closed(client: TestClient) -> None:
    """The OpenAPI document says so, and so does the service."""
    document = client.get("/openapi.json").json()
    open_routes = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if not operation.get("security")
    }
    assert open_routes == {
        "GET /healthz",
        "GET /api/v1/auth/status",
        "POST /api/v1/auth/token",
        "POST /api/v1/auth/refresh",
    }
    for path, operations in document["paths"].items():
        for method in operations:
            if f"{method.upper()} {path}" not in open_routes:
                answer = client.request(method, path.format(name="ada", key_id="0" * 12))
                assert answer.status_code == 401, path
