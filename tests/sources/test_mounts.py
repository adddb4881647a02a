"""Files on mounts: known by the mount's name and the path in it, wherever a machine has the folder."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import FacekitError
from facekit.images.files import Limits
from facekit.sources import LocalSource
from facekit.sources.mounts import MountedSource, Mounts, display_of, mounts_named, named_mount

JPEG = b"\xff\xd8\xff\xe0" + bytes(100)

# Names as file systems have them: Cyrillic, composed and decomposed, not UTF-8, spaces, a newline, a colon.
_NAMES = st.one_of(
    st.sampled_from(
        [b"a", b"2019", "Фото".encode(), "é".encode(), "e\u0301".encode(), b"\xff\xfe", b" ", b"a\nb", b"c:"]
    ),
    st.binary(min_size=1, max_size=12).filter(
        lambda one: b"/" not in one and b"\0" not in one and one not in {b".", b".."}
    ),
)
_INSIDE = st.lists(_NAMES, min_size=0, max_size=5).map(b"/".join)
_MOUNTS = st.sampled_from(["family", "архив", "nas-2", "a_b"])


def composed(path: bytes) -> bytes:
    return os.fsencode(unicodedata.normalize("NFC", os.fsdecode(path)))


@given(_MOUNTS, _INSIDE)
def test_a_path_is_known_by_mount_and_found_again(name: str, inside: bytes) -> None:
    one, other = Mounts({name: "/no-such-place/one"}), Mounts({name: "/no-such-place/deep/er/other/"})
    here = b"/no-such-place/one" + (b"/" + inside if inside else b"")
    source, path = one.known(here)
    assert (source, path) == (name, composed(inside))
    assert composed(one.file(source, path) or b"") == composed(here)
    there = other.file(source, path)
    assert there is not None
    assert other.known(there) == (source, path)  # two machines know the same file
    place = one.place(here, must_exist=False)
    assert (place.name, place.path, place.root) == (name, path, display_of(name, path))
    assert place.holds(path)
    assert place.holds(path + b"/more" if path else b"more")
    assert one.places(here)[1].path == here  # as it was known before


@given(_MOUNTS, _INSIDE)
def test_what_is_shown_names_the_same_place(name: str, inside: bytes) -> None:
    mounts = Mounts({name: "/no-such-place/one"})
    written = os.fsdecode(b":/" + inside)
    place = mounts.place(name + written, must_exist=False)
    assert (place.name, place.path) == (name, composed(os.path.normpath(b"/" + inside).lstrip(b"/")))
    assert mounts.place(Path(name + written), must_exist=False).path == place.path
    if b"\xff" not in inside and all(byte >= 32 for byte in inside):
        try:
            inside.decode()
        except UnicodeDecodeError:
            return
        assert mounts.place(place.root, must_exist=False).path == place.path
        assert mounts.place(place.prefix, must_exist=False).path == place.path


@given(st.lists(st.sampled_from(["..", ".", "a", "", "b"]), max_size=8))
def test_no_way_leads_out_of_a_mount(parts: list[str]) -> None:
    mounts = Mounts({"family": "/no-such-place/one"})
    place = mounts.place("family:/" + "/".join(["x", *parts]), must_exist=False)
    here = mounts.file(place.name, place.path)
    assert here is not None
    assert os.path.realpath(here).startswith(b"/no-such-place/one")
    assert b".." not in place.path.split(b"/")


@pytest.mark.parametrize("path", [b"../x", b"a/../../x", b"/etc/passwd", b".."])
def test_a_stored_path_that_leads_out_of_the_mount_is_no_file(path: bytes) -> None:
    assert Mounts({"family": "/no-such-place"}).file("family", path) is None


@given(st.sampled_from(["/n/a", "/n/a/", "/n//a", "/n/x/../a", "//n/a"]), _INSIDE)
def test_however_the_folder_is_written(root: str, inside: bytes) -> None:
    mounts = Mounts({"family": root})
    assert mounts.roots == {"family": b"/n/a"}
    assert mounts.known(b"/n/a/" + inside if inside else b"/n/a")[0] == "family"
    assert mounts.known(b"/n/ab") == ("local", b"/n/ab")
    assert mounts.known(b"/n") == ("local", b"/n")


def test_the_inner_of_two_mounts_counts() -> None:
    mounts = Mounts({"all": "/n", "archive": "/n/b/archive", "top": "/"})
    assert mounts.known(b"/n/b/archive/1.jpg") == ("archive", b"1.jpg")
    assert mounts.known(b"/n/b/1.jpg") == ("all", b"b/1.jpg")
    assert mounts.known(b"/1.jpg") == ("top", b"1.jpg")
    assert mounts.file("top", b"1.jpg") == b"/1.jpg"
    assert not mounts.place("/n/b", must_exist=False).holds(b"b/archive/1.jpg")
    assert [place.name for place in mounts.all_at("/n/b")] == ["all", "local", "archive"]


def test_a_scan_gives_each_file_to_the_mount_that_it_lies_in(tmp_path: Path) -> None:
    for name in ("plain/1.jpg", "family/2019/2.jpg", "family/archive/3.jpg", "family/archives.jpg", "other/4.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(JPEG)
    mounts = Mounts({"family": tmp_path / "family", "archive": tmp_path / "family" / "archive"})
    found = [file for source in mounts.sources(tmp_path) for file in source.scan()]
    assert {(file.source, file.path, file.display) for file in found} == {
        ("local", os.fsencode(tmp_path / "plain/1.jpg"), str(tmp_path / "plain/1.jpg")),
        ("local", os.fsencode(tmp_path / "other/4.jpg"), str(tmp_path / "other/4.jpg")),
        ("family", b"2019/2.jpg", "family:/2019/2.jpg"),
        ("family", b"archives.jpg", "family:/archives.jpg"),
        ("archive", b"3.jpg", "archive:/3.jpg"),
    }
    for source in mounts.sources("family:"):
        for file in source.scan():
            assert source.holds(file.path)
            assert source.read(file, Limits()) == JPEG
            assert not source.gone(file.path)
    assert [file.path for file in mounts.place("family:/2019/2.jpg").scan()] == [b"2019/2.jpg"]


def test_a_link_to_a_mount_is_the_mount(tmp_path: Path) -> None:
    (tmp_path / "disk" / "2019").mkdir(parents=True)
    (tmp_path / "disk" / "2019" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "photos").symlink_to(tmp_path / "disk")
    for root in ("disk", "photos"):
        mounts = Mounts({"family": tmp_path / root})
        for asked in (tmp_path / "disk", tmp_path / "photos"):
            place = mounts.place(asked / "2019")
            assert (place.name, place.path) == ("family", b"2019")
            assert [file.path for file in place.scan()] == [b"2019/a.jpg"]


def test_letters_of_a_mac_are_the_same_letters(tmp_path: Path) -> None:
    decomposed, one = "Cafe\u0301/e\u0301.jpg", Mounts({"family": tmp_path / "mac"})
    other = Mounts({"family": tmp_path / "linux"})
    for mounts, name in ((one, decomposed), (other, unicodedata.normalize("NFC", decomposed))):
        file = Path(os.fsdecode(mounts.roots["family"])) / name
        file.parent.mkdir(parents=True)
        file.write_bytes(JPEG)
    (mine,), (theirs,) = (list(mounts.place("family:").scan()) for mounts in (one, other))
    assert (mine.source, mine.path, mine.display) == (theirs.source, theirs.path, theirs.display)
    for mounts in (one, other):
        assert Path(os.fsdecode(mounts.file("family", mine.path) or b"")).read_bytes() == JPEG
        assert mounts.reader("family").read(mine, Limits()) == JPEG


def test_two_files_that_differ_in_their_letters_stay_two(tmp_path: Path) -> None:
    for name in ("é.jpg", "e\u0301.jpg"):
        (tmp_path / name).write_bytes(JPEG + name.encode())
    mounts = Mounts({"family": tmp_path})
    source = mounts.place("family:")
    files = list(source.scan())
    assert len({file.path for file in files}) == 2
    assert {source.read(file, Limits()) for file in files} == {JPEG + "é.jpg".encode(), JPEG + "e\u0301.jpg".encode()}


def test_a_mount_that_is_not_here_says_so_and_nothing_of_it_is_gone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.jpg").write_bytes(JPEG)
    mounts = Mounts({"empty": tmp_path / "empty", "missing": tmp_path / "missing", "there": tmp_path / "there"})
    assert [mounts.has(name) for name in ("empty", "missing", "there", "unknown")] == [False, False, True, False]
    assert [mounts.reader(name).gone(b"b.jpg") for name in ("empty", "missing", "there", "unknown")] == [
        False,
        False,
        True,
        False,
    ]
    with pytest.raises(FacekitError, match="This machine has no mount 'unknown'") as refused:
        mounts.place("unknown:/2019")
    assert "FACEKIT_MOUNTS" in str(refused.value)
    with pytest.raises(FacekitError, match="This machine has no mount 'unknown'"):
        list(mounts.reader("unknown").scan())
    with pytest.raises(FacekitError, match="can't be opened"):
        mounts.place("missing:/")
    (file,) = mounts.place("there:").scan()
    (tmp_path / "there" / "a.jpg").unlink()
    with pytest.raises(FacekitError, match=r"there:/a\.jpg can't be read"):
        mounts.reader("there").read(file, Limits())
    with pytest.raises(FacekitError, match="no mount 'unknown'"):
        mounts.reader("unknown").read(file.__class__("unknown", b"a.jpg", "unknown:/a.jpg", 1, 1), Limits())


def test_a_file_that_is_called_as_a_mount_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other:").mkdir()
    (tmp_path / "other:" / "a.jpg").write_bytes(JPEG)
    assert named_mount("other:/a.jpg") is None
    assert Mounts({"family": "/n"}).place("other:/a.jpg").path == os.fsencode(tmp_path / "other:" / "a.jpg")
    for text in (
        "C:/photos",
        "s3://bucket/a",
        "http://host/a",
        "./family:/a",
        "local:/a",
        "family",
        "/a:/b",
        "family:\0",
    ):
        assert named_mount(text) is None


def test_without_mounts_places_are_as_they_always_were(tmp_path: Path) -> None:
    mounts = Mounts()
    (place,) = mounts.sources(tmp_path)
    assert type(place) is LocalSource
    assert (place.name, place.path) == ("local", os.fsencode(tmp_path))
    assert mounts.file("local", b"/a/b") == b"/a/b"
    assert mounts.known(b"/a/b") == ("local", b"/a/b")
    assert not isinstance(mounts.reader("local"), MountedSource)


def test_this_machine_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"family": "/kept/family", "archive": "/kept/archive", "old": "/kept/old"}
    monkeypatch.setenv("FACEKIT_MOUNTS", " family = /here/a=b ; new=/here/new;; old= ")
    assert Mounts.here(kept).roots == {"family": b"/here/a=b", "archive": b"/kept/archive", "new": b"/here/new"}
    monkeypatch.delenv("FACEKIT_MOUNTS")
    assert Mounts.here(kept).roots == {name: root.encode() for name, root in kept.items()}
    monkeypatch.setenv("FACEKIT_MOUNTS", "family=" + os.fsdecode(b"/n/\xff"))
    assert Mounts.here({}).roots == {"family": b"/n/\xff"}
    monkeypatch.setenv("FACEKIT_MOUNTS", "family=~/photos")
    assert Mounts.here({}).roots == {"family": os.fsencode(Path("~/photos").expanduser())}


@given(st.text(max_size=30))
def test_whatever_the_variable_holds_it_is_read_or_refused(text: str) -> None:
    try:
        Mounts({name: root for name, root in mounts_named(text).items() if root})
    except FacekitError:
        return


@pytest.mark.parametrize(
    "text", ["family", "=/n", "a=/n", "local=/n", "a b=/n", "a/b=/n", "family=photos", "one=/n;two=/n/", "-x=/n"]
)
def test_what_can_not_be_mounts_is_refused(text: str) -> None:
    with pytest.raises(FacekitError):
        Mounts(mounts_named(text))
