"""A library's backup, and back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from service import OWNER_KEY, process, remote, served, sign_in
from typer.testing import CliRunner

import facekit as fk
from facekit.cli.main import app
from facekit.errors import FacekitError, LibraryError
from facekit.storage.backup import restore

if TYPE_CHECKING:
    from facekit.demo.photos import DemoPhotos


@pytest.fixture
def folder(demo_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_folder, tmp_path / "faces"))


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_backup_of_an_open_library_is_brought_up_to_date_and_restored(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "backup"
    with fk.open(folder) as library:
        assert library.backup(kept) > 1
        assert library.backup(kept) == 0
        assert {path.stat().st_mode & 0o777 for path in kept.rglob("*") if path.is_file()} == {0o600}
        assert {path.stat().st_mode & 0o777 for path in (kept, *kept.rglob("*")) if path.is_dir()} == {0o700}
        frame = library.photos("ok")
        library.remove(frame["path"].iloc[0])
        library.people.cluster()
        library.people.name(library.people.page().people[0], "Ada")
        ids, vectors = library.embeddings(include_poor=True)
        assert library.backup(kept) == 0
        removed = frame["photo_id"].iloc[0].encode()
        assert not any(removed in content or removed in bytes(path) for path, content in _contents(kept).items())
        assert len(list(kept.glob("catalog.duckdb*"))) == 1
        with pytest.raises(LibraryError, match="not empty"):
            restore(kept, folder)
        restore(kept, tmp_path / "again")
    with fk.open(tmp_path / "again") as library:
        found, others = library.embeddings(include_poor=True)
        assert found == ids
        assert (others == vectors).all()
        assert library.index_lag() == 0
        assert "Ada" in library.people
        assert all(library.thumbnail(key) for key in library.photos("ok")["photo_id"])


def test_a_backup_is_consistent_while_photos_come_in(demo_photos: DemoPhotos, tmp_path: Path) -> None:
    with fk.open(tmp_path / "faces") as library:
        work = threading.Thread(target=library.ingest, args=(demo_photos.folder,), kwargs={"progress": False})
        work.start()
        number = 0
        while work.is_alive():
            number += 1
            library.backup(tmp_path / "backup")
            restore(tmp_path / "backup", tmp_path / f"again-{number}")
            shutil.rmtree(tmp_path / f"again-{number}")
        work.join()
        library.backup(tmp_path / "backup")
        photos = set(library.photos()["photo_id"])
    restore(tmp_path / "backup", tmp_path / "again")
    with fk.open(tmp_path / "again") as library:
        assert set(library.photos()["photo_id"]) == photos
        assert all(library.thumbnail(key) for key in library.photos("ok")["photo_id"])


def test_any_damage_is_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    kept, again = tmp_path / "backup", tmp_path / "again"
    with fk.open(folder) as library:
        library.people.cluster()
        library.backup(kept)
    thumbnail = next(kept.glob("thumbnails/*/*.jpg"))
    names = [path for path in kept.iterdir() if path.is_file() and path.name != "library.toml"]
    assert {path.name.split(".")[0] for path in names} == {"backup", "catalog", "people", "library"}
    for path in (*names, thumbnail):
        whole = path.read_bytes()
        half = whole[: len(whole) // 2]
        flipped = bytes([*half, whole[len(half)] ^ 0xFF, *whole[len(half) + 1 :]])
        for damaged in (half, None) if path in {thumbnail, kept / "backup.json"} else (half, flipped, None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            with pytest.raises(LibraryError) as refused:
                restore(kept, again)
            assert "\n" not in str(refused.value)
            assert not again.exists()
            path.write_bytes(whole)
    restore(kept, again)


def test_a_manifest_can_name_no_file_outside_the_backup(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "backup"
    with fk.open(folder) as library:
        library.backup(kept)
    said = json.loads((kept / "backup.json").read_text())
    (tmp_path / "secret").write_text("1234")
    said["thumbnails"] = {"thumbnails/../../secret": 4}
    (kept / "backup.json").write_text(json.dumps(said))
    with pytest.raises(LibraryError, match="damaged"):
        restore(kept, tmp_path / "again")


def test_a_library_is_replaced_only_when_that_is_asked_for_and_is_kept(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "backup"
    with fk.open(folder) as library:
        before = len(library.photos())
        library.backup(kept)
        library.remove(library.photos("ok")["path"].iloc[0])
        with pytest.raises(LibraryError, match="is open in process"):
            restore(kept, folder, replace=True)
    run = CliRunner().invoke
    done = run(app, ["--library", str(folder), "restore", str(kept)])
    assert isinstance(done.exception, LibraryError)
    done = run(app, ["--library", str(folder), "restore", "--replace", str(kept)])
    assert done.exit_code == 0, done.output
    with fk.open(folder) as library:
        assert len(library.photos()) == before
    (aside,) = tmp_path.glob("faces.replaced-*")
    with fk.open(aside) as library:
        assert len(library.photos()) == before - 1
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "letter.txt").write_text("kept")
    with pytest.raises(LibraryError, match="not empty"):
        restore(kept, letters, replace=True)


def test_a_folder_with_other_things_is_no_backup(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("kept")
    with fk.open(folder) as library:
        for refused in (other, folder, folder / "backup", tmp_path):
            with pytest.raises(LibraryError, match=r"no backup|can't lie in"):
                library.backup(refused)
        (tmp_path / "file").write_text("a file")
        with pytest.raises(LibraryError, match="can't be written"):
            library.backup(tmp_path / "file" / "backup")
    with pytest.raises(LibraryError, match="no backup"):
        restore(other, tmp_path / "again")
    assert [path.name for path in other.iterdir()] == ["letter.txt"]


def test_a_backup_is_never_taken_for_photos(folder: Path, tmp_path: Path) -> None:
    with fk.open(folder) as library:
        library.backup(tmp_path / "photos" / "backup")
        assert library.ingest(tmp_path / "photos", progress=False).found == 0


def test_a_backup_through_the_service_is_the_admins_and_below_a_root(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with served(folder, [root], accounts=True) as client:
        route = "/api/v1/library/backup"
        for role, place, status in (
            ("vi", root / "kept", 403),
            ("ed", root / "kept", 403),
            ("ada", tmp_path / "elsewhere", 403),
            ("ada", root / ".." / "elsewhere", 403),
            ("ada", root / "kept", 200),
        ):
            answer = client.post(route, json={"folder": str(place)}, headers=sign_in(client, role))
            assert answer.status_code == status, answer.text
        assert answer.json()["thumbnails"] > 1
    assert not (tmp_path / "elsewhere").exists()
    restore(root / "kept", tmp_path / "again")
    assert (tmp_path / "again" / "service.db").exists()


def test_the_services_own_user_may_keep_a_backup_anywhere(folder: Path, tmp_path: Path) -> None:
    with remote(folder) as library:
        library.session._token = OWNER_KEY
        assert library.backup(tmp_path / "own") > 1
        with pytest.raises(FacekitError):
            library.backup(folder / "backup")
    assert not (folder / "backup").exists()


_HOLD = """
import sys
import facekit as fk
with fk.open(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_the_command_line_asks_the_service_and_names_another_process(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "facekit", "--library", str(folder), "backup", str(tmp_path / "kept")]
    with process(folder):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
    restore(tmp_path / "kept", tmp_path / "again")
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 1
        assert f"process {holder.pid}" in done.stderr
        assert "Traceback" not in done.stderr
        holder.communicate("")
