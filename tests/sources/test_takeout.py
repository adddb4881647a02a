"""Google Takeout: albums and sidecars in zip files as they came, split, damaged, hostile, and unpacked."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from fake_service import FakePhoto, jpeg, tools
from fake_takeout import STAMP, FakeTakeout, part, sidecar
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.errors import PhotoError, RefusedError, SourceError
from facekit.sources.google_takeout import connector as google_takeout
from facekit.sources.google_takeout.connector import KIND
from facekit.sources.google_takeout.sidecars import NOTHING, Sidecars, read_sidecar
from facekit.types.photos import Status

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.sources.google_takeout.connector import GoogleTakeout
    from facekit.sources.item import ItemPage, SourceItem

YEAR = "Photos from 2019"


def connected(path: Path) -> GoogleTakeout:
    return KIND.connect({"path": str(path)}, tools())


def items_of(pages: list[ItemPage]) -> dict[str, SourceItem]:
    return {item.key: item for page in pages for item in page.items}


def listed(path: Path) -> dict[str, SourceItem]:
    return items_of(list(connected(path).pages(None)))


def fetched(connector: GoogleTakeout, item: SourceItem, limit: int = 2**20) -> bytes:
    target = io.BytesIO()
    connector.fetch(item, target, limit)
    return target.getvalue()


# Which sidecar is whose. Photo, sidecar: names that exports have, as issues and tests of other readers report them.


@pytest.mark.parametrize(
    ("photo", "found"),
    [
        ("PXL_20211013_220651983.jpg", "PXL_20211013_220651983.jpg.json"),
        ("PXL_20211013_220651983.jpg", "PXL_20211013_220651983.jpg.supplemental-metadata.json"),
        ("IMG_20200920_131207.jpg", "IMG_20200920_131207.jpg.supplemental-me.json"),
        ("IMG_20200920_131207.jpg", "IMG_20200920_131207.jpg.suppl.json"),
        ("IMG_20200920_131207.jpg", "IMG_20200920_131207.jpg.s.json"),
        ("IMG_20200920_131207.jpg", "IMG_20200920_131207.jpg..json"),
        ("IMG_20200920_131207.JPG", "IMG_20200920_131207.jpg.SUPPL.JSON"),
        ("DSC_0101(1).JPG", "DSC_0101.JPG(1).json"),
        ("IMG_2710(1).HEIC", "IMG_2710.HEIC.supplemental-metadata(1).json"),
        ("img(18).jpg", "img(18).jpg.supple(18).json"),
        ("image(1).png", "image(1).png.supplemental-metadata.json"),
        ("PXL_20231118_035751175.MP.jpg", "PXL_20231118_035751175.MP.jpg.json"),
        ("PXL_20210102_221126856.MP~2.jpg", "PXL_20210102_221126856.MP~2.jpg.json"),
        ("IMG_1234.jpg", "IMG_1234.json"),
        # cut after 46 characters, in the middle of the ending or before; an emoji has two
        ("PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGINA.jpg", "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGIN.json"),
        ("05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jpg", "05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jp.json"),
        ("😀😃😄😁😆😅😂🤣🥲☺️😊😇🙂🙃😉😌😍🥰😘😗😙😚😋😛.jpg", "😀😃😄😁😆😅😂🤣🥲☺️😊😇🙂🙃😉😌😍🥰😘😗😙😚😋.json"),
        (
            "Backyard_ceremony_wedding_photography_xxxxxxx_m(494).jpg",
            "Backyard_ceremony_wedding_photography_xxxxxxx_(494).json",
        ),
        (
            "13039_327707840323_537645323_9470255_27214_n(1).jpg",
            "13039_327707840323_537645323_9470255_27214_n.j(1).json",
        ),
        ("original_1d4caa6f-16c6-4c3d-901b-9387de10e528_P.jpg", "original_1d4caa6f-16c6-4c3d-901b-9387de10e528_.json"),
        (
            "original_1d4caa6f-16c6-4c3d-901b-9387de10e528_P(1).jpg",
            "original_1d4caa6f-16c6-4c3d-901b-9387de10e528_.json",
        ),
        ("Лето на даче.jpg", "Лето на даче.jpg.supplemental-metadata.json"),
        ("café.jpg", "cafe\u0301.jpg.json"),  # as macOS unpacks it
    ],
)
def test_sidecar_is_found_whatever_was_done_to_its_name(photo: str, found: str) -> None:
    assert Sidecars([photo, found, "metadata.json", "other.jpg", "other.jpg.json"]).of(photo) == found


@pytest.mark.parametrize(
    ("photo", "other"),
    [
        ("PXL_20211013_220651958.jpg", "PXL_20211013_220651983.jpg.json"),
        ("DSC_0102(1).JPG", "DSC_0102.JPG(2).json"),
        ("DSC_0103.JPG", "DSC_0103.JPG(1).json"),
        ("DSC_0104(1).JPG", "DSC_0104.JPG.json"),
        (
            "Backyard_ceremony_wedding_photography_xxxxxxx_m(185).jpg",
            "Backyard_ceremony_wedding_photography_xxxxxxx_(494).json",
        ),
        ("PXL_20220405_090123741.PORTRAIT-modifié.jpg", "PXL_20220405_090123740.PORTRAIT.jpg.json"),
        ("IMG_1234.jpg", "IMG_12.json"),
        ("IMG_1234.jpg", "I.json"),
        ("beach-2.jpg", "beach.jpg.json"),
    ],
)
def test_sidecar_of_another_photo_is_not_taken(photo: str, other: str) -> None:
    assert Sidecars([photo, other, "beach.jpg", "PXL_20220405_090123740.PORTRAIT.jpg"]).of(photo) is None


@pytest.mark.parametrize(
    "word", ["edited", "измененный", "bearbeitet", "modifié", "ha editado", "編集済み", "edytowane"]
)
def test_edited_twin_has_the_sidecar_of_its_original(word: str) -> None:
    names = ["IMG_1.jpg", f"IMG_1-{word}.jpg", "IMG_1.jpg.suppl.json"]
    names += ["IMG_1(2).jpg", f"IMG_1-{word}(2).jpg", "IMG_1.jpg.suppl(2).json"]
    names += ["IMG_7.HEIC", f"IMG_7-{word}.jpg", "IMG_7.HEIC.json"]
    folder = Sidecars(names)
    assert folder.of(f"IMG_1-{word}.jpg") == "IMG_1.jpg.suppl.json"
    assert folder.of(f"IMG_1-{word}(2).jpg") == "IMG_1.jpg.suppl(2).json"
    assert folder.of(f"IMG_7-{word}.jpg") == "IMG_7.HEIC.json"
    assert [name for name in names if not name.endswith("json") and folder.is_edited(name)] == [
        name for name in names if word in name
    ]


def test_photo_with_a_hyphen_and_its_own_sidecar_is_no_edited_twin() -> None:
    folder = Sidecars(["beach.jpg", "beach.jpg.json", "beach-sunset.jpg", "beach-sunset.jpg.json"])
    assert folder.of("beach-sunset.jpg") == "beach-sunset.jpg.json"
    assert not folder.is_edited("beach-sunset.jpg")


@given(
    st.lists(
        st.text(st.sampled_from("aбé😀 _-.~"), min_size=1, max_size=60).map(
            lambda stem: f"{stem.strip('.') or 'x'}.jpg"
        ),
        min_size=1,
        max_size=6,
        unique_by=str.lower,
    ),
    st.sampled_from(["", ".supplemental-metadata"]),
)
def test_every_photo_finds_the_sidecar_that_google_writes_for_it(titles: list[str], supplement: str) -> None:
    """Names as Google makes them: a photo's is cut to 47 characters and its ending, a sidecar's to 46 and a number."""

    def cut(text: str, most: int) -> str:
        return text.encode("utf-16-le")[: most * 2].decode("utf-16-le", "ignore")

    sidecars, used = {}, {}
    for title in titles:
        base = cut(title.removesuffix(".jpg"), 47)
        number = used[base.lower()] = used.get(base.lower(), -1) + 1
        mark = f"({number})" if number else ""
        name = cut(f"{base}.jpg{supplement}", 46)
        sidecars[f"{base}{mark}.jpg"] = f"{name}{mark}.json"
    if len({name.lower() for name in sidecars.values()}) == len(sidecars):
        folder = Sidecars([*sidecars, *sidecars.values()])
        assert {photo: folder.of(photo) for photo in sidecars} == sidecars


# What a sidecar says


def test_sidecar_says_when_in_utc_where_and_the_page() -> None:
    place = {"latitude": 55.27, "longitude": -37.67}
    said = read_sidecar(sidecar("a.jpg", geoData=place))
    assert (said.taken_at, said.latitude, said.longitude) == (datetime(2020, 9, 20, 10, 12, 7), 55.27, -37.67)
    assert said.link == "https://photos.google.com/photo/AF1QipOyLtYKtmMPyLhse9O8lOcWmb6LND5"
    assert read_sidecar(sidecar("a.jpg", geoDataExif=place)).latitude == 55.27  # geoData is 0, 0: none
    assert read_sidecar(sidecar("a.jpg")).latitude is None
    assert read_sidecar(sidecar("a.jpg", taken=-86400)).taken_at == datetime(1969, 12, 31)
    assert read_sidecar(sidecar("a.jpg", trashed=True)).trashed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"photoTakenTime": 5, "geoData": [], "url": {}}',
        b'{"photoTakenTime": {"timestamp": "1e99"}, "geoData": {"latitude": "x", "longitude": 1}}',
        b'{"photoTakenTime": {"timestamp": 1e300}, "geoData": {"latitude": 1e400, "longitude": NaN}}',
        b'{"photoTakenTime": {"timestamp": "99999999999999"}, "geoData": {"latitude": 91, "longitude": 1}}',
        b'{"photoTakenTime": {"timestamp": "0"}, "url": "https://evil.example/photo/1"}',
        b'{"url": "https://photos.google.com/a?key=secret"}',
    ],
)
def test_nonsense_in_a_sidecar_says_nothing(data: bytes) -> None:
    assert read_sidecar(data) == NOTHING


# Exports


@pytest.mark.parametrize("product", ["Google Photos", "Google Фото", "Zdjęcia Google"])
def test_export_in_parts_is_listed_with_albums_and_sidecars_of_other_parts(tmp_path: Path, product: str) -> None:
    year = "Фото за 2019 год"
    part(tmp_path, 1, {f"{year}/a.jpg": jpeg(1), f"{year}/b-измененный.jpg": jpeg(2), f"{year}/c.mp4": b"v"}, product)
    more = {f"{year}/a.jpg.suppl.json": sidecar("a.jpg"), f"{year}/b.jpg.json": sidecar("b.jpg", taken=86400)}
    more |= {f"{year}/b.jpg": jpeg(3), "Лето/a.jpg": jpeg(1), "Лето/метаданные.json": b"{}", "Лето/note.txt": b"?"}
    part(tmp_path, 2, more, product)
    connector = connected(tmp_path)
    (page,) = connector.pages(None)
    items = items_of([page])
    assert list(items) == ["Лето/a.jpg", f"{year}/a.jpg", f"{year}/b-измененный.jpg", f"{year}/b.jpg"]
    assert [item.album for item in items.values()] == ["Лето", year, year, year]
    assert items[f"{year}/a.jpg"].taken_at == datetime(2020, 9, 20, 10, 12, 7)
    assert items[f"{year}/b-измененный.jpg"].taken_at == items[f"{year}/b.jpg"].taken_at == datetime(1970, 1, 2)
    assert page.last
    assert page.begins
    assert page.whole
    assert page.left_out == {"video": 1, "other": 1}
    assert fetched(connector, items["Лето/a.jpg"]) == fetched(connector, items[f"{year}/a.jpg"]) == jpeg(1)


def test_keys_and_versions_are_the_same_however_it_was_split_and_keys_when_unpacked(tmp_path: Path) -> None:
    files = {f"{YEAR}/{n}.jpg": jpeg(n) for n in range(4)} | {f"{YEAR}/0.jpg.json": sidecar("0.jpg")}
    once, twice, unpacked, loose = (tmp_path / name for name in ("once", "twice", "unpacked", "loose"))
    for folder in (once, twice, unpacked):
        folder.mkdir()
    part(once, 1, files)
    names = sorted(files)
    part(twice, 1, {name: files[name] for name in names[::2]})
    part(twice, 2, {name: files[name] for name in names[1::2]})
    zipfile.ZipFile(once / f"{STAMP}-001.zip").extractall(unpacked)
    (unpacked / "Takeout/Google Photos").rename(loose)
    (unpacked / "Takeout/Google Photos").mkdir()
    zipfile.ZipFile(once / f"{STAMP}-001.zip").extractall(unpacked)
    one, other = listed(once), listed(twice)
    assert one == other
    assert len(one) == 4
    for place in (unpacked, unpacked / "Takeout", unpacked / "Takeout/Google Photos", loose):
        found = listed(place)
        assert list(found) == list(one)
        assert [item.taken_at for item in found.values()] == [item.taken_at for item in one.values()]
        connector = connected(place)
        assert fetched(connector, found[f"{YEAR}/3.jpg"]) == jpeg(3)


def test_one_zip_file_stands_for_all_parts_beside_it_and_no_other_export(tmp_path: Path) -> None:
    first = part(tmp_path, 1, {f"{YEAR}/a.jpg": jpeg(1)})
    part(tmp_path, 2, {f"{YEAR}/a.jpg.json": sidecar("a.jpg"), f"{YEAR}/b.jpg": jpeg(2)})
    other = tmp_path / "takeout-20190101T120000Z-001.zip"
    other.write_bytes(first.read_bytes())
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr(f"Takeout/Google Photos/{YEAR}/old.jpg", jpeg(9))
    assert list(listed(first)) == [f"{YEAR}/a.jpg", f"{YEAR}/b.jpg"]
    assert f"{YEAR}/old.jpg" in listed(tmp_path)


def test_listing_goes_on_after_every_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google_takeout, "_PAGE", 3)
    part(tmp_path, 1, {f"{YEAR}/{n}.jpg": jpeg(n) for n in range(8)} | {f"{YEAR}/v.mov": b""})
    pages = list(connected(tmp_path).pages(None))
    assert [len(page.items) for page in pages] == [3, 3, 2]
    assert [page.left_out for page in pages] == [{"video": 1}, {}, {}]
    assert not pages[-1].cursor  # everything again
    for n, page in enumerate(pages[:-1]):
        rest = list(connected(tmp_path).pages(json.loads(json.dumps(page.cursor))))
        assert not rest[0].begins
        assert items_of(rest) == items_of(pages[n + 1 :])


def test_missing_cut_and_tar_parts_are_said_and_nothing_is_called_gone(tmp_path: Path) -> None:
    part(tmp_path, 1, {f"{YEAR}/a.jpg": jpeg(1)})
    part(tmp_path, 3, {f"{YEAR}/b.jpg": jpeg(2)})
    cut = part(tmp_path, 4, {f"{YEAR}/c.jpg": jpeg(3)})
    cut.write_bytes(cut.read_bytes()[:-30])
    (tmp_path / f"{STAMP}-005.tgz").write_bytes(b"\x1f\x8b")
    connector = connected(tmp_path)
    (page,) = connector.pages(None)
    assert list(items_of([page])) == [f"{YEAR}/a.jpg", f"{YEAR}/b.jpg"]
    assert not page.whole
    assert page.left_out == {
        f"missing part {STAMP.lower()}-002": 1,
        f"broken archive {STAMP}-004.zip": 1,
        f"tar archive {STAMP}-005.tgz": 1,
    }
    assert connector.gone([f"{YEAR}/c.jpg"]) == set()
    part(tmp_path, 2, {})
    part(tmp_path, 4, {})
    (tmp_path / f"{STAMP}-005.tgz").unlink()
    assert list(connector.pages(None))[-1].whole
    assert connector.gone([f"{YEAR}/c.jpg", f"{YEAR}/a.jpg"]) == {f"{YEAR}/c.jpg"}


def test_what_the_owner_had_deleted_is_left_out_and_gone(tmp_path: Path) -> None:
    part(
        tmp_path, 1, {"Bin/a.jpg": jpeg(1), "Bin/a.jpg.json": sidecar("a.jpg", trashed=True), f"{YEAR}/b.jpg": jpeg(2)}
    )
    connector = connected(tmp_path)
    (page,) = connector.pages(None)
    assert list(items_of([page])) == [f"{YEAR}/b.jpg"]
    assert page.left_out == {"in the bin": 1}
    assert connector.gone(["Bin/a.jpg"]) == {"Bin/a.jpg"}


def test_hostile_members_are_left_out_and_the_others_read(tmp_path: Path) -> None:
    path = part(tmp_path, 1, {f"{YEAR}/good.jpg": jpeg(1), f"{YEAR}/good.jpg.json": sidecar("good.jpg")})
    with zipfile.ZipFile(path, "a") as archive:
        for name in (
            "../../etc/a.jpg",
            "/etc/b.jpg",
            "C:\\c.jpg",
            "Takeout/Google Photos/../../d.jpg",
            "Takeout//e.jpg",
        ):
            archive.writestr(zipfile.ZipInfo(name), jpeg(2))
        link = zipfile.ZipInfo(f"Takeout/Google Photos/{YEAR}/link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr(f"Takeout/Google Photos/{YEAR}/locked.jpg", jpeg(3))
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # of the last member, in the central directory
    struct.pack_into("<H", data, entry + 8, struct.unpack_from("<H", data, entry + 8)[0] | 1)
    path.write_bytes(data)
    (page,) = connected(tmp_path).pages(None)
    assert list(items_of([page])) == [f"{YEAR}/good.jpg"]
    assert page.left_out == {"unsafe name": 5, "link": 1, "encrypted": 1}


def test_names_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "Takeout/Google Photos" / YEAR
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(jpeg(1))
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(2))
    (page,) = connected(tmp_path).pages(None)
    assert list(items_of([page])) == [f"{YEAR}/a.jpg"]
    assert page.left_out == {"unsafe name": 1}


def test_links_in_an_unpacked_export_lead_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "Takeout/Google Photos" / YEAR
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(jpeg(1))
    (folder / "b.jpg").symlink_to("/etc/passwd")
    (folder / "sub").symlink_to("/etc")
    connector = connected(tmp_path)
    (page,) = connector.pages(None)
    assert list(items_of([page])) == [f"{YEAR}/a.jpg"]
    assert page.left_out == {"link": 1}
    (folder / "a.jpg").unlink()
    (folder / "a.jpg").symlink_to("/etc/passwd")
    with pytest.raises(PhotoError):
        fetched(connector, page.items[0])


def test_bomb_and_large_photos_end_at_the_limit(tmp_path: Path) -> None:
    path = part(tmp_path, 1, {f"{YEAR}/a.jpg": bytes(3_000_000), f"{YEAR}/b.jpg": jpeg(1)})
    connector = connected(tmp_path)
    item = items_of(list(connector.pages(None)))[f"{YEAR}/a.jpg"]
    with pytest.raises(PhotoError) as raised:
        fetched(connector, item, limit=1_000_000)
    assert raised.value.status is Status.TOO_LARGE
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):  # says it is small
        struct.pack_into("<I", data, data.index(signature) + offset, 1000)
    path.write_bytes(data)
    connector = connected(tmp_path)
    item = items_of(list(connector.pages(None)))[f"{YEAR}/a.jpg"]
    target = io.BytesIO()
    with pytest.raises(PhotoError):
        connector.fetch(item, target, 1_000_000)
    assert len(target.getvalue()) <= 1_000_000


def test_damaged_photo_is_skipped_and_the_next_one_read(tmp_path: Path) -> None:
    path = part(tmp_path, 1, {f"{YEAR}/a.jpg": jpeg(1), f"{YEAR}/b.jpg": jpeg(2)})
    data = bytearray(path.read_bytes())
    data[120:140] = bytes(20)
    path.write_bytes(data)
    connector = connected(tmp_path)
    items = items_of(list(connector.pages(None)))
    with pytest.raises(PhotoError) as raised:
        fetched(connector, items[f"{YEAR}/a.jpg"])
    assert raised.value.status is Status.IO_ERROR
    assert str(tmp_path) not in str(raised.value)
    assert fetched(connector, items[f"{YEAR}/b.jpg"]) == jpeg(2)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_anywhere_ends_in_an_error_that_says_so(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = part(
        tmp_path_factory.mktemp("export"), 1, {f"{YEAR}/a.jpg": jpeg(1), f"{YEAR}/a.jpg.json": sidecar("a.jpg")}
    )
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # mostly in the list at the end, which all else depends on
        at = data.draw(st.integers(0, len(content) - 1) | st.integers(len(content) - 200, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    connector = connected(path)
    with suppress(SourceError):
        for page in connector.pages(None):
            for item in page.items:
                with suppress(PhotoError):
                    assert fetched(connector, item) == jpeg(1)
    connector._opener.close()


def test_export_that_went_away_stops_and_deletes_nothing(tmp_path: Path) -> None:
    path = part(tmp_path, 1, {f"{YEAR}/a.jpg": jpeg(1)})
    connector = connected(tmp_path)
    (page,) = connector.pages(None)
    path.unlink()
    connector._opener.close()
    with pytest.raises(SourceError):
        fetched(connector, page.items[0])
    with pytest.raises(SourceError) as raised:
        list(connector.pages(None))
    assert "no photos" in raised.value.message
    with pytest.raises(SourceError) as raised:
        list(connected(tmp_path / "nowhere").pages(None))
    assert str(tmp_path) not in str(raised.value)


def test_full_disk_is_no_fault_of_the_photo(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    part(tmp_path, 1, {f"{YEAR}/a.jpg": jpeg(1)})
    connector = connected(tmp_path)
    (page,) = connector.pages(None)
    with pytest.raises(OSError, match="No space"):
        connector.fetch(page.items[0], Full(), 2**20)


def test_work_that_is_to_stop_stops(tmp_path: Path) -> None:
    part(tmp_path, 1, {f"{YEAR}/a.jpg": jpeg(1)})
    given_tools = tools()
    connector = KIND.connect({"path": str(tmp_path)}, given_tools)
    given_tools.stop.set()
    with pytest.raises(KeyboardInterrupt):
        list(connector.pages(None))


def test_address_of_an_export_is_known_and_no_other_folder(tmp_path: Path) -> None:
    path = part(tmp_path, 1, {f"{YEAR}/a.jpg": jpeg(1)})
    assert KIND.settings_of(str(path)) == KIND.settings_of(f"{tmp_path}/./{path.name}") == {"path": str(path)}
    assert KIND.settings_of(str(tmp_path)) == {"path": str(tmp_path)}
    (tmp_path / "holiday.jpg").write_bytes(jpeg(2))
    assert KIND.settings_of(str(tmp_path)) == {"path": str(tmp_path)}
    renamed = path.rename(tmp_path / "photos.zip")
    assert KIND.settings_of(str(renamed)) == {"path": str(renamed)}
    assert KIND.settings_of(str(tmp_path)) is None
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(renamed).extractall(unpacked)
    for known in (unpacked, unpacked / "Takeout", unpacked / "Takeout/Google Photos"):
        assert KIND.settings_of(str(known)) == {"path": str(known)}
    for other in ("", "https://vk.com/album1_2", "\0", str(tmp_path / "nowhere"), __file__):
        assert KIND.settings_of(other) is None


def test_tar_archive_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="zip"):
        KIND.connect({"path": str(tmp_path / f"{STAMP}-001.tgz")}, tools())
    with pytest.raises(RefusedError):
        KIND.connect({}, tools())


def test_check_says_what_works_and_what_lacks(tmp_path: Path) -> None:
    photos = [FakePhoto("", f"{n}.jpg", jpeg(n)) for n in range(3)]
    with FakeTakeout(tmp_path, photos) as fake:
        steps = list(connected(tmp_path).check())
        assert [step.works for step in steps] == [True, True, True]
        assert "3 of 3 photos" in steps[1].found
        (tmp_path / f"{STAMP}-001.zip").unlink()
        assert not next(connected(tmp_path).check()).works
        fake._write()
        fake.remove(f"{YEAR}/1.jpg")
        fake.change(f"{YEAR}/2.jpg", jpeg(7))
        items = listed(tmp_path)
        assert list(items) == list(fake.photos)
        assert fetched(connected(tmp_path), items[f"{YEAR}/2.jpg"]) == jpeg(7)
