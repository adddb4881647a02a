"""Another detector or embedder for a library: searchable all the time, switched in one step, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import dying
import numpy as np
import other_models
import pytest
import ready
import sqlalchemy as sa
from places import check_one_index
from ready import facekit
from service import process, served, sign_in, wait_for

import facekit as fk
from facekit.catalog import tables
from facekit.catalog.rows import set_meta
from facekit.catalog.staging import Staging
from facekit.catalog.tables import carried
from facekit.index import IndexFilter
from facekit.index.protocol import Fields
from facekit.ingest.reembed_report import Alone
from facekit.ingest.store import Store, Stored
from facekit.library.follow import follow_reembed
from facekit.library.remote import RemoteLibrary
from facekit.models import registry
from facekit.storage.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from places import Places

    from facekit.demo.photos import DemoPhotos
    from facekit.ingest.pipeline import Item
    from facekit.library.local import LocalLibrary


@pytest.fixture(autouse=True)
def more_models(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, info in other_models.models().items():
        monkeypatch.setitem(registry.MODELS, name, info)


@pytest.fixture
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit.ingest.run._STORE_FILES", 2)
    monkeypatch.setattr("facekit.ingest.pipeline._BATCH_PHOTOS", 2)


# Eleven of the demo's photos, one of them twice: one face, two, three, or none.
ALBUM = [
    *("portrait.png", "portrait, small.jpg", "evening.jpg", "newspaper.tif", "Айлин Коллинз.jpg", "both.jpg"),
    *("album page.png", "hopper.jpg", "backup/hopper.jpg", "hopper, small.jpg", "cat.png", "coffee.webp"),
]
PHOTOS = len(ALBUM) - 1


@dataclass(frozen=True)
class Made:
    """The photos as they are, where a test may change them, and a closed library of the latter."""

    pristine: Path
    photos: Path
    folder: Path


@pytest.fixture(scope="module")
def made(demo_photos: DemoPhotos, tmp_path_factory: pytest.TempPathFactory) -> Made:
    place = tmp_path_factory.mktemp("album")
    made = Made(place / "pristine", place / "photos", place / "faces")
    for name in ALBUM:
        (made.pristine / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(demo_photos.folder / name, made.pristine / name)
    shutil.copytree(made.pristine, made.photos)
    with fk.open(made.folder) as library:
        assert library.ingest(made.photos, progress=False).ingested == PHOTOS
    return made


@pytest.fixture
def photos(made: Made) -> Path:
    """The library's photos, as they were at first; they may be moved and changed."""
    shutil.rmtree(made.photos)
    return shutil.copytree(made.pristine, made.photos)


@pytest.fixture
def folder(made: Made, photos: Path, places: Places, tmp_path: Path) -> Path:
    """A closed library of them; each test has a copy of its library."""
    return places.copy(made.folder, tmp_path / "faces")


@pytest.fixture
def library(folder: Path) -> Iterator[LocalLibrary]:
    """The same, open."""
    with fk.open(folder) as library:
        yield library


def found(library: fk.Library, probe: Path) -> list[tuple[str, float]]:
    return sorted((hit.face_id, round(hit.similarity, 3)) for hit in library.search(probe))


def check_whole(library: LocalLibrary, *, alone: bool = True) -> None:
    """Catalog, settings and index are of the same models, and nothing of others lies about."""
    settings = library.settings
    use = library._storage.backend.use_now()
    assert (read_settings(library.folder) if use is None else use.settings) == settings
    faces = library.faces()
    assert set(faces["detector"]) == {settings.detector}
    assert set(faces["embedder"]) == {settings.embedder}
    assert faces["face_id"].is_unique
    assert library.photos()["faces"].sum() == len(faces)
    ids, vectors = library.embeddings(include_poor=True)
    assert vectors.shape[1] == settings.dimension
    assert set(library._storage.index.rows()) == set(ids)
    for key, vector in zip(ids, vectors, strict=True):
        (nearest,) = library._storage.index.search(vector, 1, IndexFilter(usable_only=False))
        assert nearest == (key, pytest.approx(1, abs=1e-4))
    if alone:
        check_one_index(library)


def test_photos_of_models_that_others_replaced_meanwhile_are_not_kept(
    library: LocalLibrary, photos: Path, astronaut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(astronaut, photos / "new.png")
    catalog, real = library.storage.catalog, Store.write
    before, models = catalog.counts()["faces"], library.settings.models

    def late(store: Store, items: Sequence[Item], *more: Any) -> Stored:
        with catalog.transaction() as connection:
            set_meta(connection, "bound", json.dumps({"models": models, "vectors": "vectors-01234567.db"}))
        return real(store, items, *more)

    monkeypatch.setattr(Store, "write", late)
    with pytest.raises(fk.FacekitError, match="models of the library were changed"):
        library.ingest(photos, progress=False)
    assert catalog.counts()["faces"] == before


def test_there_and_back_again_loses_no_photo_and_no_face(library: LocalLibrary) -> None:
    photos, faces = library.photos(), library.faces()
    ids, vectors = library.embeddings(include_poor=True)
    thumbnails = {path: path.stat().st_mtime_ns for path in library.folder.glob("thumbnails/*/*.jpg")}
    report = library.reembed("fine", "short", progress=False)
    assert (report.switched, report.stopped, report.unreadable) == (True, False, [])
    assert (report.photos, report.faces_before, report.matched) == (len(photos), len(faces), len(faces))
    assert (library.settings.detector, library.settings.embedder, library.settings.dimension) == ("fine", "short", 64)
    check_whole(library)
    assert library.photos().drop(columns="faces").equals(photos.drop(columns="faces"))
    library.close()
    with fk.open(library.folder, detector="fine", embedder="short") as again:  # it is bound to them
        check_whole(again)
        with pytest.raises(fk.ModelMismatchError, match="made with short, not with sface"):
            fk.open(library.folder, embedder="sface")
        assert again.reembed("yunet", "sface", progress=False).switched
        check_whole(again)
        assert again.photos().equals(photos)
        assert set(again.faces()["face_id"]) == set(faces["face_id"])
        ids_now, vectors_now = again.embeddings(include_poor=True)
        assert ids_now == ids
        np.testing.assert_allclose(vectors_now, vectors, atol=1e-4)
        assert {path: path.stat().st_mtime_ns for path in thumbnails} == thumbnails
        assert again.doctor()


def test_the_same_faces_with_other_vectors_of_the_same_length(library: LocalLibrary, demo_photos: DemoPhotos) -> None:
    before, (ids, vectors) = found(library, demo_photos.probe), library.embeddings(include_poor=True)
    for embedder in ("turned", "twisted"):
        report = library.reembed(embedder=embedder, progress=False)
        assert (report.matched, report.alone) == (len(ids), [])
        assert library.embeddings(include_poor=True)[0] == ids
        assert np.abs(np.sum(library.embeddings(include_poor=True)[1] * vectors, axis=1)).max() < 0.5
        check_whole(library)
        assert found(library, demo_photos.probe) == before  # turning all vectors changes no angle
    library.close()
    with fk.open(library.folder) as again:
        check_whole(again)
        assert found(again, demo_photos.probe) == before


def test_searches_see_the_old_faces_or_the_new_ones_and_never_fail(
    library: LocalLibrary, demo_photos: DemoPhotos, few_at_a_time: None
) -> None:
    said: list[list[tuple[str, float]]] = []
    wrong: list[Exception] = []
    end, one_more = Event(), Event()

    def search() -> None:
        while not end.is_set():
            try:
                said.append(found(library, demo_photos.probe))
                one_more.set()
            except Exception as error:  # noqa: BLE001 - whatever it is
                wrong.append(error)

    def progress(_done: int, _total: int) -> None:
        one_more.clear()
        assert one_more.wait(60)

    expected = [found(library, demo_photos.probe)]
    people = [Thread(target=search) for _ in range(2)]
    for one in people:
        one.start()
    try:
        for models in (("yunet", "short"), ("choosy", "turned"), ("yunet", "sface")):
            assert library.reembed(*models, progress=progress).switched
            expected.append(found(library, demo_photos.probe))
    finally:
        end.set()
        for one in people:
            one.join()
    assert wrong == []
    assert len(said) > 10
    assert len({str(one) for one in expected[:3]}) == 3
    assert all(one in expected for one in said)


def test_what_is_done_before_a_stop_is_not_done_again(
    library: LocalLibrary, photos: Path, demo_photos: DemoPhotos, few_at_a_time: None
) -> None:
    before, faces = found(library, demo_photos.probe), library.stats()["faces"]
    stop = Event()
    other_models.embedded["faces"] = 0
    report = library.reembed(
        embedder="short", stop=stop, progress=lambda done, total: stop.set() if done > total / 3 else None
    )
    assert (report.stopped, report.switched) == (True, False)
    assert 0 < report.photos < PHOTOS
    assert "run it again" in repr(report)
    check_whole(library)
    assert found(library, demo_photos.probe) == before
    library.close()
    with fk.open(library.folder) as again:
        # In between the library lives on.
        gone = again.photos("ok")["path"].iloc[0]
        lost = again.remove(gone)
        assert lost == 1
        done: list[int] = []
        rest = again.reembed(embedder="short", progress=lambda now, total: done.append(now))
        assert rest.switched
        assert done[0] >= report.photos - 1  # the bar begins where it stopped
        assert report.photos + rest.photos in {PHOTOS, PHOTOS - 1}
        assert other_models.embedded["faces"] <= faces
        check_whole(again)
        assert gone not in set(again.photos()["path"])
        Path(gone).touch()
        assert again.ingest(photos, progress=False).ingested == 1
        check_whole(again)
        assert again.stats()["faces"] == faces


def test_what_was_made_for_other_models_is_not_used(library: LocalLibrary, few_at_a_time: None) -> None:
    stop = Event()
    library.reembed(embedder="turned", stop=stop, progress=lambda done, total: stop.set() if done > 4 else None)
    report = library.reembed(embedder="twisted", progress=False)
    assert (report.switched, report.photos) == (True, PHOTOS)
    check_whole(library)


def test_the_models_that_it_has_are_nothing_to_do(library: LocalLibrary) -> None:
    report = library.reembed(progress=False)
    assert (report.switched, report.photos, report.unmatched.empty) == (True, 0, True)
    assert "already" in repr(report)
    with pytest.raises(fk.FacekitError, match=r"no model 'nosuch'"):
        library.reembed(embedder="nosuch")
    with pytest.raises(fk.FacekitError, match="for detection"):
        library.reembed(embedder="yunet")
    check_whole(library)


def test_nothing_else_changes_the_library_meanwhile(library: LocalLibrary, photos: Path) -> None:
    refused: list[str] = []

    def progress(_done: int, _total: int) -> None:
        for change in (
            lambda: library.ingest(photos),
            lambda: library.remove(photos),
            library.reembed,
        ):
            with pytest.raises(fk.LibraryBusyError) as caught:
                change()
            refused.append(str(caught.value))

    assert library.reembed(embedder="turned", progress=progress).switched
    assert len(refused) >= 3


def test_a_photo_that_can_not_be_read_keeps_the_old_models_until_it_is_back(
    library: LocalLibrary, photos: Path, tmp_path: Path, demo_photos: DemoPhotos
) -> None:
    before, all_photos = found(library, demo_photos.probe), library.photos()
    by_path = dict(zip(all_photos["path"], all_photos["paths"], strict=True))
    gone = next(Path(path) for path in library.photos("ok")["path"] if len(by_path[path]) == 1)
    gone.rename(tmp_path / "aside")
    report = library.reembed(embedder="short", progress=False)
    assert not report.switched
    assert [one.path for one in report.unreadable] == [str(gone)]
    assert "skip_unreadable" in repr(report)
    assert gone.name in report._repr_html_()
    check_whole(library)
    assert found(library, demo_photos.probe) == before
    (tmp_path / "aside").rename(gone)
    again = library.reembed(embedder="short", progress=False)
    assert (again.switched, again.photos, again.unreadable) == (True, 1, [])
    check_whole(library)
    assert library.photos().equals(all_photos)


def test_photos_that_can_not_be_read_may_be_left_without_faces(
    library: LocalLibrary, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a picture")
    library.ingest(photos, progress=False)
    before = library.photos()
    alone = before[before["faces"] == 1]
    once = [path for path, paths in zip(alone["path"], alone["paths"], strict=True) if len(paths) == 1]
    gone, changed = map(Path, once[:2])
    twice = next(paths for paths in before["paths"] if len(paths) == 2)
    gone.rename(tmp_path / "aside")
    changed.write_bytes(Path(library.photos("no_face")["path"].iloc[0]).read_bytes())
    Path(twice[0]).unlink()  # the other copy will do
    faces = library.stats()["faces"]
    report = library.reembed("fine", "turned", progress=False, skip_unreadable=True)
    assert report.switched
    assert {(Path(one.path), one.status) for one in report.unreadable} == {(gone, "io_error"), (changed, "missing")}
    check_whole(library)
    assert len(library.photos()) == len(before)
    left = library.photos("io_error").set_index("path")
    assert set(left.index) == {str(gone), str(changed)}
    assert left["reason"].str.contains("when the models were changed").all()
    assert list(library.photos("corrupt")["path"]) == [str(photos / "broken.jpg")]
    assert set(report.unmatched["photo"]) == {str(gone), str(changed)}
    (tmp_path / "aside").rename(gone)
    library.ingest(photos, progress=False)
    check_whole(library)
    assert len(library.photos("io_error")) == 0
    assert library.stats()["faces"] == faces - 1  # the changed photo shows nobody now


def test_photos_that_changed_their_names_are_all_there(library: LocalLibrary, photos: Path, tmp_path: Path) -> None:
    first, second = (Path(path) for path in library.photos("ok")["path"].iloc[:2])
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    report = library.reembed(embedder="short", progress=False)
    assert (report.switched, report.photos, report.unreadable) == (True, PHOTOS, [])
    check_whole(library)


@pytest.mark.usefixtures("few_at_a_time")
def test_a_photo_that_is_first_met_under_another_name_and_can_not_be_read_is_named(
    library: LocalLibrary, photos: Path
) -> None:
    broken = photos / "zz broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not much of a picture")
    library.ingest(photos, progress=False)
    with library._storage.catalog._engine.begin() as connection:  # as if it had been readable then
        values = {"status": "no_face", "reason": None, "width": 10, "height": 10}
        connection.execute(sa.update(tables.photos).values(values).where(tables.photos.c.status == "corrupt"))
    once = [paths[0] for paths in library.photos("ok")["paths"] if len(paths) == 1]
    other = Path(once[0])
    other.write_bytes(broken.read_bytes())
    report = library.reembed(embedder="short", progress=False)
    assert not report.switched
    assert {one.path for one in report.unreadable} >= {str(other)}
    assert len(report.unreadable) == 2
    skipped = library.reembed(embedder="short", progress=False, skip_unreadable=True)
    assert (skipped.switched, len(skipped.unreadable)) == (True, 2)
    check_whole(library)
    assert len(library.photos("io_error")) == 2


def test_a_large_photo_that_was_let_in_is_not_too_large_now(
    library: LocalLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facekit.ingest import new_faces

    monkeypatch.setattr(new_faces, "Limits", lambda *most: fk.Limits(*(most or (1, 1))))
    assert library.reembed(embedder="turned", progress=False).switched


def test_faces_that_only_one_detector_finds_are_listed(library: LocalLibrary) -> None:
    before = library.faces()
    report = library.reembed(detector="choosy", progress=False)
    several = before.groupby("photo").size()
    frame = report.unmatched
    assert list(frame.columns) == ["photo", "face_id", "box", "which"]
    assert set(frame["which"]) == {"old"}
    assert frame.groupby("photo").size().to_dict() == (several[several > 1] - 1).to_dict()
    assert set(frame["face_id"]) < set(before["face_id"])
    with library._storage.catalog._engine.connect() as connection:
        pairs = dict(connection.execute(carried.select()).all())
    assert set(pairs) | set(frame["face_id"]) == set(before["face_id"])
    assert set(pairs.values()) == set(library.faces()["face_id"])
    back = library.reembed(detector="yunet", progress=False)
    assert set(back.unmatched["which"]) == {"new"}
    assert len(back.alone) == len(report.alone)
    again = fk.ReembedReport.from_dict(json.loads(json.dumps(report.to_dict())))
    assert again.unmatched.equals(frame)
    assert repr(again).splitlines()[1:] == repr(report).splitlines()[1:]


def test_a_library_of_an_older_version_opens_and_can_be_made_anew(
    library: LocalLibrary,
    photos: Path,
    demo_photos: DemoPhotos,
    own_models: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = found(library, demo_photos.probe)
    library.close()
    sface = registry.MODELS["sface"]
    newer = replace(sface, version="2", load=lambda **how: other_models.Turns(sface.load(**how), "turned", 128))
    monkeypatch.setitem(registry.MODELS, "sface", newer)
    registry._cached_model.cache_clear()
    with fk.open(library.folder) as old:
        assert len(old.photos()) == PHOTOS
        for refused in (lambda: old.search(demo_photos.probe), lambda: old.ingest(photos)):
            with pytest.raises(fk.ModelMismatchError, match=r"sface version 1; this facekit has 2.*lib\.reembed\(\)"):
                refused()
        assert [check.name for check in old.doctor().checks if not check.ok] == ["library"]
        assert old.reembed(progress=False).switched
        assert old.settings.embedder_version == "2"
        assert found(old, demo_photos.probe) == before
        assert old.ingest(photos, progress=False).unchanged == PHOTOS + 1
        assert old.doctor()


def test_ctrl_c_does_not_cut_the_switch_in_two(library: LocalLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = type(library._storage.backend)
    kept = backend.write_settings

    def write_settings(*arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)
        kept(*arguments)

    monkeypatch.setattr(backend, "write_settings", write_settings)
    report = library.reembed(embedder="short", progress=False)
    assert (report.switched, report.stopped) == (True, False)
    check_whole(library)


def test_ctrl_c_stops_it_while_the_index_is_made(library: LocalLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    from facekit.ingest.reembed import Reembed

    kept = Reembed._rows

    def rows(self: Reembed) -> Iterator[object]:
        signal.raise_signal(signal.SIGINT)
        assert self._stop.wait(30)
        yield from kept(self)

    monkeypatch.setattr(Reembed, "_rows", rows)
    report = library.reembed(embedder="short", progress=False)
    assert (report.switched, report.stopped) == (False, True)
    check_whole(library)


def test_ctrl_c_twice_waits_for_the_switch_and_keeps_its_error(
    library: LocalLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def switch(*_arguments: object) -> None:
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        message = "the disk is gone"
        raise OSError(message)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Staging, "switch", switch)
    with pytest.raises(OSError, match="the disk is gone"):
        library.reembed(embedder="short", progress=False)
    assert signal.getsignal(signal.SIGINT) is before
    check_whole(library)


def test_a_stopped_run_says_how_it_goes_on_and_another_one_what_it_throws_away(
    library: LocalLibrary, few_at_a_time: None
) -> None:
    def stopped() -> fk.ReembedReport:
        stop = Event()
        return library.reembed(
            embedder="short", detail=640, stop=stop, progress=lambda done, total: stop.set() if done > 4 else None
        )

    first = stopped()
    assert 'lib.reembed(detector="yunet", embedder="short", detail=640)' in repr(first)
    assert "facekit reembed --detector yunet --embedder short --detail 640" in repr(first)
    plain = library.reembed(progress=False)
    assert (plain.discarded, plain.switched) == (first.photos, True)
    assert f"of {first.photos} photos with other models was thrown away" in repr(plain)
    again = stopped()
    assert again.discarded == 0
    closely = library.reembed(embedder="short", progress=False)  # the same models, but looking another way
    assert (closely.discarded, closely.photos, closely.switched) == (again.photos, PHOTOS, True)
    assert library.reembed(embedder="short", progress=False).discarded == 0


def test_how_closely_it_looks_is_said(library: LocalLibrary, demo_photos: DemoPhotos) -> None:
    normal = library.stats()["faces"]
    assert library.reembed(embedder="turned", detail=64, progress=False).switched
    assert library.stats()["faces"] < normal
    assert library.reembed(embedder="short", progress=False).faces_after == normal


def test_a_threshold_counts_while_its_embedder_is_in_use(library: LocalLibrary) -> None:
    library.set_search_similarity(0.3)
    same = library.reembed(detector="choosy", progress=False)
    assert (library.search_similarity, same.threshold) == (0.3, None)
    other = library.reembed(embedder="short", progress=False)
    assert (library.search_similarity, other.threshold) == (0.42, 0.3)
    assert "0.3 that was set for searches" in repr(other)
    assert library.reembed(embedder="sface", progress=False).threshold is None
    assert library.search_similarity == 0.3


def test_a_document_holds_the_first_of_very_many_faces_and_their_number() -> None:
    alone = [Alone("a.jpg", str(number), (0.0, 0.0, 1.0, 1.0), "old") for number in range(1500)]
    report = fk.ReembedReport("a", "b", unmatched_old=1500, alone=alone, switched=True)
    said = json.loads(json.dumps(report.to_dict()))
    assert (len(said["unmatched"]), said["unmatched_old"], said["unmatched_new"]) == (1000, 1500, 0)
    assert "1500 old and 0 new ones have no partner (.unmatched)" in repr(report)
    assert "the first 1000 are in .unmatched" in repr(fk.ReembedReport.from_dict(said))


BEFORE = ["while faces are made", "while the index is made", "before the switch", "in the switch"]
AFTER = ["after the switch", "after the settings"]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize("point", BEFORE + AFTER)
def test_a_kill_leaves_all_old_or_all_new(folder: Path, places: Places, demo_photos: DemoPhotos, point: str) -> None:
    check_kill(folder, places, demo_photos, point)


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_an_index_that_a_kill_left_goes_with_the_next_change(
    folder: Path, places: Places, demo_photos: DemoPhotos
) -> None:
    check_kill(folder, places, demo_photos, "before the old index goes")


def check_kill(folder: Path, places: Places, demo_photos: DemoPhotos, point: str) -> None:
    """Change the models, be killed at a point of it, and change them again."""
    with fk.open(folder) as library:
        photos, expected = library.photos(), found(library, demo_photos.probe)
        number = len(library.faces())
    run = ready.start(dying.reembed, folder, point)
    run.join()
    assert run.exitcode == -signal.SIGKILL
    with fk.open(folder) as library:
        check_whole(library, alone=not places.on_servers)  # there, the next change takes away what this one left
        assert library.settings.embedder == ("sface" if point in BEFORE else "turned")
        assert library.index_lag() == 0
        wanted = {row.face_id: Fields.of(row) for row in library._storage.catalog.index_rows()}
        assert library._storage.index.rows() == wanted
        assert len(found(library, demo_photos.probe)) == len(expected)
        report = library.reembed("fine", "turned", progress=False)
        assert report.switched
        assert report.photos == {"while faces are made": PHOTOS - 4}.get(point, 0)
        assert report.discarded == 0
        assert ("`carried`" in repr(report)) == (point not in BEFORE)
        check_whole(library)
        assert library.photos().drop(columns="faces").equals(photos.drop(columns="faces"))
        assert library.stats()["faces"] >= number
        assert len(found(library, demo_photos.probe)) == len(expected)
        assert library.doctor()


def test_the_command_line_says_it_as_json(library: LocalLibrary) -> None:
    make_old(library)
    command = ("--library", library.folder, "reembed", "--json")
    said = json.loads(facekit(*command).stdout)
    assert (said["models_before"], said["models_after"]) == ("yunet 1 + sface 0", "yunet 1 + sface 1")
    assert (said["photos"], said["switched"], said["unmatched"], said["unreadable"]) == (PHOTOS, True, [], [])
    refused = facekit(*command, "--embedder", "nosuch")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no model 'nosuch'" in refused.stderr
    with fk.open(library.folder) as again:
        check_whole(again)


def test_the_command_line_fails_while_a_photo_is_gone(library: LocalLibrary) -> None:
    for path in library.photos("ok")["paths"].iloc[0]:
        Path(path).unlink()
    make_old(library)
    refused = facekit("--library", library.folder, "reembed")
    assert refused.returncode == 1
    assert "--skip-unreadable" in refused.stdout
    assert facekit("--library", library.folder, "reembed", "--skip-unreadable").returncode == 0


# -- through a service -------------------------------------------------------------------------------------------------


def test_a_service_does_it_as_a_job_of_an_admin(library: LocalLibrary, demo_photos: DemoPhotos) -> None:
    library.close()
    with served(library.folder, accounts=True) as client:
        address, body = "/api/v1/library/reembed", {"embedder": "short"}
        ada = sign_in(client, "ada")
        assert client.post(address, json=body, headers=sign_in(client, "ed")).status_code == 403
        unknown = client.post(address, json={"embedder": "nosuch"}, headers=ada)
        assert (unknown.status_code, unknown.json()["detail"]["kind"]) == (422, "no_model")
        for wrong in ({"detector": "sface"}, {"embedder": "yunet"}, {"detail": "coarse"}, {"detail": 1}):
            assert client.post(address, json=wrong, headers=ada).status_code == 422
        started = client.post(address, json=body, headers=ada)
        assert started.status_code == 202
        assert (started.json()["kind"], started.json()["models"]["embedder"]) == ("reembed", "short")
        picture = {"file": demo_photos.probe.read_bytes()}
        assert client.post("/api/v1/search/upload", files=picture, headers=ada).status_code == 200
        job = wait_for(client, started.json()["job_id"], ada)
        assert (job["state"], job["done"], job["total"]) == ("done", PHOTOS, PHOTOS)
        assert fk.ReembedReport.from_dict(job["report"]).switched
        assert client.get("/api/v1/service", headers=ada).json()["embedder"] == "short"
        assert client.post("/api/v1/search/upload", files=picture, headers=ada).json()["hits"]
    with fk.open(library.folder) as again:
        check_whole(again)


def test_a_search_in_a_library_of_an_older_version_is_refused_with_the_remedy(
    library: LocalLibrary, demo_photos: DemoPhotos
) -> None:
    make_old(library)
    with served(library.folder) as client:
        refused = client.post("/api/v1/search/upload", files={"file": demo_photos.probe.read_bytes()})
        assert refused.status_code == 409
        assert refused.json()["detail"]["kind"] == "models"
        assert "lib.reembed()" in refused.json()["detail"]["remedy"]


def test_a_database_of_jobs_from_before_there_were_kinds_opens(library: LocalLibrary, photos: Path) -> None:
    library.close()
    with served(library.folder, [photos.parent]) as client:
        made = client.post("/api/v1/upload/local", json={"path": str(photos)}).json()
        wait_for(client, made["job_id"])
    with closing(sqlite3.connect(library.folder / "service.db")) as database:
        for name in ("kind", "models"):
            database.execute(f"ALTER TABLE jobs DROP COLUMN {name}")
        database.execute("DELETE FROM meta WHERE key = 'schema'")  # no version was written down then
        database.commit()
    with served(library.folder) as client:
        (job,) = client.get("/api/v1/jobs").json()
        assert (job["job_id"], job["kind"], job["models"]) == (made["job_id"], "ingest", None)
        started = client.post("/api/v1/library/reembed", json={"embedder": "short"}).json()
        assert wait_for(client, started["job_id"])["state"] == "done"


def test_a_change_that_is_cancelled_while_it_waits_has_a_report(library: LocalLibrary) -> None:
    library.close()
    with served(library.folder) as client:
        with client.app.state.service.library._storage.changing("A test"):
            job_id = client.post("/api/v1/library/reembed", json={"embedder": "short"}).json()["job_id"]
            while client.get(f"/api/v1/jobs/{job_id}").json()["state"] == "queued":
                time.sleep(0.1)
            client.post(f"/api/v1/jobs/{job_id}/cancel")
            job = wait_for(client, job_id)
        assert job["state"] == "cancelled"
        report = fk.ReembedReport.from_dict(job["report"])
        assert (report.stopped, report.models_before) == (True, "yunet 1 + sface 1")


def make_old(library: LocalLibrary) -> None:
    with fk.open(library.folder) as old:
        old._storage.save_settings(replace(old.settings, embedder_version="0"))


def test_a_notebook_follows_the_service_that_does_it(library: LocalLibrary, demo_photos: DemoPhotos) -> None:
    make_old(library)
    with process(library.folder):
        remote = fk.open(library.folder)
        assert isinstance(remote, RemoteLibrary)
        with pytest.raises(fk.ModelMismatchError, match=r"lib\.reembed"):
            remote.search(demo_photos.probe)
        seen: list[tuple[int, int]] = []
        report = remote.reembed(progress=lambda done, total: seen.append((done, total)))
        assert (report.switched, report.photos, report.models_before) == (True, PHOTOS, "yunet 1 + sface 0")
        assert seen[-1] == (PHOTOS, PHOTOS)
        assert len(remote.search(demo_photos.probe)) == 7
        with pytest.raises(fk.ServiceError, match="no model 'nosuch'"):
            remote.reembed(detector="nosuch")
        remote.close()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_service_goes_on_where_it_was(lfw: Path, tmp_path: Path) -> None:
    people = tmp_path / "people"
    people.mkdir()
    for path in sorted(lfw.glob("*/*.jpg"))[:110]:
        shutil.copy(path, people / path.name)
    with fk.open(tmp_path / "faces") as library:
        library.ingest(people, progress=False)
        faces = library.stats()["faces"]
    make_old(library)
    with process(library.folder) as service:
        remote = fk.open(library.folder)
        started = remote.session.send("POST", "/api/v1/library/reembed", json={}).json()
        while not (job := remote.session.job(started["job_id"]))["done"]:
            assert job["state"] in {"queued", "running"}
        service.stop(signal.SIGKILL)
        remote.close()
    with process(library.folder):
        remote = fk.open(library.folder)
        assert remote.running_ingest() is None
        report = follow_reembed(remote.session, started["job_id"], progress=False, stop=Event())
        assert report.switched
        assert report.photos < 110
        assert remote.stats()["faces"] == faces
        assert remote.doctor()
        remote.close()
    with fk.open(library.folder) as again:
        check_whole(again)
