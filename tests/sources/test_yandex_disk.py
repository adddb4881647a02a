"""Yandex Disk: links and one's own disk, folders that change while they are listed, and every error it has."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from fake_service import answer, html, hurry, jpeg, redirect, status, tools, truncated
from fake_yandex import FILE_LINK, LINK, LONG_KEY, TOKEN, FakeYandex
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import PhotoError, RefusedError, SignInError, SourceError
from facekit.sources.kinds import kind_named, kind_of_address
from facekit.sources.signing_in import oauth
from facekit.sources.yandex_disk import connector as yandex_disk
from facekit.sources.yandex_disk import listing as yandex_listing
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.sources.item import SourceItem
    from facekit.sources.yandex_disk.connector import YandexDisk

MOST = 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[FakeYandex]:
    """One for all tests here."""
    with FakeYandex() as fake:
        yield fake


@pytest.fixture(autouse=True)
def _surroundings(server: FakeYandex, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    hurry(monkeypatch)
    monkeypatch.setattr(yandex_disk, "PER_SECOND", 1000.0)
    for name, value in server.variables().items():
        monkeypatch.setenv(name, value)
    yield
    while _open:
        _open.pop()._http.close()


@pytest.fixture
def link(server: FakeYandex) -> FakeYandex:
    """A link to nothing yet."""
    server.begin()
    return server


@pytest.fixture
def own(server: FakeYandex) -> FakeYandex:
    """Somebody's own disk, with nothing on it."""
    server.begin(own=True)
    return server


@pytest.fixture(params=["link", "own"])
def fake(request: pytest.FixtureRequest) -> FakeYandex:
    """Either of them, with three photos in two folders."""
    made = request.getfixturevalue(request.param)
    for number, path in enumerate(["/a.jpg", "/Лето 🌞/100% 'b'.jpg", "/Лето 🌞/день/c.jpg"]):
        made.put(path, jpeg(number))
    return made


_open: list[Any] = []


def _connected(fake: FakeYandex, settings: dict[str, str] | None = None) -> YandexDisk:
    token = fake.token()
    made: Any = kind_named("yandex-disk").connect(settings or fake.settings(), tools(token.access if token else None))
    _open.append(made)
    return made


def _listed(disk: YandexDisk) -> dict[str, SourceItem]:
    return {item.key: item for page in disk.pages(None) for item in page.items}


def _fetched(disk: YandexDisk, item: SourceItem) -> bytes:
    target = BytesIO()
    disk.fetch(item, target, MOST)
    return target.getvalue()


# Addresses


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("https://disk.yandex.ru/d/qI_Bmm2e5eSytg", "/"),
        ("http://disk.yandex.com/d/qI_Bmm2e5eSytg/", "/"),
        ("https://disk.yandex.com.tr/d/qI_Bmm2e5eSytg?w=1#x", "/"),
        ("yadi.sk/d/qI_Bmm2e5eSytg", "/"),
        (" https://yadi.sk/d/qI_Bmm2e5eSytg/%D0%9B%D0%B5%D1%82%D0%BE%20%F0%9F%8C%9E ", "/Лето 🌞"),
        ("https://disk.yandex.ru/d/qI_Bmm2e5eSytg/Лето 🌞/день", "/Лето 🌞/день"),
    ],
)
def test_link_has_the_same_photos_however_it_is_written(link: FakeYandex, address: str, inside: str) -> None:
    for path in ("/a.jpg", "/Лето 🌞/b.jpg", "/Лето 🌞/день/c.jpg"):
        link.put(path, jpeg(1))
    kind, settings = kind_of_address(address)
    assert kind.name == "yandex-disk"
    assert settings == kind_of_address(settings["link"])[1]
    assert inside != "/" or settings == {"link": LINK}
    found = _listed(_connected(link, settings))
    assert set(found) == {path for path in link.paths() if path.startswith(inside)}
    assert all(item.link.startswith(LINK + "/") for item in found.values())


def test_old_link_with_its_long_key_is_one_too(link: FakeYandex) -> None:
    link.put("/sub/a b.jpg", jpeg(1))
    address = f"https://yadi.sk/public/?hash={LONG_KEY.replace('+', '%2B')}:/sub"
    found = _listed(_connected(link, kind_of_address(address)[1]))
    assert set(found) == {"/sub/a b.jpg"}
    assert found["/sub/a b.jpg"].link.startswith("https://disk.yandex.ru/public?hash=2F9Lz5Okdv")


def test_link_to_one_file_is_one_photo(link: FakeYandex) -> None:
    link.put("/Фото.jpg", jpeg(5)).put("/other.jpg", jpeg(6))
    link.only = "/Фото.jpg"
    disk = _connected(link, {"link": FILE_LINK})
    [item] = _listed(disk).values()
    assert (item.key, item.name, item.album, item.link) == (".", "Фото.jpg", "", FILE_LINK)
    assert _fetched(disk, item) == _fetched(disk, item) == jpeg(5)  # the second by asking for an address


def test_path_to_a_file_in_a_link_is_one_photo(link: FakeYandex) -> None:
    link.put("/sub/a.jpg", jpeg(5)).put("/sub/b.jpg", jpeg(6))
    [item] = _listed(_connected(link, {"link": f"{LINK}/sub/a.jpg"})).values()
    assert (item.key, item.name, item.album) == ("/sub/a.jpg", "a.jpg", "sub")


@pytest.mark.parametrize("address", ["disk:/Фото", "https://disk.yandex.ru/client/disk/%D0%A4%D0%BE%D1%82%D0%BE?x=1"])
def test_path_of_the_own_disk_is_that_folder_only(own: FakeYandex, address: str) -> None:
    own.put("/Фото/1.jpg", jpeg(1)).put("/Фото/x/2.jpg", jpeg(2)).put("/other/3.jpg", jpeg(3))
    found = _listed(_connected(own, kind_of_address(address)[1]))
    assert set(found) == {"/Фото/1.jpg", "/Фото/x/2.jpg"}
    assert found["/Фото/x/2.jpg"].album == "Фото/x"
    assert "idDialog=%2Fdisk%2F%D0%A4%D0%BE%D1%82%D0%BE%2Fx%2F2.jpg" in found["/Фото/x/2.jpg"].link


@pytest.mark.parametrize(
    "text", ["/Photos", "C:\\Photos", "https://disk.yandex.ru.evil.com/d/qI_Bmm2e5eSytg", "http://[::1", "s3://a/b", ""]
)
def test_other_addresses_are_none_of_its(text: str) -> None:
    assert kind_named("yandex-disk").settings_of(text) is None


@given(st.text())
def test_whatever_text_it_is_shown_it_takes_it_or_leaves_it(text: str) -> None:
    for one in (text, f"https://disk.yandex.ru/d/{text}", f"disk:{text}", f"https://yadi.sk/public/?hash={text}"):
        settings = kind_named("yandex-disk").settings_of(one)
        try:
            if settings is not None:
                kind_named("yandex-disk").connect(settings, tools())
        except RefusedError:
            pass


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"link": "https://disk.yandex.ru/a/qI_Bmm2e5eSytg"}, "album"),
        ({"link": "https://example.org/d/qI_Bmm2e5eSytg"}, "no link to a file or folder"),
        ({"link": LINK, "path": "/a"}, "not both"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, str], says: str) -> None:
    with pytest.raises(RefusedError, match=says) as refused:
        kind_named("yandex-disk").connect(settings, tools())
    assert refused.value.remedy


# What is listed


def test_every_photo_is_listed_once_with_what_the_service_knows(fake: FakeYandex) -> None:
    exif = {"date_time": "2020-01-14T12:45:46+00:00", "gps_latitude": 55.75, "gps_longitude": 37.62}
    fake.put("/день/d.jpg", jpeg(7), exif=exif, modified="2024-05-06T07:08:09+03:00")
    disk = _connected(fake)
    pages = list(disk.pages(None))
    items = [item for page in pages for item in page.items]
    assert Counter(item.key for item in items) == Counter(list(fake.paths()))
    assert [page.begins for page in pages] == [True] + [False] * (len(pages) - 1)
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[-1].whole
    one = next(item for item in items if item.name == "d.jpg")
    assert (one.album, one.size, one.taken_at) == ("день", len(jpeg(7)), datetime(2020, 1, 14, 12, 45, 46))
    assert (one.latitude, one.longitude) == (55.75, 37.62)
    assert one.modified == datetime(2024, 5, 6, 4, 8, 9, tzinfo=UTC)
    assert one.content.startswith("sha256:")
    assert one.version == one.content
    assert {_fetched(disk, item) for item in items} == {photo.data for photo in fake.photos.values()}


def test_what_is_no_photo_is_counted_and_not_fetched(fake: FakeYandex) -> None:
    fake.put("/v.mp4", b"v", media_type="video").put("/Лето 🌞/t.docx", b"d", media_type="document")
    fake.put("/u.bin", b"u", media_type="!?").put("/raw.HEIC", b"h", media_type="unknown")
    left_out: Counter[str] = Counter()
    for page in _connected(fake).pages(None):
        left_out.update(page.left_out)
    assert left_out == {"video": 1, "document": 1, "other": 1}
    assert "/raw.HEIC" in _listed(_connected(fake))


def test_without_a_hash_the_version_is_size_and_time(link: FakeYandex) -> None:
    link.put("/a.jpg", jpeg(1), hashed=False)
    before = _listed(_connected(link))["/a.jpg"]
    link.put("/b.jpg", jpeg(1), hashed=False, modified="2026-01-01T00:00:00+00:00")
    after = _listed(_connected(link))
    assert before.content is None
    assert after["/a.jpg"].version == before.version != after["/b.jpg"].version


def test_answers_full_of_nonsense_are_photos_without_facts(link: FakeYandex) -> None:
    link.put("/a.jpg", jpeg(1))
    odd: dict[str, Any] = {"size": "many", "sha256": 5, "md5": "zz", "modified": [], "exif": {"gps_latitude": 1e9}}
    link.told["/a.jpg"] = odd | {"name": "../../etc/passwd"}
    [item] = _listed(_connected(link)).values()
    assert (item.size, item.content, item.modified, item.latitude) == (None, None, None, None)
    assert "/" not in item.name


# Folders


def _names(count: int) -> list[str]:
    return [f"/{number:04}.jpg" for number in range(count)]


def _full(fake: FakeYandex, count: int) -> None:
    data = jpeg(1)
    for path in _names(count):
        fake.put(path, data)


@pytest.fixture
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yandex_disk, "PAGE", 5)


@pytest.mark.usefixtures("_small_pages")
@pytest.mark.parametrize("count", [4, 5, 6, 9, 10, 23])
def test_folder_of_many_pages_is_listed_whole(link: FakeYandex, count: int) -> None:
    _full(link, count)
    keys = [item.key for page in _connected(link).pages(None) for item in page.items]
    assert sorted(keys) == _names(count)
    assert all(one.query.get("sort") == "path" for one in link.requests)


@pytest.mark.usefixtures("_small_pages")
@pytest.mark.parametrize("change", ["removed", "added", "both"])
def test_folder_that_changes_while_it_is_listed_is_listed_anew(link: FakeYandex, change: str) -> None:
    _full(link, 20)
    seen = set()
    for number, page in enumerate(_connected(link).pages(None)):
        seen |= {item.key for item in page.items}
        if number == 1 and change != "added":
            link.remove("/0001.jpg")
        if number == 1 and change != "removed":
            link.put("/0000b.jpg", jpeg(2)).put("/0000c.jpg", jpeg(3))
    assert seen >= set(link.paths())
    assert page.whole


@pytest.mark.usefixtures("_small_pages")
def test_folder_that_never_stands_still_is_not_listed_for_ever(link: FakeYandex) -> None:
    _full(link, 30)
    pages = []
    for page in _connected(link).pages(None):
        link.put(f"/0000 {len(pages)}.jpg", jpeg(2))
        pages.append(page)
        assert len(pages) < 100
    assert pages[-1].last
    assert not pages[-1].whole  # something may not have been seen


@pytest.mark.usefixtures("_small_pages")
def test_server_that_gives_the_same_part_for_ever_is_not_asked_for_ever(link: FakeYandex) -> None:
    _full(link, 5)
    items = [{"type": "file", "path": path, "name": path[1:], "media_type": "image"} for path in _names(5)]
    link.fail(answer(200, {"type": "dir", "_embedded": {"total": 10**6, "items": items}}), times=1000)
    assert set(_listed(_connected(link))) == set(_names(5))
    assert len(link.requests) < 20


def test_folder_in_itself_is_gone_into_once(link: FakeYandex) -> None:
    link.put("/a/b/c.jpg", jpeg(1))
    link.aliases["/a/b/again"] = "/a"
    assert set(_listed(_connected(link))) == {"/a/b/c.jpg"}


def test_loop_of_folders_with_ids_of_their_own_ends(link: FakeYandex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yandex_listing, "_DEEPEST", 8)
    link.put("/a/c.jpg", jpeg(1))
    link.aliases["/a/again"] = "/a"
    link.told["/a"] = {"resource_id": None}
    pages = list(_connected(link).pages(None))
    assert 8 <= len(pages) < 12
    assert sum((Counter(page.left_out) for page in pages), Counter()) == {"folder": 1}


def test_folder_that_claims_to_lie_elsewhere_is_not_gone_into(link: FakeYandex) -> None:
    link.put("/a.jpg", jpeg(1)).put("/sub/b.jpg", jpeg(2))
    link.told["/sub"] = {"path": "/"}
    assert set(_listed(_connected(link))) == {"/a.jpg"}


@pytest.mark.usefixtures("_small_pages")
def test_listing_goes_on_from_every_cursor(fake: FakeYandex) -> None:
    for number in range(8):
        fake.put(f"/Лето 🌞/{number}.jpg", jpeg(number)).put(f"/x{number % 2}/y/{number}.jpg", jpeg(number))
    pages = list(_connected(fake).pages(None))
    other = _connected(fake)
    for number, page in enumerate(pages[:-1]):
        before = {item.key for page in pages[: number + 1] for item in page.items}
        kept = dict(page.cursor)
        later = list(other.pages(page.cursor))
        assert not any(one.begins for one in later)
        assert before | {item.key for one in later for item in one.items} == set(fake.paths())
        assert not before & {item.key for one in later for item in one.items}
        assert page.cursor == kept
        assert "signature" not in repr(page.cursor)


def test_listing_at_its_end_begins_anew(fake: FakeYandex) -> None:
    *_, last = _connected(fake).pages(None)
    first, *_ = _connected(fake).pages(last.cursor)
    assert first.begins
    other, *_ = _connected(fake).pages({"of": "another version", "page": 7})
    assert other.begins


def test_folder_that_vanishes_or_is_forbidden_does_not_end_the_listing(fake: FakeYandex) -> None:
    fake.errors[("resources", "/Лето 🌞")] = (404, "DiskNotFoundError")
    *_, last = pages = list(_connected(fake).pages(None))
    assert {item.key for page in pages for item in page.items} == {"/a.jpg"}
    assert last.whole  # what was in it is asked for before it is marked missing
    fake.errors[("resources", "/Лето 🌞")] = (403, "ForbiddenError")
    *_, last = _connected(fake).pages(None)
    assert not last.whole


# The hash before the download, and addresses


def test_listing_downloads_nothing(fake: FakeYandex) -> None:
    assert len(_listed(_connected(fake))) == 3
    assert not fake.downloads


def test_address_of_the_listing_is_used_once_and_no_other_is_asked_for(fake: FakeYandex) -> None:
    disk = _connected(fake)
    item = _listed(disk)["/a.jpg"]
    assert _fetched(disk, item) == jpeg(0)
    assert not [one for one in fake.requests if one.path.endswith("/download")]
    assert _fetched(disk, item) == jpeg(0)
    assert len([one for one in fake.requests if one.path.endswith("/download")]) == 1
    assert fake.downloads == ["/a.jpg"] * 2


def test_item_of_an_earlier_process_is_found_by_its_key(fake: FakeYandex) -> None:
    fake.with_addresses = False
    items = _listed(_connected(fake))
    assert [_fetched(_connected(fake), item) for item in items.values()] == [
        photo.data for path, photo in sorted(fake.paths().items(), key=lambda one: list(items).index(one[0]))
    ]


def test_expired_address_is_asked_for_anew(fake: FakeYandex) -> None:
    disk = _connected(fake)
    item = _listed(disk)["/a.jpg"]
    fake.expire()
    assert _fetched(disk, item) == jpeg(0)
    assert fake.downloads == ["/a.jpg"]


def test_photo_that_changed_since_it_was_listed_waits_for_the_next_sync(link: FakeYandex) -> None:
    link.put("/a.jpg", jpeg(1))
    disk = _connected(link)
    item = _listed(disk)["/a.jpg"]
    link.change("/a.jpg", jpeg(2))
    with pytest.raises(PhotoError, match="has changed") as error:
        _fetched(disk, item)
    assert error.value.status is Status.IO_ERROR
    again = _listed(disk)["/a.jpg"]
    assert again.version != item.version
    assert _fetched(disk, again) == jpeg(2)


def test_photo_that_is_a_page_or_cut_short_is_skipped_and_leaves_nothing(link: FakeYandex) -> None:
    link.put("/a.jpg", jpeg(1)).put("/b.jpg", jpeg(2))
    disk = _connected(link)
    items = _listed(disk)
    for fault in (html(), truncated()):
        link.fail(fault, path="/rdisk/.*", times=100)
        with pytest.raises(PhotoError) as error:
            _fetched(disk, items["/a.jpg"])
        assert error.value.status is Status.IO_ERROR
        link.heal()
    assert _fetched(disk, items["/b.jpg"]) == jpeg(2)


def test_photo_that_is_too_large_costs_no_request(link: FakeYandex) -> None:
    link.put("/a.jpg", jpeg(1))
    disk = _connected(link)
    item = _listed(disk)["/a.jpg"]
    before = len(link.requests)
    with pytest.raises(PhotoError) as error:
        disk.fetch(item, BytesIO(), 100)
    assert error.value.status is Status.TOO_LARGE
    assert len(link.requests) == before


def test_no_other_host_is_contacted(link: FakeYandex, monkeypatch: pytest.MonkeyPatch) -> None:
    link.put("/a.jpg", jpeg(1))
    item = _listed(_connected(link))["/a.jpg"]
    monkeypatch.delenv("FACEKIT_YANDEX_DISK_API")
    disk = _connected(link)
    disk._addresses["/a.jpg"] = f"{link.url}/disk/1"  # as if the real API had named it
    before = len(link.requests)
    monkeypatch.setattr(disk, "_see_that_it_is_the_same", lambda _: None)
    monkeypatch.setattr(disk, "_address", lambda _: "https://127.0.0.1/disk/1")
    with pytest.raises(PhotoError, match="not contacted"):
        _fetched(disk, item)
    assert len(link.requests) == before


# What is gone


def test_only_what_the_service_says_is_gone_is(fake: FakeYandex) -> None:
    disk = _connected(fake)
    known = [*_listed(disk), "/b.jpg", *(f"/away/{number}.jpg" for number in range(50))]
    fake.heal()
    assert disk.gone(known) == set(known[3:])
    assert len(fake.requests) < 12  # of what lay in a folder that is gone only the first is asked for


def test_link_that_is_turned_off_says_of_nothing_that_it_is_gone(fake: FakeYandex) -> None:
    disk = _connected(fake)
    known = list(_listed(disk))
    fake.error = (404, "DiskNotFoundError")
    with pytest.raises(SourceError):
        disk.gone(known)


def test_what_can_not_be_asked_for_is_not_gone(fake: FakeYandex) -> None:
    fake.errors[("resources", "/b.jpg")] = (403, "ForbiddenError")
    assert _connected(fake).gone(["/b.jpg"]) == set()


def test_so_many_are_asked_for_and_no_more(fake: FakeYandex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yandex_disk, "_MOST_ASKED", 5)
    assert len(_connected(fake).gone([f"/{number}.jpg" for number in range(30)])) <= 5


# Errors


@pytest.mark.parametrize(
    ("number", "name", "ending", "says"),
    [
        (400, "FieldValidationError", SourceError, "right"),
        (403, "DiskSymlinkPasswordRequiredError", SourceError, "password"),
        (403, "ForbiddenError", SourceError, "Yandex Disk says"),
        (404, "DiskNotFoundError", SourceError, "nothing"),
        (410, "GoneError", SourceError, "nothing"),
        (423, "DiskResourceLockedError", SourceError, "try again later"),
        (429, "TooManyRequestsError", SourceError, "429"),
        (429, "DiskResourceDownloadLimitExceededError", SourceError, "tomorrow"),
        (500, "InternalServerError", SourceError, "500"),
        (503, "UnavailableError", SourceError, "503"),
        (507, "InsufficientStorageError", SourceError, "Make room"),
    ],
)
def test_error_of_the_source_itself_stops_it_in_plain_words(
    fake: FakeYandex, number: int, name: str, ending: type[SourceError], says: str
) -> None:
    fake.error = (number, name)
    with pytest.raises(ending, match=says) as error:
        list(_connected(fake).pages(None))
    assert error.value.remedy
    assert not isinstance(error.value, SignInError)
    assert TOKEN not in str(error.value)
    if "Limit" in name:
        assert error.value.resume_at > datetime.now(UTC) + timedelta(hours=12)


def test_token_that_is_refused_wants_somebody_to_sign_in(own: FakeYandex) -> None:
    own.put("/a.jpg", jpeg(1))
    disk = _connected(own)
    [item] = _listed(disk).values()
    own.tokens.clear()
    own.expire()
    with pytest.raises(SignInError):
        list(disk.pages(None))
    with pytest.raises(SignInError):
        _fetched(disk, item)
    with pytest.raises(SignInError, match="Nobody has signed in"):
        list(kind_named("yandex-disk").connect({"path": "/"}, tools()).pages(None))


def test_link_never_shows_the_token(link: FakeYandex) -> None:
    link.put("/a.jpg", jpeg(1))
    disk: Any = kind_named("yandex-disk").connect({"link": LINK}, tools("secret"))
    assert _fetched(disk, _listed(disk)["/a.jpg"]) == jpeg(1)
    assert not any("authorization" in one.headers for one in link.requests)


@pytest.mark.parametrize("wait", [{}, {"retry-after": "0.1"}])
def test_burst_of_refusals_is_waited_for(fake: FakeYandex, wait: dict[str, str]) -> None:
    fake.fail(status(429, wait), times=2)
    fake.fail(status(503), times=2)
    disk = _connected(fake)
    items = _listed(disk)
    fake.fail(status(429, wait), path="/rdisk/.*", times=2)
    assert set(items) == set(fake.paths())
    assert _fetched(disk, items["/a.jpg"]) == jpeg(0)


def test_service_that_wants_a_long_wait_is_left_alone_until_then(fake: FakeYandex) -> None:
    fake.fail(status(429, {"retry-after": "3600"}), times=99)
    with pytest.raises(SourceError) as error:
        list(_connected(fake).pages(None))
    assert error.value.resume_at > datetime.now(UTC) + timedelta(minutes=55)
    assert len(fake.requests) == 1


def test_popular_photos_are_skipped_and_five_in_a_row_end_the_sync(link: FakeYandex) -> None:
    _full(link, 8)
    link.with_addresses = False
    disk = _connected(link)
    items = list(_listed(disk).values())
    for path in ("/0000.jpg", *_names(8)[2:]):
        link.errors[("download", path)] = (429, "DiskResourceDownloadLimitExceededError")
    with pytest.raises(PhotoError, match=r"0000\.jpg can't be fetched: Yandex Disk gives out"):
        _fetched(disk, items[0])
    assert _fetched(disk, items[1]) == jpeg(1)
    for item in items[2:6]:
        with pytest.raises(PhotoError):
            _fetched(disk, item)
    with pytest.raises(SourceError, match="tomorrow") as error:
        _fetched(disk, items[6])
    assert error.value.resume_at > datetime.now(UTC)


@pytest.mark.parametrize(
    ("number", "name", "ending"),
    [
        (404, "DiskNotFoundError", Status.MISSING),
        (410, "GoneError", Status.MISSING),
        (403, "ForbiddenError", Status.IO_ERROR),
    ],
)
def test_photo_that_can_not_be_had_is_named(fake: FakeYandex, number: int, name: str, ending: Status) -> None:
    fake.with_addresses = False
    disk = _connected(fake)
    item = _listed(disk)["/a.jpg"]
    fake.errors[("download", "/a.jpg")] = (number, name)
    with pytest.raises(PhotoError, match=r"a\.jpg can't be fetched") as error:
        _fetched(disk, item)
    assert error.value.status is ending


def test_no_error_shows_an_address_or_the_token(fake: FakeYandex) -> None:
    disk = _connected(fake)
    item = _listed(disk)["/a.jpg"]
    fake.fail(redirect("/rdisk/x?signature=nobody-may-see-this"), path="/r?disk/.*", times=1000)
    fake.fail(status(500), path="/v1/.*", times=1000)
    with pytest.raises((PhotoError, SourceError)) as error:
        _fetched(disk, item)
    shown, seen = error.value, ""
    while shown is not None:
        seen += f"{shown} {shown!r} {vars(shown)}"
        shown = shown.__cause__ or shown.__context__
    assert "signature" not in seen
    assert TOKEN not in seen


# Checking, and signing out


def test_check_goes_through_all_steps(fake: FakeYandex) -> None:
    checks = list(_connected(fake).check())
    assert [one.works for one in checks] == [True] * 4
    assert "a.jpg" in checks[-1].found
    assert {one.method for one in fake.requests} == {"GET"}


def test_check_says_which_step_does_not_work(fake: FakeYandex) -> None:
    fake.errors[("download", "/a.jpg")] = (403, "ForbiddenError")
    checks = list(_connected(fake).check())
    assert [one.works for one in checks] == [True, True, False]
    fake.error = (403, "DiskSymlinkPasswordRequiredError")
    [only] = _connected(fake).check()
    assert not only.works
    assert "password" in only.found


def test_empty_link_is_checked_too(link: FakeYandex) -> None:
    link.put("/v.mp4", b"v", media_type="video")
    assert [one.works for one in _connected(link).check()] == [True, True]


def test_somebody_signs_in_and_the_token_opens_the_disk(own: FakeYandex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_YANDEX_CLIENT_ID", "an application")
    how = kind_named("yandex-disk").sign_in
    begun = oauth.begin(how, how.redirect)
    led_back = httpx2.get(begun.address, follow_redirects=False).headers["location"]
    assert led_back.startswith("http://127.0.0.1:8767/?")
    said = dict(parse_qsl(urlsplit(led_back).query))
    token = oauth.finish(begun, said)
    own.tokens = {token.access}
    own.put("/a.jpg", jpeg(1))
    disk: Any = kind_named("yandex-disk").connect({"path": "/"}, tools(token.access))
    assert set(_listed(disk)) == {"/a.jpg"}
    assert oauth.renew(how, token).access != token.access
    assert own.requests[0].query["scope"] == "cloud_api:disk.read"
    assert 6 <= len(own.requests[0].query["device_id"]) <= 50  # what Yandex takes
    with pytest.raises(SignInError):
        oauth.finish(begun, said)  # a code is good once


def test_token_is_forgotten_where_the_application_is_known(own: FakeYandex, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _connected(own).revoke()
    monkeypatch.setenv("FACEKIT_YANDEX_CLIENT_ID", "an application")
    assert not own.requests
    monkeypatch.setenv("FACEKIT_YANDEX_CLIENT_SECRET", "its secret")
    assert _connected(own).revoke()
    assert own.revoked == [TOKEN]
    assert not any("authorization" in one.headers for one in own.requests)
    assert not _connected(own).revoke()  # a token that Yandex does not know
