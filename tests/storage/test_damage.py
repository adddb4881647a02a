"""Full disks, lost and damaged catalogs, and removal that leaves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest
from conftest import need
from family import state
from PIL import Image
from service import PASSWORD, process

import facekit as fk
from facekit.errors import FacekitError, LibraryError
from facekit.library.remote import RemoteLibrary
from facekit.storage.repair import repair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from family import Family

    from facekit.demo.photos import DemoPhotos


def _all_bytes(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_what_was_removed_stands_in_no_file(demo_photos: DemoPhotos, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(demo_photos.folder, tmp_path / "photos"))
    broken = photos / "unreadable-name.jpg"
    broken.write_bytes(b"\xff\xd8 no photo")
    folder = tmp_path / "faces"
    with fk.open(folder) as library:
        library.ingest(photos, progress=False)
        frame = library.photos("ok")
        gone = Path(frame["path"].iloc[0])
        photo_id = frame["photo_id"].iloc[0]
        faces = library.faces()
        face_ids = list(faces[faces["photo_id"] == photo_id]["face_id"])
        ids, vectors = library.embeddings(include_poor=True)
        secrets = [vectors[ids.index(key)].astype(np.float32).tobytes() for key in face_ids if key in ids]
        secrets += [text.encode() for text in (photo_id, *face_ids, gone.name, broken.name)]
        assert len(secrets) > 4
    before = _all_bytes(folder)
    # The index compresses what it holds, so the vectors are looked for where they stand verbatim.
    assert all(secret in before for secret in secrets)
    with fk.open(folder) as library:
        library.remove(gone)
        library.remove(broken)
        assert len(library.photos()) == len(frame) + len(library.photos("no_face")) - 1
    assert [secret for secret in secrets if secret in _all_bytes(folder)] == []
    with fk.open(folder) as library:
        library.search(demo_photos.probe)
    assert [secret for secret in secrets if secret in _all_bytes(folder)] == []


def test_what_was_removed_through_a_service_stands_in_no_file(demo_photos: DemoPhotos, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(demo_photos.folder, tmp_path / "photos"))
    broken, kept = photos / "unreadable-name.jpg", photos / "unreadable-too.jpg"
    broken.write_bytes(b"\xff\xd8 no photo")
    kept.write_bytes(b"\xff\xd8 no photo either")
    alone = tmp_path / "alone" / "a-single-photo.jpg"
    alone.parent.mkdir()
    shutil.copy(demo_photos.probe, alone)
    folder = tmp_path / "faces"
    fk.open(folder).close()
    with process(folder) as service, fk.open(folder) as library:
        assert isinstance(library, RemoteLibrary)
        library.ingest(photos, progress=False)
        library.ingest(alone, progress=False)
        library.search(demo_photos.probe)
        frame = library.photos("ok")
        gone = Path(frame[~frame["path"].str.endswith(alone.name)]["path"].iloc[0])
        secrets = [path.name.encode() for path in (broken, gone, alone)]
        assert all(secret in _all_bytes(folder) for secret in secrets)
        for path in (broken, gone, alone):
            library.remove(path)
        # What is being read is erased at the next opening; the jobs are at once.
        jobs = b"".join(path.read_bytes() for path in folder.glob("service.db*"))
        assert [secret for secret in secrets if secret in jobs] == []
        assert kept.name.encode() in jobs
        assert len(library.session.get("jobs")) == 2
        assert service.command.poll() is None
    with fk.open(folder) as library:
        library.stats()
    assert [secret for secret in secrets if secret in _all_bytes(folder)] == []


def test_an_erasure_that_was_cut_off_is_done_at_the_next_opening(
    demo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(demo_folder, tmp_path / "faces"))
    with monkeypatch.context() as patch, fk.open(folder) as library:
        frame = library.photos("ok")
        patch.setattr("facekit.catalog.Catalog.erase", lambda _: False)  # as if somebody were reading all the time
        library.remove(frame["path"].iloc[0])
    photo_id = frame["photo_id"].iloc[0].encode()
    assert photo_id in (folder / "catalog.duckdb").read_bytes()
    with fk.open(folder) as library:
        assert len(library.photos("ok")) == len(frame) - 1
    assert photo_id not in _all_bytes(folder)


def test_a_library_without_its_catalog_is_refused_and_keeps_its_index(demo_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(demo_folder, tmp_path / "faces"))
    (folder / "catalog.duckdb").unlink()
    before = {path: path.read_bytes() for path in (folder / "vectors.db").rglob("*.parquet")}
    assert before
    for _ in range(2):
        with pytest.raises(LibraryError, match=r"catalog\.duckdb is gone"):
            fk.open(folder)
    assert {path: path.read_bytes() for path in (folder / "vectors.db").rglob("*.parquet")} == before
    shutil.rmtree(folder / "vectors.db")  # library.toml knows it, too
    with pytest.raises(LibraryError, match=r"catalog\.duckdb is gone"):
        fk.open(folder)


def test_a_library_of_before_without_its_catalog_is_refused_too(demo_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(demo_folder, tmp_path / "faces"))
    (folder / "catalog.duckdb").unlink()
    settings = folder / "library.toml"
    settings.write_text(settings.read_text().replace("catalog = true\n", ""))
    with pytest.raises(LibraryError, match=r"catalog\.duckdb is gone"):
        fk.open(folder)


def test_settings_that_are_no_text_and_logs_that_are_a_file_are_one_line(demo_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(demo_folder, tmp_path / "faces"))
    settings = (folder / "library.toml").read_bytes()
    (folder / "library.toml").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(LibraryError, match=r"library\.toml is damaged"):
        fk.open(folder)
    (folder / "library.toml").write_bytes(settings)
    shutil.rmtree(folder / "logs")
    (folder / "logs").write_text("a file")
    with pytest.raises(LibraryError, match="logs"):
        fk.open(folder)


def _damage(path: Path, offset: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)
        stream.seek(offset)
        stream.write(bytes([byte[0] ^ 0xFF]))


class _Rescues:
    """A library of people of whom one has a name, and what is said when copies of it are damaged and repaired."""

    def __init__(self, crowd: Path, place: Path) -> None:
        self._place, self._good = place, Path(shutil.copytree(crowd, place / "good"))
        with fk.open(self._good) as library:
            library.people.cluster()
            library.people.name(library.people.page().people[0], "Ada")
            self._wanted = len(library.photos())
            self._roots = sorted({str(Path(path).parent) for path in library.photos()["path"]})
        self.size = (self._good / "catalog.duckdb").stat().st_size
        self.said: list[str] = []

    def check(self, name: str, damage: Callable[[Path], None]) -> None:
        """A copy is damaged: it opens, or one line says why not; repaired, it has all photos again, and the name."""
        folder = Path(shutil.copytree(self._good, self._place / name))
        damage(folder / "catalog.duckdb")
        try:
            with fk.open(folder) as library:
                library.stats()
                library.photos()
                library.embeddings()
        except FacekitError as error:
            self.said.append(str(error))
        assert not any("\n" in one for one in self.said)
        assert repair(folder).aside
        with fk.open(folder) as library:
            library.ingest(*self._roots, progress=False)
            assert len(library.photos()) == self._wanted
            assert "Ada" in {one.name for one in library.people.page(named=True).people}


def test_whatever_byte_is_damaged_is_one_line_and_what_can_be_read_is_rescued(
    crowd_folder: Path, tmp_path: Path
) -> None:
    rescues = _Rescues(crowd_folder, tmp_path)
    for number, share in enumerate((0.0, 0.02, 0.3, 0.5, 0.7, 0.9)):
        offset = int(rescues.size * share) + 100
        rescues.check(f"damaged-{number}", lambda path, offset=offset: _damage(path, offset))  # type: ignore[misc]


def test_a_lost_catalog_begins_anew_on_request_and_keeps_the_names(crowd_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(crowd_folder, tmp_path / "faces"))
    with fk.open(folder) as library:
        library.people.cluster()
        person = library.people.page().people[0]
        library.people.name(person, "Ada")
        roots = sorted({str(Path(path).parent) for path in library.photos()["path"]})
    (folder / "catalog.duckdb").unlink()
    done = repair(folder)
    assert done.from_copy
    assert done.aside is None
    kept, lost = repr(done).splitlines()[:2]
    assert "entries of the journal" in kept
    assert lost == "Lost: all photos, all paths, all faces, all ingests, all notes of facekit's own"
    assert not [table for table in done.kept if "_" in table and table in repr(done)]
    with fk.open(folder) as library:
        assert len(library.photos()) == 0
        library.ingest(*roots, progress=False)
        assert library.people.get("Ada").faces == person.faces


_ON_A_FULL_DISK = """
import os, shutil, sys
from pathlib import Path
import facekit as fk
from facekit.server.database import ServiceStore
disk = Path(sys.argv[1])
library = fk.open(disk / "faces")
photo = library.photos("ok")["path"].iloc[0]
library.people.cluster()
person = library.people.page().people[0]
store = ServiceStore(disk / "faces")
(disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - int(sys.argv[2])))
verbs = {
    "remove": lambda: library.remove(photo),
    "ingest": lambda: library.ingest(Path(photo).parent, progress=False),
    "cluster": lambda: library.people.cluster(),
    "name": lambda: library.people.name(person, "Ada"),
    "settings": lambda: library.set_search_similarity(0.4),
    "accounts": store.secret,
}
for name, verb in verbs.items():
    try:
        verb()
    except fk.FacekitError as error:
        print("refused", name, error.remedy)
(disk / "filler").unlink()
for verb in verbs.values():
    verb()
library.close()
print("went on")
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", disk], capture_output=True, check=False)
    need(made.returncode == 0, "a disk of a limited size can't be mounted: that takes root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("left", [0, 100_000])
def test_a_full_disk_refuses_every_verb_and_ends_nothing(crowd_folder: Path, small_disk: Path, left: int) -> None:
    shutil.copytree(crowd_folder, small_disk / "faces")
    command = [sys.executable, "-c", _ON_A_FULL_DISK, str(small_disk), str(left)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("remove", "ingest", "cluster", "name", "settings", "accounts"):
        assert f"refused {name} Make room" in done.stdout
    assert "went on" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_full_disk_refuses_what_a_service_is_asked_for_and_does_not_end_it(
    crowd_folder: Path, small_disk: Path
) -> None:
    folder = Path(shutil.copytree(crowd_folder, small_disk / "faces"))
    user = {"name": "ada", "password": PASSWORD, "role": "admin"}
    with process(folder) as service, fk.open(folder) as library:
        assert isinstance(library, RemoteLibrary)
        library.people.cluster()
        photo = library.photos("ok")["path"].iloc[0]
        person = library.people.page().people[0]
        verbs = {
            "remove": lambda: library.remove(photo),
            "name": lambda: library.people.name(person, "Ada"),
            "cluster": library.people.cluster,
            "settings": lambda: library.set_search_similarity(0.4),
            "users": lambda: library.session.send("POST", "/api/v1/auth/users", json=user),
            "ingest": lambda: library.session.tell("POST", "upload/local", path=str(Path(photo).parent)),
            "reembed": lambda: library.session.send("POST", "/api/v1/library/reembed", json={}),
            "backup": lambda: library.backup(small_disk / "backup"),
        }
        filler = small_disk / "filler"
        for left in (100_000, 0):
            filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - left))
            for verb in verbs.values():
                with pytest.raises(fk.DiskFullError, match="Make room on the disk") as refused:
                    verb()
                assert str(folder) not in str(refused.value)  # no path of the server's is told
            assert len(library.photos()) > 1
            filler.unlink()
        for verb in verbs.values():
            verb()
        assert service.command.poll() is None
    assert b"Traceback" not in (folder / "logs" / "facekit.log").read_bytes()


_FILLED_BEFORE_THE_COMMIT = """
import shutil, sys
from pathlib import Path
import facekit as fk
from facekit.storage import embedded
from facekit.catalog import database
disk = Path(sys.argv[1])
library = fk.open(disk / "faces")
photo = library.photos("ok")["path"].iloc[0]
before = len(library.photos())
(disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free))
looks = embedded.check_room, database.check_room
embedded.check_room = database.check_room = lambda *_, **__: None
try:
    library.remove(photo)
except fk.FacekitError as error:
    print("refused", error.message)
(disk / "filler").unlink()
embedded.check_room, database.check_room = looks
assert len(library.photos()) == before
library.remove(photo)
assert len(library.photos()) == before - 1
library.close()
print("went on")
"""


def test_a_disk_that_fills_before_the_commit_ends_nothing(demo_folder: Path, small_disk: Path) -> None:
    shutil.copytree(demo_folder, small_disk / "faces")
    command = [sys.executable, "-c", _FILLED_BEFORE_THE_COMMIT, str(small_disk)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stdout
    assert "went on" in done.stdout


def _said_of(folder: Path) -> bytes:
    """What the catalog and its copy say about people, also what is compressed in them."""
    parts = []
    for name in ("catalog.duckdb", "people.duckdb"):
        with duckdb.connect(str(folder / name), read_only=True) as connection:
            for query in ("SELECT changes FROM people_journal", "SELECT labels FROM cluster_runs"):
                parts += [zlib.decompress(row[0]) for row in connection.sql(query).fetchall()]
    return b"\0".join(parts)


def test_decisions_about_removed_faces_name_none_and_wait_for_the_photo(family: Family, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    with family.opened(folder, grouped=True) as library:
        # By her photo: people with as many faces come in any order, and one has a photo with a poor face, which no run
        # speaks of.
        frame = library.people.to_frame()
        face_id, path, person = frame[frame["photo"].str.endswith("/lagos1.jpg")][
            ["face_id", "photo", "person_id"]
        ].iloc[0]
        ann = library.people.get(person)
        library.people.name(ann, "Ann")
        library.people.name(next(one for one in library.people.page().people if one.name is None), "Other")
        (photo_id,) = library.photos()[library.photos()["path"] == path]["photo_id"]
        gone = Path(path)
        ids = [one.face_id for one in library.photo(photo_id).faces]
        library.people.cover("Ann", face_id)
        library.people.allow_twice(photo_id)
        library.people.not_this_person([face_id], "Other")
        before = state(library)
    secrets = [text.encode() for text in (photo_id, *ids)]
    # Which of them stand in the file as they are is the database's choice: it packs columns of text.
    assert all(text.encode() in _said_of(folder) for text in (photo_id, face_id))  # a poor face beside it is not named
    assert any(secret in _all_bytes(folder) for secret in secrets)
    kept = gone.read_bytes()
    with fk.open(folder) as library:
        library.remove(gone)
        assert library.people.get("Ann").faces == ann.faces - 1
    assert [secret for secret in secrets if secret in _all_bytes(folder)] == []
    assert [secret for secret in secrets if secret in _said_of(folder)] == []
    gone.write_bytes(kept)
    with fk.open(folder) as library:
        library.ingest(family.photos, progress=False)
        assert state(library) == before
        for _ in range(5):
            library.people.undo()
        assert not library.people.page(named=True).people
        assert library.people.get(ann.person_id).faces == ann.faces


def test_the_copy_of_before_a_photo_came_back_is_of_use(family: Family, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    with family.opened(folder, grouped=True) as library:
        library.people.name(library.people.page().people[0], "Ann")
        before = state(library)
        frame = library.people.to_frame()
        library.remove(frame[frame["person"] == "Ann"]["photo"].iloc[0])
    copy = (folder / "people.duckdb").read_bytes()
    with fk.open(folder) as library:
        library.ingest(family.photos, progress=False)
    (folder / "people.duckdb").write_bytes(copy)
    with duckdb.connect(str(folder / "catalog.duckdb")) as connection:
        connection.sql("ALTER TABLE members DROP COLUMN origin")  # the table can't be taken over
    done = repair(folder)
    assert done.from_copy
    with fk.open(folder) as library:
        assert state(library)[0] == before[0]


def test_a_photo_that_another_took_the_place_of_is_gone_too(demo_photos: DemoPhotos, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(demo_photos.folder, tmp_path / "photos"))
    folder = tmp_path / "faces"
    with fk.open(folder) as library:
        library.ingest(photos, progress=False)
        frame = library.photos("ok")
        several = frame[frame["paths"].map(len) == 1]
        path, photo_id = Path(several["path"].iloc[0]), several["photo_id"].iloc[0]
        ids = [face.face_id for face in library.photo(photo_id).faces]
        found, vectors = library.embeddings(include_poor=True)
        secrets = [vectors[found.index(one)].astype(np.float32).tobytes() for one in ids if one in found]
        secrets += [text.encode() for text in (photo_id, *ids)]
    assert any(secret in _all_bytes(folder) for secret in secrets)
    Image.new("RGB", (300, 200), "green").save(path, "JPEG")
    with fk.open(folder) as library:
        assert library.ingest(photos, progress=False).ingested == 1
    assert [secret for secret in secrets if secret in _all_bytes(folder)] == []


def test_a_catalog_that_is_cut_short_is_one_line_and_what_can_be_read_is_rescued(
    crowd_folder: Path, tmp_path: Path
) -> None:
    rescues = _Rescues(crowd_folder, tmp_path)
    for length in (0, 100, rescues.size // 2, rescues.size - 5000):
        rescues.check(f"cut-{length}", lambda path, length=length: os.truncate(path, length))  # type: ignore[misc]
    assert rescues.said
