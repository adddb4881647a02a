"""What every connector does alike, whatever service it talks to: one suite, over a fake of each."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fake_service as fake
import pytest
from fake_dropbox import FakeDropbox
from fake_google_photos import FakeGooglePhotos
from fake_service import FakePhoto, jpeg
from fake_storage import FakeStorage
from fake_takeout import FakeTakeout
from fake_vk import OWNER, FakeVk, VkPhoto
from fake_yandex import FakeYandex

from facekit.errors import FacekitError, PhotoError, SignInError, SourceError
from facekit.sources.google_takeout import connector as google_takeout
from facekit.sources.item import ItemPage, as_part
from facekit.sources.kinds import kind_named, kinds
from facekit.sources.network import rate
from facekit.sources.vk import listing as vk_listing
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from facekit.sources.item import Connector, SourceItem, Tools

NAMES = [
    *("a.jpg", "Лето на даче.jpg", "🎂 день рождения 🎉.jpg", "100% off %2F%00.jpg", 'it\'s "quoted".JPG'),
    *("a & b=c?d#e.jpg", "a+b c.jpg", "a..jpeg", "<b>.jpg", "{curly} [square].jpg"),
]
ALBUMS = ["Summer", "Лето 2019", "100% 🎉"]
MOST = 2**20


@dataclass(frozen=True)
class Case:
    """A service: how its fake is made, and what tests have to know of it.

    Parameters
    ----------
    make : callable
        The fake, of photos, with a folder to use.
    photo : callable
        One of its photos: number, name, album.
    small_pages : callable
        Have it list a few photos at a time.
    bytes_at : str, optional
        The paths, as a pattern, at which it gives out photos' bytes; none where there is no network.
    per_second : float
        Requests that the service takes.
    proves : bool
        Whether it tells a size or a hash, so that a photo that is cut is found out.
    names : bool
        Whether photos have names there.
    picked : bool
        Whether somebody picks what is listed, so that nothing is said of all other photos.
    all_refused : set of int
        HTTP statuses, in place of a photo, that are about all of them.
    """

    make: Callable[[Iterable[FakePhoto], Path], Any]
    photo: Callable[[int, str, str], FakePhoto]
    small_pages: Callable[[pytest.MonkeyPatch, Any], None]
    bytes_at: str | None = None
    per_second: float = 0
    proves: bool = True
    names: bool = True
    picked: bool = False
    all_refused: frozenset[int] = frozenset()


def plain(number: int, name: str, album: str) -> FakePhoto:
    return FakePhoto(str(number), name, jpeg(number), album)


def vk_photo(number: int, name: str, album: str) -> VkPhoto:
    return VkPhoto(f"{OWNER}_{number}", name, jpeg(number), album, date=1_500_000_000 + number)


def vk_pages(patch: pytest.MonkeyPatch, service: FakeVk) -> None:
    patch.setattr(vk_listing, "_PAGE", 4)
    patch.setattr(vk_listing, "_OVERLAP", 1)


CASES = {
    "vk": Case(
        make=lambda photos, _: FakeVk(photos),
        photo=vk_photo,
        small_pages=vk_pages,
        bytes_at="/pictures/.*",
        per_second=3,
        proves=False,
        names=False,
    ),
    "yandex-disk": Case(
        make=lambda photos, _: FakeYandex(photos),
        photo=plain,
        small_pages=lambda patch, _: patch.setattr("facekit.sources.yandex_disk.connector.PAGE", 4),
        bytes_at="/r?disk/.*",
        per_second=5,
    ),
    "yandex-disk own": Case(
        make=lambda photos, _: FakeYandex(photos, own=True),
        photo=plain,
        small_pages=lambda patch, _: patch.setattr("facekit.sources.yandex_disk.connector.PAGE", 4),
        bytes_at="/r?disk/.*",
        per_second=5,
    ),
    "dropbox": Case(
        make=lambda photos, _: FakeDropbox(photos),
        photo=plain,
        small_pages=lambda _, service: setattr(service, "page", 4),
        bytes_at="/2/files/download",
        per_second=10,
        all_refused=frozenset({403}),
    ),
    "google-photos": Case(
        make=lambda photos, _: FakeGooglePhotos(photos),
        photo=plain,
        small_pages=lambda _, service: setattr(service, "page", 4),
        bytes_at="/photos/.*",
        per_second=5,
        proves=False,
        picked=True,
    ),
    "storage": Case(
        make=lambda photos, _: FakeStorage(photos),
        photo=plain,
        small_pages=lambda patch, _: patch.setattr("facekit.sources.storage.connector._PAGE", 4),
        bytes_at="/photos/.*[.](?i:jpg|jpeg)",
        per_second=25,
    ),
    "takeout": Case(
        make=lambda photos, folder: FakeTakeout(folder, photos),
        photo=plain,
        small_pages=lambda patch, _: patch.setattr(google_takeout, "_PAGE", 4),
    ),
}
ALL = [name for name, case in CASES.items() if not case.picked]  # those of which all photos are seen
PROVING = [name for name, case in CASES.items() if case.proves]  # at the others nothing changes
ONLINE = [name for name, case in CASES.items() if case.bytes_at]


def the_photos(case: Case) -> list[FakePhoto]:
    """Twelve, in three albums; of the equal names each album has one."""
    named = [case.photo(number, name, ALBUMS[number % 3]) for number, name in enumerate(NAMES, start=1)]
    return [*named, case.photo(21, "a.jpg", ALBUMS[0]), case.photo(22, "a.jpg", ALBUMS[2])]


@dataclass
class Place:
    """A running fake, and what connects to it."""

    case: Case
    service: Any
    tools: Tools
    patch: pytest.MonkeyPatch

    def connect(self, tools: Tools | None = None) -> Connector:
        return kind_named(self.service.kind).connect(self.service.settings(), tools or self.tools)

    def listed(self, cursor: Any = None) -> dict[str, SourceItem]:
        return items_of(self.connect().pages(cursor))

    def ready(self) -> tuple[Connector, list[SourceItem]]:
        """A connector, and what it has listed."""
        connector = self.connect()
        return connector, list(items_of(connector.pages(None)).values())

    @property
    def held(self) -> list[str]:
        return sorted(sum_of(photo.data) for photo in self.service.photos.values())

    def slow(self) -> None:
        """Ask as often as the service allows, and not more."""
        self.patch.undo()


def items_of(pages: Iterable[ItemPage]) -> dict[str, SourceItem]:
    items: dict[str, SourceItem] = {}
    for page in pages:
        for key in page.gone:
            items.pop(key, None)
        items |= {item.key: item for item in page.items}
    return items


def fetched(connector: Connector, item: SourceItem, limit: int = MOST) -> str:
    with io.BytesIO() as target:
        connector.fetch(item, target, limit)
        return sum_of(target.getvalue())


def sum_of(data: bytes) -> str:
    """A short name for bytes, so that what differs can be read."""
    return hashlib.sha256(data).hexdigest()[:8]


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Case, Any]]:
    case = CASES[request.param]
    with case.make(the_photos(case), tmp_path_factory.mktemp("takeout")) as service:
        yield case, service


@pytest.fixture
def place(running: tuple[Case, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    case, service = running
    before = dict(service.photos)
    for name, value in service.variables().items():
        monkeypatch.setenv(name, value)
    token = service.token()
    with pytest.MonkeyPatch.context() as patch:
        fake.hurry(patch, 1.0)
        patch.setattr(rate, "_MARGIN", 0.0001)
        patch.setattr(rate, "_rates", {})
        if case.bytes_at:
            service.heal()
        if isinstance(service, FakeVk):
            patch.setattr(service, "limited", False)
        tools = fake.tools(token and token.access)
        with tools.opened:
            yield Place(case, service, tools, patch)
    for key in set(service.photos) - set(before):
        service.remove(key)
    for key, photo in before.items():
        if service.photos.get(key) is not photo:
            service.add(photo)


everywhere = pytest.mark.parametrize("running", list(CASES), indirect=True)
of_all = pytest.mark.parametrize("running", ALL, indirect=True)
online = pytest.mark.parametrize("running", ONLINE, indirect=True)


def test_every_kind_is_in_this_suite() -> None:
    assert {name.partition(" ")[0] for name in CASES} == set(kinds())


# Listing


@everywhere
def test_what_is_listed_is_what_is_there_each_time(place: Place) -> None:
    pages = list(place.connect().pages(None))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[0].begins
    assert not any(page.begins for page in pages[1:])
    assert pages[-1].whole != place.case.picked
    assert place.listed() == items_of(pages)
    connector, items = place.ready()
    assert {item.key: item for item in items} == items_of(pages)
    assert sorted(fetched(connector, item) for item in items) == place.held


@of_all
def test_a_photo_is_fetched_by_who_has_not_listed_it(place: Place) -> None:
    for item in place.listed().values():
        assert fetched(place.connect(), item) in place.held


@everywhere
def test_names_and_albums_are_those_of_the_place(place: Place) -> None:
    items = place.listed().values()
    held = place.service.photos.values()
    assert {item.album for item in items} == ({""} if place.case.picked else {photo.album for photo in held})
    for item in items:
        assert item.name.isprintable()
        assert item.name == as_part(item.name)
    if place.case.names:
        assert sorted(item.name for item in items) == sorted(photo.name for photo in held)


@everywhere
def test_a_listing_that_is_cut_off_goes_on_where_it_was(place: Place) -> None:
    place.case.small_pages(place.patch, place.service)
    pages = list(place.connect().pages(None))
    whole = items_of(pages)
    assert len(pages) >= 3
    assert len(whole) == len(place.service.photos)
    for number in range(1, len(pages)):
        kept = json.loads(json.dumps(pages[number - 1].cursor))
        rest = list(place.connect().pages(kept))
        assert not rest[0].begins
        assert items_of([*pages[:number], *rest]) == whole


@of_all
def test_after_the_end_the_cursor_shows_what_is_new(place: Place) -> None:
    *_, last = place.connect().pages(None)
    before = place.listed()
    place.service.add(place.case.photo(50, "new.jpg", ALBUMS[0]))
    pages = list(place.connect().pages(json.loads(json.dumps(last.cursor))))
    assert pages[-1].last
    new = items_of(pages).keys() - before.keys()
    assert len(new) == 1
    assert [fetched(place.connect(), items_of(pages)[key]) for key in new] == [sum_of(jpeg(50))]


@of_all
def test_what_comes_and_goes_while_it_is_listed_hides_nothing_else(place: Place) -> None:
    place.case.small_pages(place.patch, place.service)
    leaving = [key for key, photo in place.service.photos.items() if photo.album == ALBUMS[1]]
    staying = {sum_of(photo.data) for key, photo in place.service.photos.items() if key not in leaving}
    for at in range(3):
        pages = []
        for number, page in enumerate(place.connect().pages(None)):
            pages.append(page)
            if number == at:
                place.service.remove(leaving.pop(0))
                place.service.add(place.case.photo(60 + at, f"0{at} first.jpg", ALBUMS[0]))
        connector, found = place.connect(), set()
        for item in items_of(pages).values():
            with suppress(PhotoError):  # of what has gone meanwhile
                found.add(fetched(connector, item))
        assert staying <= found


@pytest.mark.parametrize("running", PROVING, indirect=True)
def test_a_photo_that_is_changed_has_another_version(place: Place) -> None:
    before = place.listed()
    key = next(iter(place.service.photos))
    place.service.change(key, jpeg(70, 40, 30))
    after = place.listed()
    assert before.keys() == after.keys()
    changed = [key for key in before if before[key].version != after[key].version]
    assert len(changed) == 1
    assert fetched(place.connect(), after[changed[0]]) == sum_of(jpeg(70, 40, 30))


@everywhere
def test_nothing_that_is_kept_opens_anything(place: Place) -> None:
    token = place.service.token()
    place.case.small_pages(place.patch, place.service)
    for page in place.connect().pages(None):
        kept = json.dumps([dict(page.cursor), *(repr(item) for item in page.items)])
        assert not token or token.access not in kept
        assert not place.case.bytes_at or place.service.url not in kept
        for secret in ("sign", "download", "tknv"):
            assert secret not in kept


@of_all
def test_what_is_gone_is_said_to_be_and_nothing_else(place: Place) -> None:
    items = place.listed()
    contents = {fetched(place.connect(), item): key for key, item in items.items()}
    key = list(place.service.photos)[3]
    gone = contents[sum_of(place.service.photos[key].data)]
    place.service.remove(key)
    connector = place.connect()
    assert connector.gone(list(items)) == {gone}
    with pytest.raises(PhotoError) as caught:
        fetched(connector, items[gone])
    assert caught.value.status is Status.MISSING


@everywhere
def test_listing_ends_when_the_work_is_to_stop(place: Place) -> None:
    place.case.small_pages(place.patch, place.service)
    token = place.service.token()
    tools = fake.tools(token and token.access)
    with tools.opened:
        pages = place.connect(tools).pages(None)
        next(pages)
        tools.stop.set()
        with pytest.raises(KeyboardInterrupt):
            list(pages)


# Faults

FAULTS = {
    "hang": fake.hang(),
    "cut": fake.cut_body(),
    "longer": fake.wrong_length(-3),
    "shorter": fake.wrong_length(3),
    "reset": fake.reset(),
    "page": fake.html(),
    "unavailable": fake.status(503),
    "too many": fake.status(429, {"Retry-After": "0.01"}),
}


@online
def test_a_failure_that_passes_changes_nothing(place: Place) -> None:
    whole = place.listed()
    fake.hurry(place.patch, 0.3)
    for fault in FAULTS.values():
        place.service.heal()
        place.service.fail(fault)
        place.service.fail(fault, after=1)
        assert place.listed() == whole


@online
def test_a_download_that_fails_and_passes_brings_the_bytes_that_are_there(place: Place) -> None:
    connector, items = place.ready()
    fake.hurry(place.patch, 0.3)
    data = {item.key: fetched(connector, item) for item in items}
    for number, (name, fault) in enumerate(FAULTS.items()):
        if name == "longer" and not place.case.proves:
            continue
        item = items[number % len(items)]
        place.service.heal()
        place.service.fail(fault, path=place.case.bytes_at)
        assert fetched(connector, item) == data[item.key]
        assert len(place.service.requests) >= 2


@online
def test_a_failure_that_stays_stops_and_the_listing_goes_on_another_day(place: Place) -> None:
    place.case.small_pages(place.patch, place.service)
    whole = place.listed()
    for after in range(1, 6):
        place.service.heal()
        place.service.fail(fake.status(503), after=after, times=99)
        pages: list[ItemPage] = []
        try:
            pages.extend(place.connect().pages(None))
            error = None
        except SourceError as caught:
            error = caught
        if error is None:
            assert after > 2
        else:
            assert "503" in error.message
            assert error.remedy
        place.service.heal()
        assert items_of([*pages, *place.connect().pages(pages[-1].cursor if pages else None)]) == whole


@pytest.mark.parametrize("running", [name for name in ONLINE if name in ALL], indirect=True)
def test_of_a_service_that_fails_nothing_is_gone(place: Place) -> None:
    keys = list(place.listed())
    for fault in (fake.status(503), fake.html(), fake.reset(), fake.answer(401, {})):
        place.service.heal()
        place.service.fail(fault, times=99)
        with pytest.raises(SourceError):
            place.connect().gone(keys)


@online
def test_a_token_that_is_refused_asks_for_another(place: Place) -> None:
    connector, items = place.ready()
    for work in (lambda: list(place.connect().pages(None)), lambda: fetched(connector, items[0])):
        place.service.heal()
        place.service.fail(fake.answer(401, {}), times=99)
        with pytest.raises(SignInError):
            work()
        assert len(place.service.requests) <= 2


@online
def test_a_service_that_asks_for_a_long_wait_gets_it(place: Place) -> None:
    place.service.fail(fake.status(429, {"Retry-After": "7200"}), times=99)
    with pytest.raises(SourceError) as caught:
        list(place.connect().pages(None))
    assert caught.value.resume_at
    assert len(place.service.requests) == 1


@online
def test_a_photo_of_which_something_else_comes_is_left_out_alone(place: Place) -> None:
    faults = [fake.cut_body(), fake.html(), *([fake.truncated()] if place.case.proves else [])]
    faults += [fake.status(number) for number in {403, 404} - place.case.all_refused]
    for fault in faults:
        place.service.heal()
        connector, items = place.ready()
        place.service.fail(fault, path=place.case.bytes_at, times=99)
        with pytest.raises(PhotoError) as caught:
            fetched(connector, items[0])
        assert caught.value.status in {Status.IO_ERROR, Status.MISSING}
        assert items[0].name in caught.value.reason
        place.service.heal()
        assert fetched(connector, items[1]) in place.held


@everywhere
def test_a_photo_that_is_too_large_is_not_fetched(place: Place) -> None:
    connector, items = place.ready()
    for item in items:
        with io.BytesIO() as target:
            with pytest.raises(PhotoError) as caught:
                connector.fetch(item, target, 100)
            assert caught.value.status is Status.TOO_LARGE
            assert len(target.getvalue()) <= 100


def chain_of(error: BaseException | None) -> list[str]:
    """The words of an error, and of those that it came of."""
    if error is None:
        return []
    return [repr(error), str(vars(error)), *chain_of(error.__cause__), *chain_of(error.__context__)]


@online
def test_no_error_says_a_token_or_an_address_that_opens_something(place: Place) -> None:
    connector, items = place.ready()
    token = place.service.token()
    place.patch.setattr("facekit.sources.network.retries.TRIES", 2)
    said: list[str] = []
    faults = [fake.cut_body(), fake.reset(), fake.html(), fake.status(503)]
    faults += [fake.answer(number, {"error": "no"}) for number in (400, 401, 403, 404, 409, 410, 507)]
    for fault in faults:
        for work in (
            lambda: list(connector.pages(None)),
            lambda: fetched(connector, items[0]),
            lambda: connector.gone([item.key for item in items]),
        ):
            place.service.heal()
            place.service.fail(fault, times=99)
            try:
                work()
            except FacekitError as error:
                said += chain_of(error)
    text = "\n".join(said)
    assert text
    assert not token or token.access not in text
    for secret in ("sign=", "signature=", "tknv", "?public_key"):
        assert secret not in text


# Kind to the network


@online
def test_it_is_asked_no_more_often_than_it_allows(place: Place) -> None:
    place.slow()
    for name, value in place.service.variables().items():
        place.patch.setenv(name, value)
    place.case.small_pages(place.patch, place.service)
    place.service.heal()
    items = place.listed()
    assert len(items) == len(place.service.photos)
    asked = f"(?!{place.case.bytes_at}).*"
    assert place.service.most_within(1.0, asked) <= place.case.per_second


# Trying a place out


@everywhere
def test_check_tries_every_step_and_changes_nothing(place: Place) -> None:
    before = dict(place.service.photos)
    checks = list(place.connect().check())
    assert len(checks) >= 2
    assert all(check.works for check in checks), checks
    assert all(check.step and check.found for check in checks)
    assert place.service.photos == before
    if place.case.bytes_at:
        changing = {"DELETE"} if place.case.picked else set()  # its own session
        assert {request.method for request in place.service.requests} <= {"GET", "HEAD", "POST", *changing}
        place.service.heal()
        place.service.fail(fake.status(503), times=99)
        *_, last = place.connect().check()
        assert not last.works
        assert "503" in last.found


@everywhere
def test_whose_it_is_needs_no_request(place: Place) -> None:
    assert place.connect().whose
    assert not place.case.bytes_at or not place.service.requests
