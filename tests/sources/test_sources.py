"""Listing local folders: what is found, what is passed over, what is reported, and that nothing hangs."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_images import encode, marker, write_corpus

from facekit.errors import FacekitError, PhotoError
from facekit.images.files import Limits
from facekit.sources import LocalSource, Source, scan
from facekit.types.photos import Status

JPEG = encode(marker(), "JPEG")


def put(root: Path, *names: str, data: bytes = JPEG) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def found(root: Path, *, follow_links: bool = False) -> list[str]:
    """Paths below the root, as listed."""
    return [
        os.fsdecode(os.path.relpath(file.path, os.fsencode(root))) for file in scan(root, follow_links=follow_links)
    ]


# -- what is listed ------------------------------------------------------------------------------------------------


def test_the_whole_corpus_of_odd_images_is_listed_and_can_be_read(tmp_path: Path) -> None:
    expected = write_corpus(tmp_path)
    source = LocalSource(tmp_path)
    files = list(source.scan())
    assert [file.path for file in files] == sorted(expected)
    assert (source.problems, source.ignored) == ([], 0)
    for file in files:
        data = source.read(file, Limits())
        status = os.stat(file.path)  # noqa: PTH116 - bytes
        assert (len(data), file.size, file.mtime_ns) == (status.st_size, status.st_size, status.st_mtime_ns)
        assert file.display.encode().decode() == file.display
        assert file.source == source.name == "local"


def test_content_counts_where_the_name_says_nothing_and_the_name_where_the_content_does(tmp_path: Path) -> None:
    put(tmp_path, "picture", "picture.dat", "UPPER.JPG")
    put(tmp_path, "text.jpeg", data=b"no picture")
    put(tmp_path, "empty.png", "empty", data=b"")
    put(tmp_path, "text.txt", "video.mp4", "jpg", data=b"\x00\x00\x00\x18ftypmp42")
    source = LocalSource(tmp_path)
    names = [Path(file.display).name for file in source.scan()]
    assert names == ["UPPER.JPG", "empty.png", "picture", "picture.dat", "text.jpeg"]
    assert source.ignored == 4


def test_hidden_and_system_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, ".hidden.jpg", "._photo.jpg", ".thumbnails/a.jpg", "year/.git/a.jpg", "Thumbs.db", "desktop.ini")
    put(tmp_path, "@eaDir/a.jpg", "#recycle/a.jpg", "$RECYCLE.BIN/a.jpg", "System Volume Information/a.jpg")
    put(tmp_path, "lost+found/a.jpg", "year/__MACOSX/a.jpg", "@Recycle/a.jpg", "#snapshot/a.jpg")
    put(tmp_path, "year/month/photo.jpg")
    assert found(tmp_path) == [str(Path("year", "month", "photo.jpg"))]


def test_the_root_itself_may_be_hidden(tmp_path: Path) -> None:
    put(tmp_path, ".private/photo.jpg")
    assert found(tmp_path / ".private") == ["photo.jpg"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(
        st.text(st.sampled_from("aB-0/é~!"), min_size=1, max_size=12).map(lambda text: text.strip("/")), max_size=8
    )
)
def test_the_order_is_that_of_the_bytes_of_the_paths(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    root = tmp_path_factory.mktemp("order")
    made = set()
    for name in names - {""}:
        path = root / f"{name}.jpg"
        put(root, f"{name}.jpg")
        made.add(os.fsencode(path))
    assert [file.path for file in scan(root)] == sorted(made)


def test_deep_folders_are_no_obstacle(tmp_path: Path) -> None:
    deep = Path(*["d"] * 400)
    put(tmp_path, str(deep / "photo.jpg"))
    assert found(tmp_path) == [str(deep / "photo.jpg")]


def test_the_root_may_be_given_in_any_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "photos/a.jpg")
    expected = [os.fsencode(tmp_path / "photos" / "a.jpg")]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    forms = (
        tmp_path / "photos",
        str(tmp_path / "photos"),
        os.fsencode(tmp_path / "photos"),
        "~/photos",
        "photos",
        "./photos/../photos/",
    )
    for form in forms:
        assert [file.path for file in scan(form)] == expected, form


def test_a_single_file_is_listed_whatever_it_is(tmp_path: Path) -> None:
    put(tmp_path, "note.txt", data=b"text")
    assert [Path(file.display).name for file in scan(tmp_path / "note.txt")] == ["note.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_names_that_are_not_utf_8_are_kept_as_they_are(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe folder/\xc3.jpg"
    put(tmp_path, os.fsdecode(path))
    (file,) = scan(tmp_path)
    assert file.path == path
    assert file.display == f"{tmp_path}/\ufffd\ufffd folder/\ufffd.jpg"
    assert LocalSource(tmp_path).read(file, Limits()) == JPEG


# -- what is not touched -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_sockets_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the path of a socket may only be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        put(tmp_path, "photo.jpg")
        source = LocalSource(tmp_path)
        assert [Path(file.display).name for file in source.scan()] == ["photo.jpg"]
    assert source.ignored == 3
    with pytest.raises(FacekitError, match="neither a folder nor a file"):
        LocalSource(tmp_path / "pipe")


def test_only_what_has_no_pictures_name_is_opened_while_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, *(f"{number}.jpg" for number in range(50)), "without_name")
    opened = []
    really_open = os.open

    def note(path: bytes, *rest: int) -> int:
        opened.append(path)
        return really_open(path, *rest)

    monkeypatch.setattr(os, "open", note)
    assert len(scan(tmp_path)) == 51
    assert opened == [os.fsencode(tmp_path / "without_name")]


# -- links ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder with one photo inside, links to a file and a folder outside, loops, and a link to nowhere."""
    root = tmp_path / "root"
    put(root, "folder/inside.jpg")
    put(tmp_path, "outside/outside.jpg", "photo.jpg")
    links = {
        "file_link.jpg": tmp_path / "photo.jpg",
        "folder_link": tmp_path / "outside",
        "second_link": tmp_path / "outside",
        "loop_to_the_root": root,
        "folder/loop_up": root / "folder",
        "loop_to_itself": root / "loop_to_itself",
        "nowhere.jpg": root / "does not exist",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


def test_links_are_not_followed(linked: Path) -> None:
    assert found(linked) == [str(Path("folder", "inside.jpg"))]


def test_links_are_followed_on_demand_and_loops_end(linked: Path) -> None:
    assert found(linked, follow_links=True) == [
        "file_link.jpg",
        str(Path("folder", "inside.jpg")),
        str(Path("folder_link", "outside.jpg")),
    ]


def test_a_link_as_root_is_followed(linked: Path) -> None:
    assert found(linked / "folder_link") == ["outside.jpg"]


# -- trouble -------------------------------------------------------------------------------------------------------


def deny(monkeypatch: pytest.MonkeyPatch, name: str, forbidden: Path) -> None:
    """Have a function of `os` refuse one path, for tests may run as root, whom nothing is refused."""
    real = getattr(os, name)

    def refuse(path: bytes, *rest: int) -> object:
        if path == os.fsencode(forbidden):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    monkeypatch.setattr(os, name, refuse)


def test_a_folder_that_cant_be_read_is_reported_and_the_rest_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a/photo.jpg", "closed/photo.jpg", "z/photo.jpg")
    deny(monkeypatch, "scandir", tmp_path / "closed")
    source = LocalSource(tmp_path)
    assert [Path(file.display).parent.name for file in source.scan()] == ["a", "z"]
    assert source.problems == [(str(tmp_path / "closed"), "Permission denied")]
    monkeypatch.undo()
    assert len(list(source.scan())) == 3
    assert source.problems == []


def test_a_root_that_cant_be_listed_is_not_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "photo.jpg")
    deny(monkeypatch, "scandir", tmp_path)
    with pytest.raises(FacekitError, match="can't be listed: Permission denied"):
        scan(tmp_path)


def test_a_file_that_cant_be_opened_is_listed_by_its_name_and_reported_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "photo.jpg", "unknown")
    deny(monkeypatch, "open", tmp_path / "unknown")
    source = LocalSource(tmp_path)
    (file,) = source.scan()
    assert Path(file.display).name == "photo.jpg"
    assert source.problems == [(str(tmp_path / "unknown"), "Permission denied")]
    deny(monkeypatch, "open", tmp_path / "photo.jpg")
    with pytest.raises(PhotoError, match="Permission denied") as caught:
        source.read(file, Limits())
    assert caught.value.status is Status.IO_ERROR


def test_a_file_that_cant_even_be_looked_at_is_listed_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "photo.jpg")
    deny(monkeypatch, "stat", tmp_path / "photo.jpg")
    (file,) = scan(tmp_path)
    assert (file.size, file.mtime_ns) == (0, 0)


def test_what_vanishes_while_listing_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b.jpg", "c/d.jpg")
    source = LocalSource(tmp_path)
    files = source.scan()
    assert Path(next(files).display).name == "a.jpg"
    (tmp_path / "b.jpg").unlink()
    (tmp_path / "c" / "d.jpg").unlink()
    (tmp_path / "c").rmdir()
    assert list(files) == []
    assert source.problems == [(str(tmp_path / "c"), "No such file or directory")]


@pytest.mark.parametrize(
    ("root", "said", "remedy"),
    [("missing", "can't be opened", "disk"), ("n\x00l", "is no path", "path of a file or a folder")],
)
def test_a_root_that_does_not_exist_is_an_error_with_a_remedy(
    root: str, said: str, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(FacekitError, match=said) as caught:
        LocalSource(tmp_path / root)
    assert remedy in caught.value.remedy
    with pytest.raises(FacekitError):
        scan(tmp_path / root)


def test_a_root_that_vanished_is_an_error_and_not_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    source = LocalSource(tmp_path / "disk")
    (tmp_path / "disk").rmdir()
    with pytest.raises(FacekitError, match="can't be opened"):
        list(source.scan())


# -- comparing with paths ------------------------------------------------------------------------------------------


def test_a_source_knows_which_paths_it_holds(tmp_path: Path) -> None:
    source: Source = LocalSource(tmp_path / "gone", must_exist=False)
    assert source.root == str(tmp_path / "gone")
    inside, beside = os.fsencode(tmp_path / "gone" / "a.jpg"), os.fsencode(tmp_path / "gone2" / "a.jpg")
    assert (source.holds(inside), source.holds(beside), source.holds(os.fsencode(tmp_path / "gone"))) == (
        True,
        False,
        True,
    )
    assert LocalSource(os.sep).holds(inside)


def test_the_prefix_is_how_the_displays_begin(tmp_path: Path) -> None:
    put(tmp_path, "folder/photo.jpg")
    source = LocalSource(tmp_path)
    assert all(file.display.replace(os.sep, "/").startswith(source.prefix) for file in source.scan())
    assert source.prefix.endswith("/")
    assert LocalSource(os.sep).prefix == "/"
