"""VK: what its albums show and hide, how its errors end, captchas, addresses that expire, and tokens of VK ID."""

from __future__ import annotations

import io
import json
import secrets
import threading
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import fake_service as fake
import httpx2
import pytest
from fake_vk import COMMUNITYS, OWNER, PERSONS, SERVICE, FakeVk, VkPhoto, error, vk_photos
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import PhotoError, RefusedError, SignInError, SourceError
from facekit.sources.item import Prompt, Tools
from facekit.sources.kinds import kind_of_address
from facekit.sources.signing_in import oauth
from facekit.sources.vk import calls as vk_calls
from facekit.sources.vk.addresses import page_of, place, settings_of
from facekit.sources.vk.connector import KIND, Vk
from facekit.sources.vk.photos import biggest
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.sources.item import Connector, Cursor, ItemPage, SourceItem

GET = "/method/photos.get"


@pytest.fixture(scope="module")
def running() -> Iterator[FakeVk]:
    with FakeVk() as service:
        yield service


@pytest.fixture
def vk(running: FakeVk, monkeypatch: pytest.MonkeyPatch) -> FakeVk:
    """VK with twelve photos in an album, three on the wall and two of the profile; it counts no calls."""
    running.heal()
    running.reset()
    running.limited = False
    for photo in [*vk_photos(12), *vk_photos(3, "wall", 100), *vk_photos(2, "profile", 200)]:
        running.add(photo)
    fake.hurry(monkeypatch)
    monkeypatch.setattr(vk_calls, "PER_SECOND", 10_000)
    monkeypatch.setattr(vk_calls, "TOO_MANY_WAIT", 0.01)
    for name, value in running.variables().items():
        monkeypatch.setenv(name, value)
    return running


def connected(settings: dict[str, str] | None = None, token: str = SERVICE, **more: Any) -> Connector:
    return Vk({"owner": str(OWNER)} if settings is None else settings, fake.tools(token, **more))


def listed(source: Connector, cursor: Cursor | None = None) -> tuple[dict[str, SourceItem], ItemPage]:
    """What a listing has shown, and its last page."""
    pages = list(source.pages(cursor))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert [page.begins for page in pages] == [not cursor] + [False] * (len(pages) - 1)
    return {item.key: item for page in pages for item in page.items}, pages[-1]


def fetched(source: Connector, item: SourceItem) -> bytes:
    file = io.BytesIO(b"before")
    file.seek(6)
    source.fetch(item, file, 10**6)
    return file.getvalue()[6:]


def calls(service: FakeVk) -> list[str]:
    return [one.path.rpartition("/")[2] for one in service.requests if one.path.startswith("/method/")]


# Addresses


@pytest.mark.parametrize(
    ("address", "settings"),
    [
        ("https://vk.com/album-123_456", {"owner": "-123", "album": "456"}),
        ("https://vk.com/album1_0", {"owner": "1", "album": "profile"}),
        ("https://vk.com/album-1_00?act=comments", {"owner": "-1", "album": "wall"}),
        ("https://m.vk.com/album1_000", {"owner": "1", "album": "saved"}),
        ("https://vk.com/club1?z=album-1_7%2Fphotos-1", {"owner": "-1", "album": "7"}),
        ("https://vk.com/albums123", {"owner": "123"}),
        ("https://vk.com/photos-5", {"owner": "-5"}),
        ("https://vk.com/tag5", {"owner": "5", "album": "tagged"}),
        ("https://vk.com/wall-5", {"owner": "-5", "album": "wall"}),
        ("https://vk.com/id1", {"owner": "1"}),
        ("https://vk.ru/club1", {"owner": "-1"}),
        ("http://m.vk.ru/public1/", {"owner": "-1"}),
        ("https://www.vk.com/Some.Body", {"owner": "some.body"}),
        ("https://vk.com/page1e", {"owner": "page1e"}),
        ("https://vk.com/feed", None),
        ("https://vk.com/", None),
        ("https://vk.com/photo1_2", None),
        ("https://vk.com/wall-1_2", None),
        ("https://vk.com/@some-words", None),
        ("https://vk.com/a/b", None),
        ("https://vk.com.example.org/somebody", None),
        ("ftp://vk.com/somebody", None),
        ("vk.com/somebody", None),
        ("https://[::1", None),
        ("photos/vk.com", None),
    ],
)
def test_an_address_says_whose_photos_and_which_album(address: str, settings: dict[str, str] | None) -> None:
    assert settings_of(address) == settings
    if settings:
        assert kind_of_address(address) == (KIND, settings)


@given(st.integers(-(10**12), 10**12).filter(bool), st.sampled_from(["", "wall", "profile", "saved", "17"]))
def test_the_page_of_a_source_is_its_address(owner: int, album: str) -> None:
    assert place(page_of(str(owner), album), "") == (str(owner), album)


@given(st.text("aZid09_-.@/?=&#%é ", max_size=20))
def test_any_text_is_an_address_or_none(text: str) -> None:
    found = settings_of(f"https://vk.com/{text}")
    assert found is None or place(found["owner"], found.get("album", "")) == (found["owner"], found.get("album", ""))


@pytest.mark.parametrize(
    ("owner", "album", "meant"),
    [
        ("", "", ("", "")),
        ("-5", "all", ("-5", "")),
        ("@somebody", "-7", ("somebody", "wall")),
        ("vk.com/album1_00", "", ("1", "wall")),
        ("vk.com/album1_00", "all", ("1", "")),
        ("", "https://vk.com/album-1_3", ("-1", "3")),
        ("club5", "3", ("-5", "3")),
    ],
)
def test_settings_may_be_ids_names_and_addresses(owner: str, album: str, meant: tuple[str, str]) -> None:
    assert place(owner, album) == meant


@pytest.mark.parametrize("settings", [{"owner": "feed"}, {"owner": "a b"}, {"album": "best"}, {"colour": "red"}])
def test_settings_that_are_none_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(RefusedError):
        KIND.connect(settings, fake.tools())


# Sizes


def sizes(*given: tuple[str, int, int]) -> dict[str, Any]:
    return {"sizes": [{"type": kind, "width": w, "height": h, "url": f"{kind} {w}"} for kind, w, h in given]}


@pytest.mark.parametrize(
    ("photo", "best"),
    [
        (sizes(("s", 75, 56), ("w", 2560, 1920), ("z", 1280, 960)), "w 2560"),
        (sizes(("s", 0, 0), ("z", 0, 0), ("y", 0, 0)), "z 0"),  # from before 2012
        (sizes(("w", 0, 0), ("orig", 0, 0)), "orig 0"),
        (sizes(("x", 500, 250), ("r", 510, 340)), "x 500"),  # r has no sides
        (sizes(("r", 510, 340)), "r 510"),
        (sizes(("w", 1000, 600), ("base", 3000, 2000)), "base 3000"),
        (sizes(("w", 2560, 1920)) | {"orig_photo": {"type": "base", "url": "orig", "width": 0, "height": 0}}, "orig"),
        ({"images": [{"type": "m", "src": "m", "width": 130, "height": 9}, {"type": "x", "width": 604}]}, "m"),
        ({"sizes": [{"type": "w", "width": 9, "height": 9, "url": ""}, None, 5]}, None),
        ({"sizes": "none"}, None),
        ({}, None),
    ],
)
def test_the_biggest_picture_that_shows_all_is_taken(photo: dict[str, Any], best: str | None) -> None:
    assert biggest(photo) == best


@given(st.permutations([("s", 75, 75), ("m", 0, 0), ("x", 604, 604), ("y", 807, 807), ("z", 0, 0), ("q", 320, 213)]))
def test_the_order_of_sizes_is_nothing(order: list[tuple[str, int, int]]) -> None:
    assert biggest(sizes(*order)) == "z 0"


# Listings


def test_a_photo_is_known_by_owner_and_id_and_says_what_vk_knows(vk: FakeVk) -> None:
    vk.add(
        VkPhoto(f"{OWNER}_7", "", fake.jpeg(7), "Лето 2019/20 🌊", date=1_600_000_000, latitude=55.7, longitude=37.6)
    )
    found, last = listed(connected())
    assert set(found) == set(vk.photos)
    assert last.whole
    assert last.left_out is None
    item = found[f"{OWNER}_7"]
    assert (item.name, item.album) == (f"{OWNER}_7.jpg", "Лето 2019∕20 🌊")
    assert (item.latitude, item.longitude) == (55.7, 37.6)
    assert item.modified == datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)
    assert item.taken_at is None  # VK knows only when it got it
    assert item.link == f"https://vk.com/photo{OWNER}_7"
    assert {item.album for item in found.values()} == {"Лето", "Лето 2019∕20 🌊", "wall", "profile"}


def test_nothing_that_is_kept_holds_an_address_with_a_signature(vk: FakeVk) -> None:
    for page in connected().pages(None):
        assert "sign" not in repr(page)
        assert json.loads(json.dumps(page.cursor)) == page.cursor


@pytest.mark.parametrize("most", [2, 3, 5, 1000])
def test_short_pages_and_hidden_photos_end_no_album(vk: FakeVk, most: int) -> None:
    vk.page_most = most
    for number in (1, 5, 6, 12):
        vk.photos[f"{OWNER}_{number}"].hidden = True
    found, last = listed(connected())
    assert set(found) == {key for key, photo in vk.photos.items() if not photo.hidden}
    assert last.whole


@pytest.mark.parametrize("counted", [40, 10**9])
def test_an_empty_page_ends_an_album_whatever_is_counted(vk: FakeVk, counted: int) -> None:
    vk.counted = counted
    found, _ = listed(connected())
    assert set(found) == set(vk.photos)
    assert len(calls(vk)) < 20


@pytest.mark.parametrize("most", [5, 8])
@pytest.mark.parametrize("deleted", [1, 2, 4])
def test_photos_that_are_deleted_meanwhile_hide_no_others(vk: FakeVk, most: int, deleted: int) -> None:
    for photo in vk_photos(30, first=13):
        vk.add(photo)
    vk.page_most = most
    seen = set()
    for number, page in enumerate(connected({"owner": str(OWNER), "album": "1000"}).pages(None)):
        seen |= {item.key for item in page.items}
        if number == 1:
            for gone in range(1, deleted + 1):
                vk.remove(f"{OWNER}_{gone}")
    assert seen >= {key for key, photo in vk.photos.items() if photo.album == "Лето"}


def test_an_album_without_an_order_ends(vk: FakeVk, monkeypatch: pytest.MonkeyPatch) -> None:
    vk.page_most = 4
    monkeypatch.setattr(vk, "_page", lambda photos, form, newest: _shuffled(vk, photos))
    found, _ = listed(connected())
    assert set(found) <= set(vk.photos)
    assert len(calls(vk)) < 200


def _shuffled(vk: FakeVk, photos: list[VkPhoto]) -> dict[str, Any]:
    some = [photos[secrets.randbelow(len(photos))] for _ in range(4)]
    return {"count": 10**6, "items": [vk._shown_as(photo) for photo in some]}


def test_a_listing_goes_on_from_every_cursor(vk: FakeVk) -> None:
    vk.page_most = 5
    pages = list(connected().pages(None))
    for number, page in enumerate(pages[:-1]):
        before = {item.key for one in pages[: number + 1] for item in one.items}
        after, last = listed(connected(), json.loads(json.dumps(page.cursor)))
        assert before | set(after) == set(vk.photos)
        assert last.whole
    assert set(listed(connected(), pages[-1].cursor)[0]) == set(vk.photos)  # after the end, all again


def test_albums_that_come_and_go_move_no_cursor(vk: FakeVk) -> None:
    vk.add(VkPhoto(f"{OWNER}_300", "", fake.jpeg(3), "Осень"))
    pages = connected().pages(None)
    first = [next(pages) for _ in range(3)]
    vk.add(VkPhoto(f"{OWNER}_400", "", fake.jpeg(4), "Зима"))
    for key in [key for key, photo in vk.photos.items() if photo.album == "Лето"]:
        vk.remove(key)
    rest, _ = listed(connected(), first[-1].cursor)
    assert set(rest) >= {f"{OWNER}_300", f"{OWNER}_400"}


@pytest.mark.parametrize(
    ("album", "keys"),
    [("wall", {100, 101, 102}), ("profile", {200, 201}), ("1000", set(range(1, 13))), ("-6", {200, 201})],
)
def test_one_album_is_listed_alone(vk: FakeVk, album: str, keys: set[int]) -> None:
    found, last = listed(connected({"owner": "somebody", "album": album}))
    assert set(found) == {f"{OWNER}_{key}" for key in keys}
    assert last.whole


def test_a_community_is_found_by_its_name(vk: FakeVk) -> None:
    vk.add(VkPhoto("-5_1", "", fake.jpeg(1), "Club"))
    assert set(listed(connected({"owner": "some_club"}))[0]) == {"-5_1"}


@pytest.mark.parametrize("name", ["nobody", "some_game"])
def test_a_name_that_is_nobodys_is_said(vk: FakeVk, name: str) -> None:
    with pytest.raises(SourceError, match=name):
        list(connected({"owner": name}).pages(None))


def test_without_an_owner_it_is_whoever_the_token_is_of(vk: FakeVk) -> None:
    assert set(listed(connected({}, PERSONS))[0]) == set(vk.photos)
    with pytest.raises(SourceError, match="whose photos"):
        list(connected({}).pages(None))


def test_photos_that_show_somebody_are_listed_with_a_persons_token(vk: FakeVk) -> None:
    vk.add(VkPhoto("9_1", "", fake.jpeg(1), "Others"))
    found, last = listed(connected({}, PERSONS))
    assert found["9_1"].album == "tagged"
    assert last.whole


def test_a_photo_without_a_picture_is_left_out(vk: FakeVk) -> None:
    vk.add(VkPhoto(f"{OWNER}_9", "", b"", "Лето", sizes=()))
    pages = list(connected().pages(None))
    assert sum((page.left_out or {}).get("photo without a picture", 0) for page in pages) == 1


def test_small_albums_come_in_one_call_with_a_persons_token(vk: FakeVk) -> None:
    for number in range(30):
        vk.add(VkPhoto(f"{OWNER}_{300 + number}", "", fake.jpeg(number), f"Album {number}"))
    vk.closed["Album 3"] = 200
    found, last = listed(connected({}, PERSONS))
    assert set(found) == {key for key, photo in vk.photos.items() if photo.album != "Album 3"}
    assert not last.whole
    assert calls(vk).count("photos.get") == 1  # the closed one, alone once more
    assert calls(vk).count("execute") == 2
    vk.heal()
    assert set(listed(connected())[0]) == set(found)
    assert "execute" not in calls(vk)  # not for a service token


def test_where_calls_can_not_be_put_together_they_are_made_one_by_one(vk: FakeVk) -> None:
    vk.fail(error(13), path="/method/execute")
    assert set(listed(connected({}, PERSONS))[0]) == set(vk.photos)
    assert calls(vk).count("execute") == 1


# Errors


def test_a_closed_album_is_left_out_and_the_listing_not_whole(vk: FakeVk) -> None:
    vk.closed["Лето"] = 200
    pages = list(connected().pages(None))
    assert {item.album for page in pages for item in page.items} == {"wall", "profile"}
    assert not pages[-1].whole
    assert sum((page.left_out or {}).get("album that this token may not see", 0) for page in pages) == 1
    begun = next(page for page in pages if not page.last)
    assert listed(connected(), begun.cursor)[1].whole is False


def test_where_all_albums_are_closed_it_is_said_why(vk: FakeVk) -> None:
    vk.closed |= {"Лето": 200, "wall": 30, "profile": 30}
    with pytest.raises(SourceError, match=r"error 200"):
        list(connected().pages(None))


@pytest.mark.parametrize("code", [1, 6, 10])
def test_errors_of_the_moment_are_tried_again(vk: FakeVk, code: int) -> None:
    vk.fail(error(code), path=GET, times=2)
    assert set(listed(connected())[0]) == set(vk.photos)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (2, SourceError, "switched off"),
        (7, SignInError, "no right to photos"),
        (15, SourceError, "access is denied"),
        (18, SourceError, "deleted"),
        (20, SignInError, "application"),
        (27, SignInError, "community's token"),
        (28, SignInError, "service token"),
        (30, SourceError, "private"),
        (100, SourceError, "parameter"),
        (113, SourceError, "no such person"),
        (125, SourceError, "no such community"),
        (200, SourceError, "album is denied"),
        (203, SourceError, "community is denied"),
        (1051, SignInError, "VK ID"),
        (777, SourceError, "Some error"),
    ],
)
def test_an_error_that_stays_is_said_plainly(vk: FakeVk, code: int, kind: type[SourceError], words: str) -> None:
    vk.fail(error(code), path="/method/photos.getAlbums", times=9)
    with pytest.raises(SourceError, match=words) as raised:
        list(connected().pages(None))
    assert type(raised.value) is kind
    assert f"error {code}" in raised.value.message
    assert raised.value.remedy
    assert len(calls(vk)) == 1  # nothing is tried again


@pytest.mark.parametrize("code", [5, 1117])
def test_a_refused_token_is_renewed_once(vk: FakeVk, code: int) -> None:
    vk.expired.add("old")
    vk.tokens["old"] = "service"
    asked = []

    def access(refused: str | None) -> str:
        asked.append(refused)
        return SERVICE if refused else "old"

    vk.fail(error(code), path="/method/photos.getAlbums")
    source = Vk({"owner": str(OWNER)}, Tools(access, lambda _: "", threading.Event()))
    next(source.pages(None))
    assert "old" in asked


@pytest.mark.parametrize("code", [5, 1117])
def test_a_token_that_is_not_renewed_wants_somebody_to_sign_in(vk: FakeVk, code: int) -> None:
    vk.fail(error(code, error_msg=f"bad token {SERVICE}"), path=".*", times=9)
    with pytest.raises(SignInError) as raised:
        list(connected().pages(None))
    assert SERVICE not in str(raised.value)


def test_no_error_holds_the_token(vk: FakeVk) -> None:
    vk.fail(error(15, error_msg=f"no access for {SERVICE} at https://vk.com/x?access_token={SERVICE}"), times=9)
    with pytest.raises(SourceError, match="no access") as raised:
        list(connected().pages(None))
    assert SERVICE not in repr(raised.value)


@pytest.mark.parametrize(("code", "pause"), [(9, timedelta(hours=1)), (29, timedelta(days=1))])
def test_a_limit_stops_the_source_until_it_ends(vk: FakeVk, code: int, pause: timedelta) -> None:
    vk.fail(error(code), path=GET, after=1)
    pages = connected().pages(None)
    first = next(pages)
    with pytest.raises(SourceError, match=f"error {code}") as raised:
        list(pages)
    left = raised.value.resume_at - datetime.now(UTC)
    assert pause - timedelta(minutes=1) < left <= pause
    rest, last = listed(connected(), first.cursor)
    assert {item.key for item in first.items} | set(rest) == set(vk.photos)
    assert last.whole


def test_a_communitys_token_is_of_no_use_and_that_is_said(vk: FakeVk) -> None:
    with pytest.raises(SignInError, match="community's token") as raised:
        list(connected(token=COMMUNITYS).pages(None))
    assert "service token" in raised.value.remedy


@pytest.mark.parametrize(
    "body", [{"neither": 1}, [1], "words"], ids=["neither photos nor an error", "a list", "a text"]
)
def test_an_answer_that_says_nothing_is_tried_again(vk: FakeVk, body: Any) -> None:
    vk.fail(fake.answer(200, json.dumps(body), {"content-type": "application/json"}), path=GET)
    assert set(listed(connected())[0]) == set(vk.photos)


def test_a_status_that_refuses_the_call_stops_the_source(vk: FakeVk) -> None:
    vk.fail(fake.status(404), path=GET)
    with pytest.raises(SourceError, match="404"):
        list(connected().pages(None))


# Captchas


def asking(answers: list[str]) -> tuple[Tools, list[Prompt]]:
    shown: list[Prompt] = []

    def ask(prompt: Prompt) -> str:
        shown.append(prompt)
        return answers.pop(0)

    return Tools(fake.tools(SERVICE).access, ask, threading.Event()), shown


def test_the_letters_of_a_captcha_are_asked_for_until_they_are_right(vk: FakeVk) -> None:
    vk.want_letters("xzq7")
    tools, shown = asking(["wrong", " xzq7 "])
    assert set(listed(Vk({"owner": str(OWNER)}, tools))[0]) == set(vk.photos)
    assert [(one.link, one.answer) for one in shown] == [(None, True)] * 2
    assert {one.image for one in shown} == {"data:image/jpeg;base64," + b64encode(fake.jpeg(1)).decode()}


@pytest.mark.parametrize(
    "fault",
    [
        fake.answer(200, b"<svg/>", {"content-type": "image/svg+xml"}),
        fake.answer(200, b"x" * 200_001, {"content-type": "image/png"}),
        fake.answer(404),
        fake.redirect("https://picture.example/a.png"),
    ],
    ids=["drawing", "too large", "missing", "elsewhere"],
)
def test_a_captcha_whose_picture_is_not_to_be_had_is_shown_by_its_address(vk: FakeVk, fault: fake.Fault) -> None:
    vk.want_letters("xzq7")
    vk.fail(fault, path="/captcha.php", times=9)
    tools, shown = asking(["xzq7"])
    list(Vk({"owner": str(OWNER)}, tools).pages(None))
    assert [str(one.image).startswith(f"{vk.url}/captcha.php?sid=") for one in shown] == [True]


def test_a_captcha_is_given_up_after_three_answers(vk: FakeVk) -> None:
    vk.want_letters("xzq7")
    tools, shown = asking(["a", "b", "c", "d"])
    with pytest.raises(SourceError, match="3 times"):
        list(Vk({"owner": str(OWNER)}, tools).pages(None))
    assert len(shown) == 3
    assert len(calls(vk)) == 4


@pytest.mark.parametrize("token", ["succ3ss", None])
def test_the_page_of_a_captcha_is_opened_and_its_token_sent(vk: FakeVk, token: str | None) -> None:
    vk.want_page(token)
    tools, shown = asking([token or ""])
    assert set(listed(Vk({"owner": str(OWNER)}, tools))[0]) == set(vk.photos)
    assert [(one.link is not None, one.image, one.answer) for one in shown] == [(True, None, True)]


def test_a_captcha_that_shows_nothing_stops_the_source(vk: FakeVk) -> None:
    vk.fail(error(14), times=9)
    with pytest.raises(SourceError, match="shows none"):
        list(connected().pages(None))


def test_the_page_that_confirms_an_account_is_opened(vk: FakeVk) -> None:
    vk.fail(error(17, redirect_uri="https://m.vk.com/activation?act=validate"), path="/method/photos.getAlbums")
    tools, shown = asking([""])
    assert set(listed(Vk({"owner": str(OWNER)}, tools))[0]) == set(vk.photos)
    assert [(one.link, one.answer) for one in shown] == [("https://m.vk.com/activation?act=validate", False)]


# Pictures


def test_the_bytes_are_those_of_the_biggest_picture(vk: FakeVk) -> None:
    vk.add(VkPhoto(f"{OWNER}_7", "", fake.jpeg(700), "Лето", original=True))
    source = connected()
    for key, item in listed(source)[0].items():
        assert fetched(source, item) == vk.photos[key].data
    assert "photos.getById" not in calls(vk)


def test_addresses_that_expired_are_asked_for_anew_many_at_once(vk: FakeVk) -> None:
    source = connected()
    found, _ = listed(source)
    vk.expire()
    for key, item in found.items():
        assert fetched(source, item) == vk.photos[key].data
    assert calls(vk).count("photos.getById") == 1


def test_another_process_needs_no_more_than_the_key(vk: FakeVk) -> None:
    found, _ = listed(connected())
    vk.heal()
    source = connected()
    got: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=lambda item=item: got.update({item.key: fetched(source, item)}))
        for item in found.values()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {key: photo.data for key, photo in vk.photos.items()}
    assert set(calls(vk)) == {"photos.getById"}


def test_a_photo_that_only_its_album_shows_is_found_there(vk: FakeVk) -> None:
    vk.photos[f"{OWNER}_3"].access_key = "k3y"
    first = connected()
    found, _ = listed(first)
    vk.expire()
    item = found[f"{OWNER}_3"]
    assert fetched(first, item) == vk.photos[item.key].data  # the key is known there
    assert calls(vk).count("photos.getAlbums") == 1
    assert fetched(connected(), item) == vk.photos[item.key].data


def test_a_deleted_photo_is_missing_and_a_refused_one_is_not(vk: FakeVk) -> None:
    found, _ = listed(connected())
    vk.remove(f"{OWNER}_3")
    with pytest.raises(PhotoError) as raised:
        fetched(connected(), found[f"{OWNER}_3"])
    assert raised.value.status is Status.MISSING
    vk.closed["Лето"] = 200
    vk.fail(error(200), path="/method/photos.getById")
    with pytest.raises(PhotoError, match="denied") as raised:
        fetched(connected(), found[f"{OWNER}_4"])
    assert raised.value.status is Status.IO_ERROR


def test_a_photo_of_which_no_address_works_is_skipped(vk: FakeVk) -> None:
    source = connected()
    found, _ = listed(source)
    vk.fail(fake.status(403), path="/pictures/.*", times=2)
    with pytest.raises(PhotoError) as raised:
        fetched(source, found[f"{OWNER}_3"])
    assert "sign" not in str(raised.value)
    assert fetched(source, found[f"{OWNER}_3"]) == vk.photos[f"{OWNER}_3"].data


def test_a_photo_that_vk_knows_is_not_missing_because_a_server_lacks_it(vk: FakeVk) -> None:
    source = connected()
    item = listed(source)[0][f"{OWNER}_3"]
    vk.fail(fake.status(404), path="/pictures/.*", times=3)
    for connector in (source, connected()):
        with pytest.raises(PhotoError) as raised:
            fetched(connector, item)
        assert raised.value.status is Status.IO_ERROR


def test_a_picture_that_is_cut_is_fetched_again(vk: FakeVk) -> None:
    source = connected()
    item = listed(source)[0][f"{OWNER}_3"]
    vk.fail(fake.truncated(0.9), path="/pictures/.*", times=2)
    assert fetched(source, item) == vk.photos[item.key].data
    whole = vk.photos[item.key].data
    vk.change(item.key, whole[:-2])
    assert fetched(source, item) == whole[:-2]  # so it is at VK: three times the same
    vk.change(item.key, b"GIF89a and more")
    assert fetched(source, item) == b"GIF89a and more"


def test_a_photo_that_is_too_large_is_asked_for_once(vk: FakeVk) -> None:
    source = connected()
    found, _ = listed(source)
    with pytest.raises(PhotoError) as raised:
        source.fetch(found[f"{OWNER}_3"], io.BytesIO(), 20)
    assert raised.value.status is Status.TOO_LARGE
    assert "photos.getById" not in calls(vk)


def test_gone_is_what_vk_says_nothing_to(vk: FakeVk) -> None:
    vk.remove(f"{OWNER}_3")
    keys = [f"{OWNER}_{number}" for number in range(1, 601)]
    gone = connected().gone(keys)
    assert gone == set(keys) - set(vk.photos)
    assert calls(vk) == ["photos.getById"] * 2


def test_of_what_vk_refuses_to_say_nothing_is_gone(vk: FakeVk) -> None:
    vk.remove(f"{OWNER}_3")
    keys = [f"{OWNER}_{number}" for number in range(1, 5)]
    vk.fail(error(200), path="/method/photos.getById", times=2)  # for all, and for the second half
    assert connected().gone(keys) <= {f"{OWNER}_3"}
    vk.heal()
    vk.fail(error(200), path="/method/photos.getById", times=999)
    assert connected().gone(keys) == set()
    assert len(calls(vk)) == 7


# Checking, and VK ID


def test_every_step_of_a_sync_can_be_checked(vk: FakeVk) -> None:
    steps = list(connected().check())
    assert [step.works for step in steps] == [True] * 5
    assert "service token" in steps[0].found
    assert steps[1].found == f"https://vk.com/albums{OWNER}"
    assert "bytes of" in steps[-1].found
    assert set(calls(vk)) <= {"users.get", "photos.getAlbums", "photos.get"}
    vk.closed |= {"wall": 200, "profile": 200, "Лето": 30}
    steps = list(connected().check())
    assert [step.works for step in steps] == [True, True, True, False]
    assert "private" in steps[-1].found


def test_a_check_ends_at_the_first_step_that_fails(vk: FakeVk) -> None:
    steps = list(connected(token="nonsense").check())
    assert [(step.step, step.works) for step in steps] == [("token", False)]


def agreed(vk: FakeVk) -> tuple[oauth.Begun, dict[str, str]]:
    """A sign-in by facekit's own flow, and what VK ID sends back with the browser."""
    assert KIND.sign_in is not None
    begun = oauth.begin(KIND.sign_in, "http://localhost")
    assert begun.address.startswith(f"{vk.url}/authorize?")
    shown = httpx2.get(begun.address)
    return begun, dict(parse_qsl(urlsplit(shown.headers["location"]).query))


@pytest.mark.parametrize("changed", ["device_id", "code", "verifier", "redirect", "state"])
def test_vk_id_gives_no_token_to_whoever_errs(vk: FakeVk, changed: str) -> None:
    begun, said = agreed(vk)
    if changed in said:
        said |= {changed: "another"}
    else:
        begun = replace(begun, **{changed: "another" * 9})
    with pytest.raises(SignInError):
        oauth.finish(begun, said)


def test_a_token_of_vk_id_works_is_renewed_and_revoked(vk: FakeVk) -> None:
    begun, said = agreed(vk)
    token = oauth.finish(begun, said)
    with pytest.raises(SignInError):
        oauth.finish(begun, said)  # a code works once
    renewed = oauth.renew(begun.how, token)
    with pytest.raises(SignInError):
        oauth.renew(begun.how, token)  # so does what renews
    assert (token.more or {})["device_id"] == (renewed.more or {})["device_id"]
    source = connected({}, renewed.access)
    assert set(listed(source)[0]) == set(vk.photos)
    assert source.revoke()
    with pytest.raises(SignInError):
        next(connected({}, renewed.access).pages(None))
    assert not source.revoke()


def test_a_token_that_was_pasted_can_not_be_revoked(vk: FakeVk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not connected().revoke()
    monkeypatch.delenv("FACEKIT_VK_CLIENT_ID")
    vk.heal()
    assert not connected().revoke()
    assert not vk.requests
