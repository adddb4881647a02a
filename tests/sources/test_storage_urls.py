"""Photos in storages: WebDAV, SFTP, S3 and web servers that are real ones on this machine, and zip files."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from fake_service import FakePhoto, cut_body, hang, html, hurry, jpeg, redirect, reset, status, tools, truncated
from fake_storage import ME, PASSWORD, USER, FakeStorage, Sftp, sftp_server, webdav_server
from hypothesis import given
from hypothesis import strategies as st
from stores import s3_endpoint, s3_store  # noqa: F401 - fixtures

from facekit.errors import PhotoError, RefusedError, SignInError, SourceError
from facekit.sources.network import rate, retries
from facekit.sources.storage import connector as storage_urls
from facekit.sources.storage import files as storage_files
from facekit.sources.storage.address import Address, read
from facekit.sources.storage.connector import KIND
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.sources.item import ItemPage, SourceItem
    from facekit.sources.storage.connector import Storage

FILES = {
    "b.JPG": jpeg(2),
    "note.txt": b"no photo",
    "Лето 2019/a %20 🎉 #1?.jpg": jpeg(1),
    "Лето 2019/вечер/c.png": jpeg(3),
    "Лето.jpg": jpeg(4),
    ".hidden/d.jpg": jpeg(5),
    "@eaDir/e.jpg": jpeg(6),
}
PHOTOS = ["b.JPG", "Лето 2019/a %20 🎉 #1?.jpg", "Лето 2019/вечер/c.png", "Лето.jpg"]


class Place:
    """A storage with files, and how to change them."""

    def __init__(self, folder: Path, url: str, secret: str | None = None) -> None:
        self.folder, self.url, self.secret = folder, url, secret

    def connected(self, url: str | None = None) -> Storage:
        return connected(url or self.url, self.secret)

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()


class S3(Place):
    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.fs = _s3()

    def put(self, name: str, data: bytes) -> None:
        self.fs.pipe_file(f"{self.url}/{name}", data)

    def remove(self, name: str) -> None:
        self.fs.rm_file(f"{self.url}/{name}")


class Web(Place):
    """Of a web server: the files are its photos, whatever they are."""

    def __init__(self, fake: FakeStorage) -> None:
        super().__init__(Path(), fake.settings()["url"])
        self.fake = fake

    def put(self, name: str, data: bytes) -> None:
        album, _, name = name.rpartition("/")
        self.fake.add(FakePhoto("", name, data, album))

    def remove(self, name: str) -> None:
        self.fake.remove(name)


class Zip(Place):
    def __init__(self, path: Path) -> None:
        super().__init__(path.parent, f"zip://{path}")
        self.path, self.files = path, dict[str, bytes]()

    def put(self, name: str, data: bytes) -> None:
        self.files[name] = data
        self._write()

    def remove(self, name: str) -> None:
        del self.files[name]
        self._write()

    def _write(self) -> None:
        with zipfile.ZipFile(self.path, "w") as archive:
            for name, data in self.files.items():
                archive.writestr(name, data)


def _s3() -> Any:
    from s3fs import S3FileSystem

    return S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


_opened = ExitStack()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """What a test connects is closed after it."""
    with _opened:
        yield


def connected(url: str, secret: str | None = None) -> Storage:
    given = tools(secret)
    _opened.push(given.opened)
    return KIND.connect(KIND.settings_of(url) or {}, given)


def items_of(pages: list[ItemPage]) -> dict[str, SourceItem]:
    return {item.key: item for page in pages for item in page.items}


def fetched(storage: Storage, item: SourceItem, limit: int = 2**20) -> bytes:
    target = io.BytesIO()
    storage.fetch(item, target, limit)
    return target.getvalue()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Those that run as long as this file's tests: folders and addresses."""
    dav, ssh = tmp_path_factory.mktemp("dav"), tmp_path_factory.mktemp("ssh")
    with ExitStack() as stack:
        yield {
            "dav": (dav, stack.enter_context(webdav_server(dav))),
            "ssh": (ssh, stack.enter_context(sftp_server(ssh))),
        }


def knows_host(server: Sftp, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    (home / ".ssh/known_hosts").write_text(server.line)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


KINDS = ["webdav", "sftp", "s3", "http", "zip"]
everywhere = pytest.mark.parametrize("place", KINDS, indirect=True)
most = pytest.mark.parametrize("place", [kind for kind in KINDS if kind != "s3"], indirect=True)
"""Without S3, each test of which takes seconds to begin."""


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, servers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """Each kind of storage that a server can be had of here, with the same files."""
    hurry(monkeypatch)
    monkeypatch.setattr(rate, "_MARGIN", 0.0001)
    monkeypatch.setattr(rate, "_rates", {})
    with ExitStack() as stack:
        made: Place
        if request.param == "webdav":
            folder, at = servers["dav"]
            made = Place(folder / tmp_path.name, f"webdav://{ME}@{at}/{tmp_path.name}", PASSWORD)
        elif request.param == "sftp":
            folder, server = servers["ssh"]
            knows_host(server, tmp_path, monkeypatch)
            made = Place(folder / tmp_path.name, f"sftp://{ME}@{server.at}/{tmp_path.name}", PASSWORD)
        elif request.param == "s3":
            made = S3(tmp_path, request.getfixturevalue("s3_store"))
        elif request.param == "http":
            made = Web(stack.enter_context(FakeStorage()))
        else:
            made = Zip(tmp_path / "фото 1.zip")
        for name, data in FILES.items():
            made.put(name, data)
        yield made


# The same of every kind


@everywhere
def test_photos_of_a_storage_are_listed_in_order_and_read(place: Place) -> None:
    storage = place.connected()
    (page,) = storage.pages(None)
    items = items_of([page])
    assert list(items) == PHOTOS
    assert [item.album for item in items.values()] == ["", "Лето 2019", "Лето 2019/вечер", ""]
    assert [item.size for item in items.values()] == [len(FILES[key]) for key in items]
    assert page.left_out == {"other": 1, "system folders": 1}
    assert page.whole
    assert page.begins
    assert {key: fetched(storage, item) for key, item in items.items()} == {key: FILES[key] for key in items}
    assert items_of(list(storage.pages({}))) == items


@everywhere
def test_changed_photo_has_another_version_and_one_that_is_removed_is_gone(place: Place) -> None:
    storage = place.connected()
    before = items_of(list(storage.pages(None)))
    place.put("b.JPG", jpeg(7) + b"\0" * 9)
    place.remove("Лето.jpg")
    after = items_of(list(storage.pages(None)))
    assert list(after) == PHOTOS[:-1]
    assert [key for key in after if after[key] != before[key]] == ["b.JPG"]
    assert after["b.JPG"].version != before["b.JPG"].version
    assert storage.gone(["Лето.jpg", "Лето 2019/nothing.jpg", "b.JPG"]) == {"Лето.jpg", "Лето 2019/nothing.jpg"}
    with pytest.raises(PhotoError) as raised:
        fetched(storage, before["Лето.jpg"])
    assert raised.value.status is Status.MISSING


@most
def test_listing_goes_on_after_every_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_urls, "_PAGE", 1)
    storage = place.connected()
    pages = list(storage.pages(None))
    assert [list(items_of([page])) for page in pages] == [[key] for key in PHOTOS]
    assert [page.begins for page in pages] == [True, False, False, False]
    for n, page in enumerate(pages[:-1]):
        rest = list(storage.pages(json.loads(json.dumps(page.cursor))))
        assert items_of(rest) == items_of(pages[n + 1 :])
        assert not rest[0].begins
        assert rest[-1].whole


@most
def test_photo_that_is_too_large_is_not_read_to_its_end(place: Place) -> None:
    storage = place.connected()
    item = items_of(list(storage.pages(None)))["b.JPG"]
    for size in (item.size, None):  # also where the storage does not say how large it is
        told = type(item)(item.key, item.version, item.name, size=size)
        with pytest.raises(PhotoError) as raised:
            fetched(storage, told, limit=100)
        assert raised.value.status is Status.TOO_LARGE


@everywhere
def test_folder_that_is_not_there_stops_and_deletes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "TRIES", 2)
    storage = place.connected(place.url.replace(".zip", "-nowhere.zip") if ".zip" in place.url else place.url + "-no")
    with pytest.raises(SourceError) as raised:
        list(storage.pages(None))
    assert PASSWORD not in str(raised.value)
    with pytest.raises(SourceError):
        storage.gone(PHOTOS)


@most
def test_check_walks_through_every_step(place: Place) -> None:
    steps = list(place.connected().check())
    assert [step.works for step in steps] == [True, True, True]
    assert f"{len(FILES['b.JPG'])} bytes" in steps[-1].found
    assert PASSWORD not in str(steps)


@most
def test_address_of_one_photo_is_that_photo(place: Place) -> None:
    if isinstance(place, Zip):
        url = f"zip://Лето 2019::file://{place.path}"
        assert list(items_of(list(place.connected(url).pages(None)))) == ["a %20 🎉 #1?.jpg", "вечер/c.png"]
        return
    storage = place.connected(f"{place.url}/{quote('Лето.jpg')}")
    (page,) = storage.pages(None)
    assert list(items_of([page])) == ["Лето.jpg"]
    assert fetched(storage, page.items[0]) == FILES["Лето.jpg"]
    assert [step.works for step in storage.check()] == [True, True, True]


# Letting in


@pytest.mark.parametrize("kind", ["webdav", "sftp", "http"])
def test_wrong_password_asks_to_sign_in_again_and_is_not_shown(
    kind: str, servers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "wr0ng-secret"
    server = servers["ssh"][1]
    knows_host(server, tmp_path, monkeypatch)
    with FakeStorage([FakePhoto("", "a.jpg", jpeg(1))]) as fake:
        fake.locked = True
        url = {"webdav": f"webdav://{ME}@{servers['dav'][1]}", "sftp": f"sftp://{ME}@{server.at}/"}.get(kind)
        url = url or fake.settings()["url"]
        with pytest.raises(SignInError) as raised:
            list(connected(url, wrong).pages(None))
        shown = "".join(str(one) for one in (raised.value, raised.value.__cause__, raised.value.__context__))
        assert not re.search(f"{wrong}|{re.escape(PASSWORD)}|{ME}", shown)
        if kind == "http":
            assert list(items_of(list(connected(url, PASSWORD).pages(None)))) == ["a.jpg"]


def test_host_that_ssh_does_not_know_gets_no_password(
    servers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = servers["ssh"][1]
    for line in ("", server.line.replace(server.line.split()[2], servers["ssh"][1].line.split()[2][:-8] + "AAAAAAA=")):
        knows_host(Sftp(server.at, line), tmp_path, monkeypatch)
        server.tried.clear()
        with pytest.raises(SourceError, match="host key"):
            list(connected(f"sftp://{ME}@{server.at}/", PASSWORD).pages(None))
        assert server.tried == []


def test_password_of_an_address_is_kept_apart() -> None:
    url = f"sftp://{ME}@host.example:2222/srv/me/Фото"
    settings = KIND.settings_of(url)
    assert settings == {"url": f"sftp://{quote(USER)}@host.example:2222{quote('/srv/me/Фото')}"}
    assert KIND.secret_of is not None
    assert KIND.secret_of(url) == PASSWORD
    assert KIND.secret_of("s3://bucket/photos") is None
    assert PASSWORD not in KIND.connect(settings, tools(PASSWORD)).whose
    with pytest.raises(RefusedError, match="setting"):
        KIND.connect({"url": url}, tools())


_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@given(_TEXT, _TEXT, st.lists(_TEXT.filter(lambda part: part.strip(".") and "/" not in part), max_size=3))
def test_address_without_its_password_names_the_same_place(user: str, secret: str, folders: list[str]) -> None:
    path = "/".join(quote(part, safe="") for part in folders)
    found, kept = read(f"sftp://{quote(user, safe='')}:{quote(secret, safe='')}@host:22/{path}")
    assert kept == secret
    assert (found.user, found.host, found.port) == (user, "host", 22)
    assert read(found.url) == (found, None)


# Addresses


@pytest.mark.parametrize(
    ("url", "scheme", "where", "path"),
    [
        ("s3://My-Bucket/a/b/", "s3", "My-Bucket", "/a/b"),
        ("gcs://bucket", "gs", "bucket", "/"),
        ("ssh://me@host/x", "sftp", "host", "/x"),
        ("webdavs://cloud.example/remote.php/dav/files/me", "webdavs", "cloud.example", "/remote.php/dav/files/me"),
        ("smb://me@nas/share/Photos%20old", "smb", "nas", "/share/Photos old"),
        ("https://[::1]:8443/x", "https", "::1", "/x"),
        ("ftp://host/pub", "ftp", "host", "/pub"),
        ("zip://a/b::s3://bucket/c.zip", "s3", "bucket", "/c.zip"),
        ("s3://bucket/c.ZIP", "s3", "bucket", "/c.ZIP"),
        ("zip:///downloads/c.zip", "file", "", "/downloads/c.zip"),
    ],
)
def test_address_is_read(url: str, scheme: str, where: str, path: str) -> None:
    address, _ = read(url)
    assert (address.scheme, address.host, address.path) == (scheme, where, path)
    assert (address.archive is not None) == (".zip" in url.lower())
    assert KIND.settings_of(url) == {"url": address.url}
    assert read(address.url)[0] == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "photos", "/srv/me", "C:\\photos", "vk", "s3://", "nonsense://x", "data:image/png;base64,aa"),
        *("file:///etc", "local:///etc", "memory://x", "dir://x", "git:///repo"),
        *("reference://x", "simplecache::s3://b/x", "filecache://x"),
    ],
)
def test_text_that_names_no_storage_is_not_taken(text: str) -> None:
    assert KIND.settings_of(text) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://host/a.jpg?key=secret",
        "https://host/#x",
        "sftp:///no-host",
        "s3:///no-bucket",
        "s3://key:secret@bucket/x",
        "https://host/a/../../b",
        "https://host:99999999/a",
        "zip://",
        "zip://photos.zip",
        "zip:///etc/passwd",
        "zip://a::zip://b::file:///c.zip",
        "zip://a::memory://c.zip",
        "https://host/photos.zip",
        "sftp://host/a%00b",
    ],
)
def test_address_that_can_not_be_read_is_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(RefusedError) as raised:
        KIND.connect({"url": url}, tools())
    assert raised.value.remedy
    assert "secret" not in str(raised.value)


# What servers do


@pytest.mark.parametrize(
    "fault",
    [reset(), status(503), status(429, {"retry-after": "0"}), cut_body(), truncated(), html()],
    ids=["reset", "503", "429", "cut", "truncated", "page"],
)
def test_passing_fault_costs_another_try(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    with FakeStorage([FakePhoto("", "a.jpg", jpeg(1), "x")]) as fake:
        storage = connected(fake.settings()["url"])
        (page,) = storage.pages(None)
        fake.fail(fault, path=".*a.jpg", times=2)
        assert fetched(storage, page.items[0]) == jpeg(1)


def test_server_that_hangs_or_leads_elsewhere_stops_the_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, 0.2)
    monkeypatch.setattr(retries, "TRIES", 2)
    with FakeStorage([FakePhoto("", "a.jpg", jpeg(1))]) as fake, FakeStorage() as other:
        fake.fail(hang(), times=2)
        with pytest.raises(SourceError, match="2 times"):
            list(connected(fake.settings()["url"]).pages(None))
        fake.fail(redirect(other.url))
        with pytest.raises(SourceError, match="another host"):
            list(connected(fake.settings()["url"]).pages(None))
        assert other.requests == []


@pytest.mark.parametrize("scheme", ["sftp", "s3"])
def test_silent_server_is_not_waited_for_for_ever(
    scheme: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(retries, "TRIES", 1)
    monkeypatch.setattr(storage_files, "READ_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"127.0.0.1:{silent.getsockname()[1]}"
        if scheme == "s3":
            request.getfixturevalue("s3_store")
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{at}")
        with pytest.raises(SourceError):
            list(connected("s3://bucket/x" if scheme == "s3" else f"sftp://me@{at}/", "x").pages(None))


def test_folder_that_may_not_be_read_is_said_and_nothing_called_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_urls, "_PAGE", 1)
    names = [("a", "1.jpg"), ("b", "2.jpg"), ("c", "3.jpg")]
    with FakeStorage([FakePhoto("", name, jpeg(1), album) for album, name in names]) as fake:
        fake.fail(status(403), path="/photos/a/")
        pages = list(connected(fake.settings()["url"]).pages(None))
        assert list(items_of(pages)) == ["b/2.jpg", "c/3.jpg"]
        assert not pages[-1].whole
        assert {"folder that can't be read": 1} in [page.left_out for page in pages]
        rest = list(connected(fake.settings()["url"]).pages(pages[0].cursor))  # it is remembered
        assert not rest[-1].whole
        fake.heal()
        assert list(connected(fake.settings()["url"]).pages(None))[-1].whole


def test_page_that_lists_nothing_is_no_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    with FakeStorage([FakePhoto("", "a.jpg", jpeg(1), "x")]) as fake:
        fake.fail(html(), path="/photos/x/", times=2)
        assert list(items_of(list(connected(fake.settings()["url"]).pages(None)))) == ["x/a.jpg"]
        fake.fail(html(), times=99)
        with pytest.raises(SourceError, match="lists nothing"):
            connected(fake.settings()["url"]).gone(["x/a.jpg"])


def test_storage_that_looks_empty_has_lost_nothing(tmp_path: Path, servers: dict[str, Any]) -> None:
    folder, at = servers["dav"]
    (folder / tmp_path.name).mkdir()
    assert connected(f"webdav://{ME}@{at}/{tmp_path.name}", PASSWORD).gone(["a.jpg"]) == set()


def test_names_that_lead_elsewhere_are_left_out(tmp_path: Path, s3_store: str) -> None:  # noqa: F811 - the fixture
    bucket = s3_store.removeprefix("s3://")
    fs = _s3()
    for name in ("good.jpg", "../up.jpg", "a\\b.jpg", "x//y.jpg", "./z.jpg"):
        fs.call_s3("put_object", Bucket=bucket.partition("/")[0], Key=f"family/{name}", Body=jpeg(1))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("good.jpg", "../up.jpg", "/root.jpg", "./z.jpg"):
            archive.writestr(zipfile.ZipInfo(name), jpeg(1))
    for url in (s3_store, f"zip://{tmp_path}/a.zip"):
        keys = list(items_of(list(connected(url).pages(None))))
        assert "good.jpg" in keys
        assert not [key for key in keys if {"", ".", ".."} & set(key.split("/")) or "\\" in key]


def test_zip_file_in_a_storage_is_read_there_and_one_object_is_one_photo(tmp_path: Path, s3_store: str) -> None:  # noqa: F811 - the fixture
    made = Zip(tmp_path / "a.zip")
    made.put("x/a.jpg", jpeg(1))
    fs = _s3()
    fs.pipe_file(f"{s3_store}/a.zip", made.path.read_bytes())
    storage = connected(f"{s3_store}/a.zip")
    (page,) = storage.pages(None)
    assert list(items_of([page])) == ["x/a.jpg"]
    assert fetched(storage, page.items[0]) == jpeg(1)
    fs.pipe_file(f"{s3_store}/one.jpg", jpeg(2))  # and an object by itself
    assert list(items_of(list(connected(f"{s3_store}/one.jpg").pages(None)))) == ["one.jpg"]


def test_cut_and_locked_zip_files_are_said_to_be(tmp_path: Path) -> None:
    made = Zip(tmp_path / "a.zip")
    made.put("a.jpg", jpeg(1))
    data = bytearray(made.path.read_bytes())
    (tmp_path / "cut.zip").write_bytes(data[:-30])
    with pytest.raises(SourceError, match="damaged"):
        list(connected(f"zip://{tmp_path}/cut.zip").pages(None))
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.index(signature) + offset] |= 1
    made.path.write_bytes(data)
    storage = connected(made.url)
    (page,) = storage.pages(None)
    with pytest.raises(PhotoError, match="locked"):
        fetched(storage, page.items[0])


def test_package_that_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smbclient", None)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.smb", raising=False)
    with pytest.raises(SourceError, match="smbprotocol") as raised:
        list(connected("smb://nas/share").pages(None))
    assert "facekit[storage]" in raised.value.remedy


def test_disk_that_is_full_is_no_fault_of_the_storage(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    made = Zip(tmp_path / "a.zip")
    made.put("a.jpg", jpeg(1))
    storage = made.connected()
    (page,) = storage.pages(None)
    with pytest.raises(OSError, match="No space"):
        storage.fetch(page.items[0], Full(), 2**20)


def test_work_that_is_to_stop_stops(tmp_path: Path) -> None:
    made = Zip(tmp_path / "a.zip")
    made.put("a.jpg", jpeg(1))
    given_tools = tools()
    storage = KIND.connect(KIND.settings_of(made.url) or {}, given_tools)
    given_tools.stop.set()
    with pytest.raises(KeyboardInterrupt):
        list(storage.pages(None))


def test_public_photo_links_to_itself_and_one_behind_a_password_does_not() -> None:
    def link(secret: str | None, url: str) -> str | None:
        storage = Storage_of(url, secret)
        return storage._item("x y", storage_files.Entry("é.jpg", "file")).link

    def Storage_of(url: str, secret: str | None) -> Storage:  # noqa: N802
        return storage_urls.Storage(read(url)[0], tools(secret))

    assert link(None, "https://host/p") == "https://host/p/x%20y/%C3%A9.jpg"
    assert link(PASSWORD, "https://me@host/p") is None
    assert link(None, "webdavs://host/p") is None
    assert isinstance(read("https://host/p")[0], Address)
