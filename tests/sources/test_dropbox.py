from __future__ import annotations

import json
from io import BytesIO
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from fake_dropbox import TOKEN, FakeDropbox
from fake_service import FakePhoto, answer, hurry, jpeg, photos, tools
from fake_sign_in import CLIENT
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.errors import PhotoError, RefusedError, SignInError, SourceError
from facekit.sources.dropbox.connector import KIND, connect, settings_of
from facekit.sources.item import Prompt, SourceItem, Tools
from facekit.sources.signing_in.oauth import begin, finish, renew
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.sources.item import Connector, Cursor, ItemPage

MOST = 10**6
ODD = ["a 😀 1.jpg", "Лето 2019.JPG", '50% "off".png', "it's.jpeg", "a\x7fb.jpg", "#1?&=+.webp", "Ünïcode ßs.heic"]


@pytest.fixture(scope="module")
def running() -> Iterator[FakeDropbox]:
    with FakeDropbox() as fake:
        yield fake


@pytest.fixture
def dropbox(running: FakeDropbox, monkeypatch: pytest.MonkeyPatch) -> FakeDropbox:
    """With nothing in it yet."""
    hurry(monkeypatch)
    monkeypatch.setenv(running.variable, running.url)
    monkeypatch.setattr("facekit.sources.dropbox.calls.PER_SECOND", 1000.0)
    monkeypatch.setattr("facekit.sources.network.http.DOWNLOADS_A_SECOND", 1000.0)
    running.begin()
    return running


class Shelf:
    """What is there by what a connector listed, kept page by page as a library keeps it."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self.items: dict[str, SourceItem] = {}
        self.cursor: Cursor | None = None
        self.seen: set[str] = set()
        self.pages: list[ItemPage] = []

    def sync(self, most_pages: int | None = None) -> Shelf:
        """List to the end, or until so many pages are kept: the next one is lost, as by a kill."""
        self.pages = []
        for page in self.connector.pages(self.cursor):
            if len(self.pages) == most_pages:
                return self
            self.pages.append(page)
            if page.begins:
                self.seen = set()
            self.items |= {item.key: item for item in page.items}
            self.seen |= {item.key for item in page.items}
            for key in page.gone:
                below = [one for one in self.items if one == key or (key.endswith("/") and one.startswith(key))]
                for one in below:
                    del self.items[one]
            self.cursor = json.loads(json.dumps(page.cursor))
            if page.last and page.whole:
                unseen = sorted(self.items.keys() - self.seen)
                for key in self.connector.gone(unseen) if unseen else ():
                    del self.items[key]
        assert self.pages[-1].last
        return self

    @property
    def names(self) -> list[str]:
        return sorted(item.name for item in self.items.values())


def shelf(fake: FakeDropbox, **said: str) -> Shelf:
    return Shelf(connect(said, tools(TOKEN)))


def paths(fake: FakeDropbox) -> set[str]:
    return {fake.path(photo).lower() for photo in fake.photos.values()}


def fetched(connector: Connector, item: SourceItem, limit: int = MOST) -> bytes:
    target = BytesIO()
    connector.fetch(item, target, limit)
    return target.getvalue()


def calls(fake: FakeDropbox, name: str) -> list[dict[str, Any]]:
    return [json.loads(one.body or one.headers["dropbox-api-arg"]) for one in fake.requests if one.path == f"/2/{name}"]


# One's own folders


def test_a_whole_dropbox_is_listed_page_by_page_with_all_that_is_known(dropbox: FakeDropbox) -> None:
    for photo in [*photos(5), *photos(6, "Отпуск/2019 Море", first=5), FakePhoto("v", "film.mp4", b"...")]:
        dropbox.add(photo)
    there = shelf(dropbox).sync()
    assert set(there.items) == paths(dropbox) - {"/film.mp4"}
    assert [page.begins for page in there.pages] == [True, *[False] * (len(there.pages) - 1)]
    assert [page.last for page in there.pages].index(True) == len(there.pages) - 1
    assert sum(((page.left_out or {}).get("video", 0)) for page in there.pages) == 1
    item = there.items["/отпуск/2019 море/photo 7.jpg"]
    assert item.album == "Отпуск/2019 Море"
    assert item.size == len(dropbox.photos["7"].data)
    assert item.content == f"dropbox:{item.version}"
    assert item.modified is not None
    assert item.modified.isoformat() == "2015-05-12T15:50:38+00:00"
    assert item.link == (
        "https://www.dropbox.com/home/%D0%9E%D1%82%D0%BF%D1%83%D1%81%D0%BA/2019%20%D0%9C%D0%BE%D1%80%D0%B5"
        "?preview=photo%207.jpg"
    )
    assert fetched(there.connector, item) == dropbox.photos["7"].data


def test_a_folder_is_listed_with_what_is_below_it_only(dropbox: FakeDropbox) -> None:
    for photo in [*photos(2), *photos(2, "Photos/2019", first=2), *photos(1, "Photos2", first=4)]:
        dropbox.add(photo)
    there = shelf(dropbox, path="/Photos/").sync()
    assert set(there.items) == {"/photos/2019/photo 2.jpg", "/photos/2019/photo 3.jpg"}
    assert {item.album for item in there.items.values()} == {"2019"}
    assert there.connector.whose == "Dropbox: /Photos"


def test_the_next_listing_asks_for_changes_only(dropbox: FakeDropbox) -> None:
    for photo in photos(9):
        dropbox.add(photo)
    there = shelf(dropbox).sync()
    dropbox.heal()
    assert there.sync().names == sorted(photo.name for photo in dropbox.photos.values())
    assert [one.path for one in dropbox.requests] == ["/2/files/list_folder/continue"]
    dropbox.change("3", jpeg(99))
    dropbox.add(FakePhoto("new", "new.jpg", jpeg(100)))
    dropbox.remove("4")
    before = there.items["/photo 3.jpg"].version
    there.sync()
    assert set(there.items) == paths(dropbox)
    assert there.items["/photo 3.jpg"].version != before
    assert not there.pages[-1].whole
    assert fetched(there.connector, there.items["/photo 3.jpg"]) == jpeg(99)


def test_a_folder_that_is_deleted_takes_along_what_was_below_it_and_nothing_else(dropbox: FakeDropbox) -> None:
    for photo in [*photos(3, "a"), *photos(3, "a/b", first=3), *photos(2, "ab", first=6), *photos(1, first=8)]:
        dropbox.add(photo)
    there = shelf(dropbox).sync()
    dropbox.remove_folder("a")
    there.sync()
    assert set(there.items) == paths(dropbox) == {"/ab/photo 6.jpg", "/ab/photo 7.jpg", "/photo 8.jpg"}


def test_a_photo_that_was_moved_has_another_key_and_the_same_content(dropbox: FakeDropbox) -> None:
    for photo in photos(3, "a"):
        dropbox.add(photo)
    there = shelf(dropbox).sync()
    before = there.items["/a/photo 1.jpg"]
    dropbox.move("1", "b", "other.jpg")
    there.sync()
    assert set(there.items) == paths(dropbox)
    assert there.items["/b/other.jpg"].content == before.content


def test_what_is_deleted_and_put_there_again_is_there(dropbox: FakeDropbox) -> None:
    dropbox.page = 100
    for photo in photos(2, "a"):
        dropbox.add(photo)
    there = shelf(dropbox).sync()
    dropbox.remove("0")
    dropbox.add(FakePhoto("0", "photo 0.jpg", jpeg(50), "a"))
    dropbox.remove_folder("a")
    dropbox.add(FakePhoto("x", "photo 1.jpg", jpeg(51), "a"))
    dropbox.remove_folder("gone")
    there.sync()
    assert set(there.items) == {"/a/photo 1.jpg"}
    assert fetched(there.connector, there.items["/a/photo 1.jpg"]) == jpeg(51)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("arcmf"), st.integers(0, 5), st.sampled_from(["", "a", "a/b", "c"]))))
def test_after_any_changes_all_is_there_that_is_there(changes: list[tuple[str, int, str]]) -> None:
    fake = FakeDropbox(photos(3, "a"))
    fake.page = 2
    with pytest.MonkeyPatch.context() as patch:
        connector = connect({}, tools(TOKEN))
        patch.setattr(connector, "_said", lambda call, **said: _answered(fake, call, said))
        there = Shelf(connector).sync()
        for number, (what, key, album) in enumerate(changes):
            _change(fake, what, str(key), album, number)
            if number % 3 == 0:
                there.sync(most_pages=number % 4)
        there.sync()
    assert set(there.items) == paths(fake)
    hashes = {fake.path(one).lower(): fake.photos[key].data for key, one in fake.photos.items()}
    assert all(item.size == len(hashes[key]) for key, item in there.items.items())


def _answered(fake: FakeDropbox, call: str, said: dict[str, Any]) -> dict[str, Any]:
    answers = {"files/list_folder": fake._list, "files/list_folder/continue": fake._go_on}
    return json.loads(answers[call](said, TOKEN).body)


def _change(fake: FakeDropbox, what: str, key: str, album: str, number: int) -> None:
    name = f"photo {key}.jpg"
    taken = {fake.path(one) for one in fake.photos.values()}
    if what == "f" and album:
        fake.remove_folder(album)
    elif what == "a" and key not in fake.photos and fake.path(FakePhoto(key, name, b"", album)) not in taken:
        fake.add(FakePhoto(key, name, jpeg(number), album))
    elif key in fake.photos and what == "r":
        fake.remove(key)
    elif key in fake.photos and what == "c":
        fake.change(key, jpeg(number + 100))
    elif key in fake.photos and what == "m" and fake.path(FakePhoto(key, name, b"", album)) not in taken:
        fake.move(key, album, name)


def test_a_listing_that_was_cut_off_goes_on(dropbox: FakeDropbox) -> None:
    for photo in photos(18):
        dropbox.add(photo)
    there = shelf(dropbox).sync(most_pages=2)
    first = len(there.items)
    there.connector = connect({}, tools(TOKEN))
    there.sync()
    assert not there.pages[0].begins
    assert first == 8
    assert set(there.items) == paths(dropbox)
    assert len(calls(dropbox, "files/list_folder")) == 1


def test_after_a_reset_the_listing_begins_anew_and_finds_what_is_gone(dropbox: FakeDropbox) -> None:
    for photo in photos(6, "a"):
        dropbox.add(photo)
    there = shelf(dropbox).sync()
    dropbox.remove("2")
    dropbox.forget_cursors()
    there.sync()
    assert there.pages[0].begins
    assert there.pages[-1].whole
    assert set(there.items) == paths(dropbox)


def test_resets_without_an_end_stop_the_listing(dropbox: FakeDropbox) -> None:
    for photo in photos(9):
        dropbox.add(photo)
    again = {"error_summary": "reset/..", "error": {".tag": "reset"}}
    dropbox.fail(answer(409, again), path=".*/continue", times=100)
    with pytest.raises(SourceError, match="again and again"):
        shelf(dropbox).sync()


def test_a_list_that_goes_round_in_circles_stops(dropbox: FakeDropbox) -> None:
    page = {"entries": [], "cursor": "AAF-0", "has_more": True}
    dropbox.fail(answer(200, page), path=".*/list_folder.*", times=100)
    with pytest.raises(SourceError, match="no list that goes on"):
        shelf(dropbox).sync()


@pytest.mark.parametrize("said", [[], "word", {"entries": None}, {"entries": [1], "cursor": 3}])
def test_an_answer_of_another_shape_stops_the_listing(dropbox: FakeDropbox, said: Any) -> None:
    dropbox.fail(answer(200, json.dumps(said), {"content-type": "application/json"}), times=100)
    with pytest.raises(SourceError, match="Dropbox answers"):
        shelf(dropbox).sync()


def test_a_folder_that_vanishes_takes_nothing_away(dropbox: FakeDropbox) -> None:
    for photo in photos(3, "Photos"):
        dropbox.add(photo)
    there = shelf(dropbox, path="/Photos").sync()
    dropbox.remove_folder("Photos")
    with pytest.raises(SourceError, match="There is no Dropbox: /Photos any more"):
        there.sync()
    assert len(there.items) == 3
    dropbox.add(FakePhoto("0", "photo 0.jpg", jpeg(0), "Photos"))
    assert set(there.sync().items) == {"/photos/photo 0.jpg"}


def test_a_path_of_a_file_is_refused_in_words(dropbox: FakeDropbox) -> None:
    dropbox.add(photos(1)[0])
    with pytest.raises(SourceError, match="a file, not a folder"):
        shelf(dropbox, path="/photo 0.jpg").sync()


def test_odd_names_come_through_the_header(dropbox: FakeDropbox) -> None:
    for number, name in enumerate(ODD):
        dropbox.add(FakePhoto(str(number), name, jpeg(number), "Ёлка 🎄 %41"))
    there = shelf(dropbox).sync()
    assert there.names == sorted(ODD)
    assert {item.album for item in there.items.values()} == {"Ёлка 🎄 %41"}
    for item in there.items.values():
        assert fetched(there.connector, item) == jpeg(ODD.index(item.name))
    headers = [one.headers["dropbox-api-arg"] for one in dropbox.requests if "dropbox-api-arg" in one.headers]
    assert all(header.isascii() and header.isprintable() for header in headers)


# What can't be fetched


def test_a_photo_that_is_gone_is_missing(dropbox: FakeDropbox) -> None:
    dropbox.add(photos(1)[0])
    there = shelf(dropbox).sync()
    dropbox.remove("0")
    with pytest.raises(PhotoError) as caught:
        fetched(there.connector, there.items["/photo 0.jpg"])
    assert caught.value.status is Status.MISSING


@pytest.mark.parametrize(
    ("tags", "status", "words"),
    [
        (("path", "restricted_content"), Status.IO_ERROR, "copyright"),
        (("path", "not_file"), Status.MISSING, "no file any more"),
        (("path", "locked"), Status.IO_ERROR, "locked"),
        (("unsupported_file",), Status.IO_ERROR, "of this kind"),
        (("path", "something_new"), Status.IO_ERROR, "something_new"),
    ],
)
def test_one_photo_that_dropbox_does_not_give_is_skipped(
    dropbox: FakeDropbox, tags: tuple[str, ...], status: Status, words: str
) -> None:
    for photo in photos(2):
        dropbox.add(photo)
    there = shelf(dropbox).sync()
    dropbox.refused["/photo 0.jpg"] = tags
    with pytest.raises(PhotoError, match=words) as caught:
        fetched(there.connector, there.items["/photo 0.jpg"])
    assert caught.value.status is status
    assert fetched(there.connector, there.items["/photo 1.jpg"]) == jpeg(1)
    assert len(calls(dropbox, "files/download")) == 2


def test_bytes_that_have_another_hash_are_not_taken(dropbox: FakeDropbox) -> None:
    dropbox.add(photos(1)[0])
    there = shelf(dropbox).sync()
    other = bytearray(jpeg(0))
    other[-3] ^= 1
    dropbox.fail(answer(200, bytes(other), {"content-type": "application/octet-stream"}), path=".*/download")
    assert fetched(there.connector, there.items["/photo 0.jpg"]) == jpeg(0)
    assert len(calls(dropbox, "files/download")) == 2


# Tokens and limits


def test_an_expired_token_is_renewed_once(dropbox: FakeDropbox) -> None:
    dropbox.add(photos(1)[0])
    dropbox.expired.add("old")
    given: list[str | None] = []

    def access(refused: str | None) -> str:
        given.append(refused)
        return "old" if refused is None and "old" not in given else TOKEN

    there = Shelf(connect({}, Tools(access, lambda _: "", Event()))).sync()
    assert len(there.items) == 1
    assert given.count("old") == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, {"error_summary": "invalid_access_token/..", "error": {".tag": "invalid_access_token"}}),
        (400, "The given OAuth 2 access token is malformed."),
    ],
)
def test_a_token_that_is_none_asks_for_another(dropbox: FakeDropbox, status: int, said: Any) -> None:
    dropbox.fail(answer(status, said), times=10)
    with pytest.raises(SignInError):
        shelf(dropbox).sync()


def test_a_right_that_the_app_lacks_is_named(dropbox: FakeDropbox) -> None:
    dropbox.add(photos(1)[0])
    dropbox.rights.remove("files.content.read")
    renewed = Tools(lambda _: TOKEN, lambda _: "", Event())
    there = Shelf(connect({}, renewed)).sync()
    with pytest.raises(SignInError, match=r"has not the right files\.content\.read.*Permissions"):
        fetched(there.connector, there.items["/photo 0.jpg"])


def test_too_many_requests_wait_as_long_as_dropbox_says(dropbox: FakeDropbox, monkeypatch: pytest.MonkeyPatch) -> None:
    dropbox.add(photos(1)[0])
    busy = {"error_summary": "too_many_requests/..", "error": {"reason": {".tag": "too_many_requests"}}}
    waits: list[float] = []
    monkeypatch.setattr("facekit.sources.network.retries.pause", lambda seconds, _: waits.append(seconds))
    busy["error"]["retry_after"] = 2
    dropbox.fail(answer(429, busy))
    monkeypatch.setattr("facekit.sources.network.rate.Rate.hold", lambda *_: None)
    assert len(shelf(dropbox).sync().items) == 1
    assert max(waits) >= 2


def test_a_wait_of_an_hour_stops_until_then(dropbox: FakeDropbox) -> None:
    dropbox.fail(answer(429, {"error_summary": "too_many_requests/.."}, {"retry-after": "3600"}))
    with pytest.raises(SourceError) as caught:
        shelf(dropbox).sync()
    assert caught.value.resume_at is not None


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (
            403,
            {"error_summary": "invalid_account_type/..", "error": {".tag": "invalid_account_type"}},
            "invalid_account",
        ),
        (403, "no", "HTTP status 403"),
        (409, {"error_summary": "something_new/..", "error": {".tag": "something_new"}}, "something_new"),
        (400, "Error in call to API function", "Error in call"),
    ],
)
def test_a_list_that_is_refused_stops(dropbox: FakeDropbox, status: int, said: Any, words: str) -> None:
    dropbox.fail(answer(status, said), times=10)
    with pytest.raises(SourceError, match=words) as caught:
        shelf(dropbox).sync()
    assert not isinstance(caught.value, SignInError)
    assert len(dropbox.requests) == 1


def test_revoke_has_dropbox_forget_the_token(dropbox: FakeDropbox) -> None:
    connector = connect({}, tools(TOKEN))
    assert connector.revoke()
    assert dropbox.revoked == [TOKEN]
    assert not connector.revoke()


# Shared links


def test_a_shared_folder_is_walked_through_by_hand(dropbox: FakeDropbox) -> None:
    for photo in [*photos(5, "Свадьба"), *photos(6, "Свадьба/Гости 🎉/вечер", first=5), *photos(1, "other", first=11)]:
        dropbox.add(photo)
    dropbox.add(FakePhoto("t", "list.txt", b"...", "Свадьба"))
    link = dropbox.share("Свадьба")
    there = shelf(dropbox, link=f"{link}&dl=0").sync()
    expected = {dropbox.path(one).removeprefix("/Свадьба") for one in dropbox.photos.values() if one.album != "other"}
    assert set(there.items) == expected - {"/list.txt"}
    item = there.items["/Гости 🎉/вечер/photo 7.jpg"]
    assert (item.album, item.link) == ("Гости 🎉/вечер", link)
    assert fetched(there.connector, item) == dropbox.photos["7"].data
    assert not any(said.get("recursive") for said in calls(dropbox, "files/list_folder"))
    assert there.pages[0].begins
    assert sum((page.left_out or {}).get("text", 0) for page in there.pages) == 1


def test_a_walk_that_was_cut_off_goes_on(dropbox: FakeDropbox) -> None:
    dropbox.page = 2
    for photo in [*photos(3, "a"), *photos(3, "a/b", first=3), *photos(2, "a/c", first=6), *photos(1, "a/b/d", 8)]:
        dropbox.add(photo)
    link = dropbox.share("a")
    for kept in range(7):
        there = shelf(dropbox, link=link).sync(most_pages=kept)
        if kept == 3:
            dropbox.forget_cursors()
        there.connector = connect({"link": link}, tools(TOKEN))
        there.sync()
        assert len(there.items) == 9
        assert there.pages[0].begins == (kept == 0)


def test_what_left_a_shared_folder_is_gone(dropbox: FakeDropbox) -> None:
    for photo in [*photos(3, "a"), *photos(3, "a/b", first=3)]:
        dropbox.add(photo)
    there = shelf(dropbox, link=dropbox.share("a")).sync()
    dropbox.remove("0")
    dropbox.remove_folder("a/b")
    assert set(there.sync().items) == {"/photo 1.jpg", "/photo 2.jpg"}


def test_a_link_to_one_file(dropbox: FakeDropbox) -> None:
    for photo in photos(3, "a"):
        dropbox.add(photo)
    link = dropbox.share("a", key="1")
    there = shelf(dropbox, link=link).sync()
    (item,) = there.items.values()
    assert (item.key, item.name, item.size) == ("id:1", "photo 1.jpg", len(jpeg(1)))
    assert fetched(there.connector, item) == jpeg(1)
    assert there.connector.gone(["id:1"]) == set()


def test_a_password_is_asked_for_and_used(dropbox: FakeDropbox) -> None:
    for photo in photos(2, "a"):
        dropbox.add(photo)
    link = dropbox.share("a", "сезам")
    asked: list[Prompt] = []

    def ask(prompt: Prompt) -> str:
        asked.append(prompt)
        return "wrong" if len(asked) == 1 else "сезам"

    there = Shelf(connect({"link": link}, Tools(lambda _: TOKEN, ask, Event()))).sync()
    assert {fetched(there.connector, item) for item in there.items.values()} == {jpeg(0), jpeg(1)}
    assert [prompt.answer for prompt in asked] == [True, True]
    assert "rlkey" not in asked[0].text
    assert "сезам" not in json.dumps(there.cursor)


def test_a_password_that_is_changed_meanwhile_stops_the_walk(dropbox: FakeDropbox) -> None:
    dropbox.page = 1
    for photo in photos(2, "a"):
        dropbox.add(photo)
    link = dropbox.share("a")
    connector = connect({"link": link}, tools(TOKEN))
    pages = connector.pages(None)
    (item,) = next(pages).items
    dropbox.links[link] = "/a", "other"
    dropbox.forget_cursors()
    for work in (lambda: list(pages), lambda: fetched(connector, item), lambda: connector.gone([item.key])):
        with pytest.raises(SourceError, match="password"):
            work()


def test_wrong_passwords_come_to_an_end(dropbox: FakeDropbox) -> None:
    link = dropbox.share("", "sesame")
    asked: list[Prompt] = []

    def ask(prompt: Prompt) -> str:
        asked.append(prompt)
        return "wrong"

    connector = connect({"link": link}, Tools(lambda _: TOKEN, ask, Event()))
    with pytest.raises(
        SourceError, match=r"does not open https://www\.dropbox\.com/scl/fo/abc0/h for this account"
    ) as error:
        list(connector.pages(None))
    assert len(asked) == 3
    assert "wrong" not in str(error.value)


def test_a_link_that_was_taken_back_takes_nothing_away(dropbox: FakeDropbox) -> None:
    for photo in photos(2, "a"):
        dropbox.add(photo)
    link = dropbox.share("a")
    there = shelf(dropbox, link=link).sync()
    item = there.items["/photo 0.jpg"]
    dropbox.remove("0")
    with pytest.raises(PhotoError) as caught:
        fetched(there.connector, item)
    assert caught.value.status is Status.MISSING
    del dropbox.links[link]
    with pytest.raises(SourceError, match=r"There is no https://www\.dropbox\.com/scl/fo/abc0/h any more"):
        fetched(there.connector, there.items["/photo 1.jpg"])
    with pytest.raises(SourceError):
        Shelf(connect({"link": link}, tools(TOKEN))).sync()


def test_folders_without_an_end_stop_the_walk(dropbox: FakeDropbox) -> None:
    link = dropbox.share("")
    entry = {".tag": "folder", "name": "again", "id": "id:x"}
    page = {"entries": [entry], "cursor": "c", "has_more": False}
    dropbox.fail(answer(200, page), path=".*/list_folder", times=10**6)
    with pytest.raises(SourceError, match="more than 100 folders"):
        shelf(dropbox, link=link).sync()


# What is said about it


def test_check_goes_through_every_step_and_changes_nothing(dropbox: FakeDropbox) -> None:
    for photo in photos(3, "a"):
        dropbox.add(photo)
    for said in ({}, {"link": dropbox.share("a")}):
        steps = list(connect(said, tools(TOKEN)).check())
        assert [(one.step, one.works) for one in steps] == [("sign in", True), ("list", True), ("fetch", True)]
        assert "JPEG, its hash is right" in steps[-1].found
    assert {one.path for one in dropbox.requests} <= {
        "/2/files/list_folder",
        "/2/files/download",
        "/2/sharing/get_shared_link_metadata",
        "/2/sharing/get_shared_link_file",
    }
    assert [one.works for one in connect({}, tools()).check()] == [False]
    assert [one.works for one in connect({"path": "/nowhere"}, tools(TOKEN)).check()] == [True, False]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "https://www.dropbox.com/scl/fo/abc/DEF-g?rlkey=k1&st=x&dl=0",
            {"link": "https://www.dropbox.com/scl/fo/abc/DEF-g?rlkey=k1"},
        ),
        (
            "https://www.dropbox.com/scl/fi/abc/a%20b.jpg?rlkey=k1&dl=0",
            {"link": "https://www.dropbox.com/scl/fi/abc/a%20b.jpg?rlkey=k1"},
        ),
        (
            "https://dropbox.com/s/2sn712vy1ovegw8/a.jpg?dl=1",
            {"link": "https://www.dropbox.com/s/2sn712vy1ovegw8/a.jpg"},
        ),
        ("http://www.dropbox.com/sh/abc/AAA/", {"link": "https://www.dropbox.com/sh/abc/AAA"}),
        ("https://www.dropbox.com/home/%D0%A4%D0%BE%D1%82%D0%BE/2019", {"path": "/Фото/2019"}),
        ("https://www.dropbox.com/home", {"path": "/"}),
        ("https://www.dropbox.com/help", None),
        ("https://www.dropbox.com.example.org/s/abc/a.jpg", None),
        ("https://example.org/?https://www.dropbox.com/s/abc", None),
        ("C:\\Dropbox", None),
        ("~/Dropbox", None),
        ("https://www.dropbox.com", None),
        ("https://[", None),
    ],
)
def test_addresses(address: str, said: dict[str, str] | None) -> None:
    assert settings_of(address) == said


def test_settings_that_are_wrong_are_refused() -> None:
    for said in ({"path": "/a", "link": "https://www.dropbox.com/s/abc/a.jpg"}, {"link": "https://example.org/x?k=1"}):
        with pytest.raises(RefusedError):
            connect(said, tools(TOKEN))


def test_signing_in_gives_a_token_that_lists_and_is_renewed(
    dropbox: FakeDropbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_DROPBOX_CLIENT_ID", CLIENT)
    how = KIND.sign_in
    assert how is not None
    begun = begin(how, "http://127.0.0.1:1/")
    there = httpx2.get(begun.address).headers["location"]
    token = finish(begun, dict(parse_qsl(urlsplit(there).query)))
    asked = dropbox.sign_in.asked[-1]
    assert (asked["token_access_type"], asked["scope"]) == (
        "offline",
        "files.metadata.read files.content.read sharing.read",
    )
    dropbox.add(photos(1)[0])
    for one in (token, renew(how, token)):
        assert len(Shelf(connect({}, tools(one.access))).sync().items) == 1


def test_what_the_kind_says() -> None:
    assert KIND.needs_token
    assert KIND.sign_in is not None
    assert KIND.sign_in.secret is None
    assert KIND.sign_in.more == {"token_access_type": "offline"}
