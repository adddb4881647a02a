from __future__ import annotations

import json
import re
import traceback
from io import BytesIO
from threading import Event, Thread
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import fake_service
import httpx2
import pytest
from fake_google_photos import TOKEN, FakeGooglePhotos
from fake_service import FakePhoto, answer, cut_body, hurry, jpeg, photos, status, wrong_length
from fake_sign_in import CLIENT
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import PhotoError, SignInError, SourceError
from facekit.sources.google_photos.answers import seconds_of
from facekit.sources.google_photos.connector import KIND, GooglePhotos, connect
from facekit.sources.item import Prompt, SourceItem, Token, Tools
from facekit.sources.signing_in.oauth import begin, finish, renew
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.sources.item import Cursor

MOST = 10**6


@pytest.fixture(scope="module")
def running() -> Iterator[FakeGooglePhotos]:
    with FakeGooglePhotos() as fake:
        yield fake


@pytest.fixture
def google(running: FakeGooglePhotos, monkeypatch: pytest.MonkeyPatch) -> FakeGooglePhotos:
    """With nine photos, a film, a raw file and a HEIC file."""
    hurry(monkeypatch)
    others = [
        FakePhoto("v", "film.mp4", b"."),
        FakePhoto("r", "raw.DNG", b"."),
        FakePhoto("h", "лето 😀.HEIC", jpeg(70)),
    ]
    monkeypatch.setenv(running.variable, running.url)
    monkeypatch.setattr("facekit.sources.google_photos.connector._PER_SECOND", 1000.0)
    monkeypatch.setattr("facekit.sources.google_photos.connector._POLL", 0.01)
    monkeypatch.setattr("facekit.sources.network.http.DOWNLOADS_A_SECOND", 1000.0)
    running.begin([*photos(9), *others])
    return running


class User:
    """Whoever is asked; ``answer`` is typed where words are wanted, None where nobody is there."""

    def __init__(self, answer: str | None = "", token: str | None = TOKEN) -> None:
        self.asked: list[Prompt] = []
        self.answer = answer
        self.stop = Event()
        self.tools = Tools(lambda refused: self._renewed(refused, token), self._ask, self.stop)

    def _renewed(self, refused: str | None, token: str | None) -> str | None:
        if refused:
            message = "The token is refused."
            raise SignInError(message)
        return token

    def _ask(self, prompt: Prompt) -> str:
        self.asked.append(prompt)
        if self.answer is None:
            message = "Nobody is there."
            raise SourceError(message)
        return self.answer if prompt.answer else ""


def listed(connector: GooglePhotos, cursor: Cursor | None = None) -> tuple[dict[str, SourceItem], Cursor]:
    items: dict[str, SourceItem] = {}
    pages = list(connector.pages(cursor))
    for page in pages:
        assert not page.whole
        assert not page.gone
        items |= {item.key: item for item in page.items}
    assert [page.last for page in pages] == [*[False] * (len(pages) - 1), True]
    return items, json.loads(json.dumps(pages[-1].cursor))


def fetched(connector: GooglePhotos, item: SourceItem, limit: int = MOST) -> bytes:
    target = BytesIO()
    connector.fetch(item, target, limit)
    return target.getvalue()


def made(user: User | None = None) -> GooglePhotos:
    return GooglePhotos((user or User()).tools)


def count(fake: FakeGooglePhotos, method: str, path: str) -> int:
    return sum((one.method, one.path) == (method, path) for one in fake.requests)


def test_photos_are_picked_listed_and_fetched(google: FakeGooglePhotos) -> None:
    user = User()
    connector = made(user)
    pages = list(connector.pages(None))
    items = {item.key: item for page in pages for item in page.items}
    assert set(items) == {*"012345678", "h"}
    assert sum((page.left_out or {}).get("video", 0) for page in pages) == 1
    assert sum((page.left_out or {}).get("other", 0) for page in pages) == 1
    assert items["h"].name == "лето 😀.HEIC"
    assert items["3"].modified is not None
    assert items["3"].modified.isoformat(timespec="seconds") == "2019-07-01T10:20:30+00:00"
    assert items["3"].taken_at is None
    assert [fetched(connector, items[key]) for key in ("3", "h")] == [jpeg(3), jpeg(70)]
    (session,) = google.sessions
    assert [(one.link, one.answer) for one in user.asked] == [
        (f"https://photos.google.com/picker/{session}/autoclose", False)
    ]
    assert not any("baseUrl" in json.dumps(page.cursor) or google.url in json.dumps(page.cursor) for page in pages)


def test_google_is_asked_no_more_often_than_it_says(google: FakeGooglePhotos) -> None:
    google.polls = 4
    waits: list[float] = []
    user = User()
    real = user.stop.wait
    user.stop.wait = lambda seconds=None: waits.append(seconds or 0) or real(seconds)  # type: ignore[method-assign]
    listed(made(user))
    assert waits.count(0.01) == 4
    assert len([one for one in google.requests if one.path.startswith("/v1/sessions/")]) == 5


@pytest.mark.parametrize("timeout", ["0s", "0.04s"])
def test_nobody_picks_in_time(google: FakeGooglePhotos, timeout: str) -> None:
    google.polls, google.timeout = 10**6, timeout
    user = User()
    with pytest.raises(SourceError, match="Nobody picked photos"):
        listed(made(user))
    assert len(user.asked) == (timeout != "0s")
    assert len(google.deleted) == 1
    assert not google.sessions


def test_where_nobody_can_be_asked_no_session_stays_open(google: FakeGooglePhotos) -> None:
    with pytest.raises(SourceError, match="Nobody is there"):
        listed(made(User(None)))
    assert not google.sessions


def test_waiting_ends_at_once_when_it_is_to_stop(google: FakeGooglePhotos) -> None:
    google.polls = 10**6
    user = User()
    stopped: list[BaseException] = []

    def run() -> None:
        try:
            listed(made(user))
        except KeyboardInterrupt as error:
            stopped.append(error)

    thread = Thread(target=run)
    thread.start()
    user.stop.set()
    thread.join(20)
    assert len(stopped) == 1


def test_a_picking_that_was_cut_off_goes_on_in_the_same_session(google: FakeGooglePhotos) -> None:
    cursor = next(iter(made().pages(None))).cursor
    user = User()
    items, _ = listed(made(user), cursor)
    assert len(items) == 10
    assert len(user.asked) == 1
    assert count(google, "POST", "/v1/sessions") == 1


def test_a_listing_that_was_cut_off_gives_all(google: FakeGooglePhotos) -> None:
    pages = made().pages(None)
    next(pages)
    cursor = next(pages).cursor
    items, _ = listed(made(), cursor)
    assert len(items) == 10
    assert count(google, "POST", "/v1/sessions") == 1


def test_a_session_ends_once_all_of_it_was_fetched_and_then_photos_are_picked_anew(google: FakeGooglePhotos) -> None:
    connector = made()
    items, cursor = listed(connector)
    for number, item in enumerate(items.values()):
        assert len(google.deleted) == 0, number
        fetched(connector, item)
    assert len(google.deleted) == 1
    user = User()
    listed(made(user), cursor)
    assert [one.answer for one in user.asked] == [False]
    assert count(google, "POST", "/v1/sessions") == 2


@pytest.mark.parametrize(("said", "sessions"), [("", 1), (None, 1), ("new", 2)])
def test_what_was_picked_and_not_fetched_comes_again(google: FakeGooglePhotos, said: str | None, sessions: int) -> None:
    _, cursor = listed(made())
    user = User(said)
    connector = made(user)
    items, _ = listed(connector, cursor)
    assert len(items) == 10
    assert fetched(connector, items["5"]) == jpeg(5)
    assert [one.answer for one in user.asked] == ([True] if sessions == 1 else [True, False])
    assert count(google, "POST", "/v1/sessions") == sessions


def test_a_session_whose_time_is_over_is_followed_by_another(google: FakeGooglePhotos) -> None:
    _, cursor = listed(made())
    google.end_sessions()
    user = User()
    connector = made(user)
    items, _ = listed(connector, cursor)
    assert len(items) == 10
    assert [one.answer for one in user.asked] == [False]
    google.end_sessions()
    google.expire_addresses()
    with pytest.raises(PhotoError, match="pick it again") as caught:
        fetched(connector, items["1"])
    assert caught.value.status is Status.IO_ERROR


def test_expired_addresses_are_asked_for_anew_once_for_all(google: FakeGooglePhotos) -> None:
    google.page = 100
    connector = made()
    items, _ = listed(connector)
    google.expire_addresses()
    google.heal()
    assert [fetched(connector, items[key]) for key in "012"] == [jpeg(number) for number in range(3)]
    assert count(google, "GET", "/v1/mediaItems") == 1


def test_old_addresses_are_not_tried(google: FakeGooglePhotos, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = made()
    items, _ = listed(connector)
    google.expire_addresses()
    monkeypatch.setattr("facekit.sources.google_photos.connector._FRESH", -1.0)
    assert fetched(connector, items["1"]) == jpeg(1)
    assert not any(one.status == 403 for one in google.requests)


def test_addresses_that_never_work_stop_the_sync(google: FakeGooglePhotos) -> None:
    connector = made()
    items, _ = listed(connector)
    google.fail(answer(403, "no"), path="/photos/.*", times=100)
    for key in "01":
        with pytest.raises(PhotoError):
            fetched(connector, items[key])
    with pytest.raises(SourceError, match="none of the photos"):
        fetched(connector, items["2"])


def test_failures_that_pass_change_nothing(google: FakeGooglePhotos, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, 0.2)
    faults = [fake_service.hang(), cut_body(), wrong_length(3), fake_service.reset(), status(503)]
    paths = ("/v1/sessions", "/v1/sessions/.*", "/v1/mediaItems", "/photos/.*")
    for fault, path in zip([*faults, status(502), fake_service.html(), cut_body()], paths * 2, strict=True):
        google.heal()
        google.fail(fault, path=path)
        connector = made()
        items, _ = listed(connector)
        assert len(items) == 10
        assert fetched(connector, items["4"]) == jpeg(4)
        assert len([one for one in google.requests if re.fullmatch(path, one.path)]) >= 2


def test_failures_that_stay_stop_and_say_nothing_that_opens_anything(
    google: FakeGooglePhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facekit.sources.network.retries.TRIES", 2)
    connector = made()
    items, _ = listed(connector)
    said = []
    for fault in (
        status(503),
        fake_service.html(),
        fake_service.reset(),
        answer(404, {}),
        answer(409, {}),
        answer(401, {}),
    ):
        google.heal()
        google.fail(fault, times=100)
        with pytest.raises(SourceError) as caught:
            listed(made())
        said.append("".join(traceback.format_exception(caught.value)))
        with pytest.raises((SourceError, PhotoError)) as caught:
            fetched(connector, items["4"])
        said.append("".join(traceback.format_exception(caught.value)))
    assert TOKEN not in "".join(said)
    assert google.url not in "".join(said)


def test_a_photo_that_comes_as_something_else_is_left_out_alone(google: FakeGooglePhotos) -> None:
    connector = made()
    items, _ = listed(connector)
    google.fail(fake_service.html(), path="/photos/4/.*", times=100)
    with pytest.raises(PhotoError) as caught:
        fetched(connector, items["4"])
    assert caught.value.status is Status.IO_ERROR
    assert fetched(connector, items["5"]) == jpeg(5)


def test_a_photo_that_is_too_large_ends_its_transfer(google: FakeGooglePhotos) -> None:
    connector = made()
    items, _ = listed(connector)
    with pytest.raises(PhotoError) as caught:
        fetched(connector, items["1"], limit=100)
    assert caught.value.status is Status.TOO_LARGE


def test_a_page_whose_token_is_of_no_use_begins_the_list_anew(google: FakeGooglePhotos) -> None:
    wrong = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Invalid page token."}}
    google.fail(answer(400, wrong), path="/v1/mediaItems", after=1)
    items, _ = listed(made())
    assert len(items) == 10


def test_photos_that_are_not_ready_yet_are_waited_for(google: FakeGooglePhotos) -> None:
    early = {"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "Not picked."}}
    google.fail(answer(400, early), path="/v1/mediaItems", times=2)
    items, _ = listed(made())
    assert len(items) == 10
    google.fail(answer(400, early), path="/v1/mediaItems", times=100)
    with pytest.raises(SourceError, match="does not list"):
        listed(made())


def test_a_list_that_goes_round_in_circles_stops(google: FakeGooglePhotos) -> None:
    google.fail(answer(200, {"mediaItems": [], "nextPageToken": "from-0"}), path="/v1/mediaItems", times=100)
    with pytest.raises(SourceError, match="no list that goes on"):
        listed(made())


def error(number: int, word: str, reason: str = "", message: str = "") -> dict[str, object]:
    return {"error": {"code": number, "status": word, "message": message, "details": [{"reason": reason}]}}


@pytest.mark.parametrize(
    ("number", "said", "kind", "words"),
    [
        (429, error(429, "RESOURCE_EXHAUSTED"), SourceError, "too many picking sessions"),
        (401, error(401, "UNAUTHENTICATED"), SignInError, "token"),
        (403, error(403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), SignInError, "token"),
        (403, error(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), SourceError, "not enabled for the application"),
        (403, error(403, "PERMISSION_DENIED", message="No. See https://a.b/?key=c"), SourceError, "do that: No. See"),
        (400, error(400, "INVALID_ARGUMENT", message="Bad."), SourceError, "wrong: Bad"),
    ],
)
def test_what_google_refuses(
    google: FakeGooglePhotos, number: int, said: dict[str, object], kind: type[Exception], words: str
) -> None:
    google.fail(answer(number, said), path="/v1/sessions", times=10)
    with pytest.raises(SourceError, match=words) as caught:
        listed(made())
    assert type(caught.value) is kind
    assert "key=c" not in str(caught.value)
    assert (caught.value.resume_at is not None) == (number == 429)


def test_too_many_requests_are_tried_again(google: FakeGooglePhotos) -> None:
    google.fail(answer(429, error(429, "RESOURCE_EXHAUSTED")), path="/v1/mediaItems", times=2)
    items, _ = listed(made())
    assert len(items) == 10


def test_check_has_one_photo_picked_and_leaves_no_session(google: FakeGooglePhotos) -> None:
    steps = list(made().check())
    assert [(one.step, one.works) for one in steps] == [
        ("sign in", True),
        ("open a session", True),
        ("pick and list", True),
        ("fetch", True),
    ]
    assert "JPEG" in steps[-1].found
    assert not google.sessions
    assert [one.works for one in made(User(token=None)).check()] == [False]
    assert [one.works for one in made(User(None)).check()] == [True, True, False]
    assert [one.works for one in made(User(token="other")).check()] == [True, False]


def test_revoke_has_google_forget_the_token(google: FakeGooglePhotos) -> None:
    assert made().revoke()
    assert google.revoked == [TOKEN]
    assert not made().revoke()
    assert not made(User(token=None)).revoke()
    assert not any(TOKEN in json.dumps(one.query) for one in google.requests)


def test_signing_in_gives_a_token_that_lists_and_is_renewed(
    google: FakeGooglePhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_GOOGLE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("FACEKIT_GOOGLE_CLIENT_SECRET", "of a desktop application")
    how = KIND.sign_in
    assert how is not None
    begun = begin(how, "http://127.0.0.1:1/")
    there = httpx2.get(begun.address).headers["location"]
    token = finish(begun, dict(parse_qsl(urlsplit(there).query)))
    asked = google.sign_in.asked[-1]
    assert (asked["access_type"], asked["prompt"]) == ("offline", "consent")
    assert asked["scope"].endswith("/auth/photospicker.mediaitems.readonly")
    for one in (token, renew(how, token)):
        items, _ = listed(made(User(token=one.access)))
        assert len(items) == 10


def test_what_the_kind_says() -> None:
    assert KIND.keep_originals
    assert KIND.needs_token
    assert KIND.settings_of("https://photos.google.com/") is None
    assert connect({}, User().tools).gone(["1"]) == set()
    assert repr(Token("a")) == "Token(...)"


@given(st.decimals(0, 10**6, places=9))
def test_durations_are_seconds_with_an_s(seconds: object) -> None:
    assert seconds_of(f"{seconds}s", 1.0) == float(str(seconds))


@pytest.mark.parametrize("said", [None, "", "s", "soon", "nans", "infs", {}])
def test_durations_that_are_none(said: object) -> None:
    assert seconds_of(said, 7.0) == 7.0
