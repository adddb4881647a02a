"""A library as a folder: opening, owning, repairing, looking, exporting."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import facekit as fk
from facekit.catalog.records import FileMove
from facekit.catalog.times import now
from facekit.index.protocol import Fields
from facekit.storage.settings import read_settings, write_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from places import Places

    from facekit.demo.photos import DemoPhotos
    from facekit.library.base import Library

HOLD = """
import sys, facekit as fk
from collections import Counter
library = fk.open(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_at_once_who_has_the_library(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(fk.LibraryLockedError, match=f"process {owner.pid}") as caught:
            fk.open(folder)
        assert caught.value.pid == owner.pid
        assert caught.value.remedy
        owner.kill()
    fk.open(folder).close()  # a killed owner keeps nothing


def test_opening_twice_in_one_process_gives_the_same_library(places: Places, tmp_path: Path) -> None:
    folder = places.new(tmp_path / "faces")
    first = fk.open(folder)
    assert fk.open(folder) is first
    with pytest.raises(fk.ModelMismatchError, match="other"):
        fk.open(folder, embedder="other")
    first.close()
    assert repr(first).endswith("closed)")
    with pytest.raises(fk.LibraryError, match="closed"):
        first.photos()
    second = fk.open(folder)
    assert second is not first
    second.close()


def test_other_models_are_refused_with_the_way_to_change_to_them(places: Places, tmp_path: Path) -> None:
    folder = places.new(tmp_path / "faces")
    fk.open(folder).close()
    with pytest.raises(fk.ModelMismatchError, match=r"made with sface, not with facenet512") as caught:
        fk.open(folder, embedder="facenet512")
    assert 'lib.reembed(embedder="facenet512")' in caught.value.remedy
    assert "facekit reembed --embedder facenet512" in caught.value.remedy
    with pytest.raises(fk.ModelMismatchError) as caught:
        fk.open(folder, detector="retinaface", embedder="facenet512")
    assert "facekit reembed --detector retinaface --embedder facenet512" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"it is empty\."),
        (" \n", r"it is empty\."),
        ("format = 1", r"it lacks models\."),
        ("format = 1\n[models]", r"it lacks detector\."),
        ("format = [", r"Invalid value \(at end of document\)\."),
        ("format = 'x'\n[models]\n", r"a value in it is none that facekit writes\."),
        ("format = 1\nmodels = 3", r"a value in it is none that facekit writes\."),
    ],
)
def test_a_damaged_settings_file_says_so(tmp_path: Path, text: str, words: str) -> None:
    fk.open(tmp_path / "faces").close()
    (tmp_path / "faces" / "library.toml").write_text(text)
    with pytest.raises(fk.LibraryError, match=rf"library\.toml is damaged: .*{words}"):
        fk.open(tmp_path / "faces")


def test_a_library_of_a_newer_facekit_is_refused(places: Places, tmp_path: Path) -> None:
    fk.open(places.new(tmp_path / "faces")).close()
    toml = tmp_path / "faces" / "library.toml"
    toml.write_text(re.sub("format = [12]", "format = 99", toml.read_text()))
    with pytest.raises(fk.LibraryError, match="newer facekit"):
        fk.open(tmp_path / "faces")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(fk.LibraryError, match=r"not a facekit library.*holiday\.jpg"):
        fk.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_an_unknown_model_is_named_with_those_that_exist(places: Places, tmp_path: Path) -> None:
    with pytest.raises(fk.FacekitError, match=r"nosuch.*yunet"):
        fk.open(tmp_path / "faces", detector="nosuch", **places.options())
    assert not (tmp_path / "faces" / "library.toml").exists()


def test_models_for_other_tasks_make_no_library(places: Places, tmp_path: Path) -> None:
    for models, task in (({"detector": "sface"}, "detection"), ({"embedder": "yunet"}, "embedding")):
        with pytest.raises(fk.FacekitError, match=f"not for {task}"):
            fk.open(tmp_path / "faces", **models, **places.options())
    assert not (tmp_path / "faces").exists()


def test_the_date_of_a_library_stays_and_what_is_no_date_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    with fk.open(folder) as library:
        made = read_settings(folder).created
        assert library.settings.created == made is not None
    for said in ("created = 7", 'created = "soon"', "created = 2026-01-01"):
        text = (folder / "library.toml").read_text()
        (folder / "library.toml").write_text(re.sub("created = .*", said, text))
        settings = read_settings(folder)
        assert settings.created is None
    write_settings(folder, settings)
    assert read_settings(folder) == settings


def damage_nothing(folder: Path) -> None:
    del folder


def damage_delete(folder: Path) -> None:
    shutil.rmtree(folder / "vectors.db")


def damage_truncate(folder: Path) -> None:
    files = list((folder / "vectors.db").rglob("*.parquet"))
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:50])


def damage_remove_segment(folder: Path) -> None:
    files = list((folder / "vectors.db").rglob("*.parquet"))
    assert files
    files[0].unlink()


def damage_empty_folder(folder: Path) -> None:
    shutil.rmtree(folder / "vectors.db")
    (folder / "vectors.db").mkdir()


def damage_file_instead(folder: Path) -> None:
    shutil.rmtree(folder / "vectors.db")
    (folder / "vectors.db").write_bytes(b"an index of Milvus Lite 2")


@pytest.mark.parametrize(
    "damage",
    [damage_nothing, damage_delete, damage_truncate, damage_remove_segment, damage_empty_folder, damage_file_instead],
)
def test_a_damaged_vector_index_is_rebuilt_from_the_catalog(
    demo_folder: Path,
    demo_photos: DemoPhotos,
    tmp_path: Path,
    damage: object,
) -> None:
    folder = shutil.copytree(demo_folder, tmp_path / "faces")
    with fk.open(folder) as library:
        before = [(hit.face_id, round(hit.similarity, 5)) for hit in library.search(demo_photos.probe)]
    assert before
    damage(folder)  # type: ignore[operator]
    with fk.open(folder) as library:
        after = [(hit.face_id, round(hit.similarity, 5)) for hit in library.search(demo_photos.probe)]
        assert set(library._storage.index.rows()) == set(library.embeddings(include_poor=True)[0])
    assert sorted(after) == sorted(before)


def test_an_index_that_is_behind_the_catalog_catches_up(demo_copy: Path) -> None:
    with fk.open(demo_copy) as library:
        ids, _ = library.embeddings(include_poor=True)
        storage = library._storage
        before = storage.index.rows()
        states = storage.catalog.file_states("local")
        held = Counter(one.photo_id for one in states.values())  # a photo with faces that lies in one place
        path, state = next(
            (path, one) for path, one in states.items() if one.status == "ok" and held[one.photo_id] == 1
        )
        storage.catalog.mark_missing("local", [path], missing=True)  # a kill between the catalog and the index...
        move = FileMove(path, b"/elsewhere/1.jpg", "/elsewhere/1.jpg", there=True, now=now(), source="local")
        storage.catalog.relocate("local", [move], ("/nowhere", "/elsewhere"))
        mine = {row.face_id for row in storage.catalog.index_rows([state.photo_id])}
        assert mine
        assert library.index_lag() == len(mine)
        assert storage.index.rows() == before
    with fk.open(demo_copy) as library:
        after = library._storage.index.rows()
        assert set(after) == set(ids)
        assert {key for key in after if after[key].folder == "/elsewhere/"} == mine
        assert {key: after[key] for key in after.keys() - mine} == {key: before[key] for key in before.keys() - mine}
        assert library.index_lag() == 0


def test_an_index_that_lost_rows_or_kept_some_is_mended(demo_copy: Path) -> None:
    with fk.open(demo_copy) as library:
        ids, _ = library.embeddings(include_poor=True)
        library._storage.index.delete(ids[:3])
    with fk.open(demo_copy) as library:
        assert set(library._storage.index.rows()) == set(ids)
        row = next(iter(library._storage.catalog.index_rows()))
        library._storage.index.upsert([replace(row, face_id="f" * 32)])
    with fk.open(demo_copy) as library:
        assert set(library._storage.index.rows()) == set(ids)


def test_a_damaged_catalog_is_an_error_that_names_it(demo_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(demo_folder, tmp_path / "faces")
    (folder / "catalog.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(fk.LibraryError, match=r"catalog\.duckdb can't be read"):
        fk.open(folder)
    with pytest.raises(fk.LibraryError, match=r"catalog\.duckdb can't be read"):
        fk.open(folder)  # and not "open in another process": the lock was given back


def test_photos_and_their_categories(demo_library: Library) -> None:
    photos = demo_library.photos()
    assert set(photos["status"]) == {"ok", "no_face"}
    without = demo_library.photos("no_face")
    assert len(without) == (photos["status"] == "no_face").sum() > 0
    assert (without["faces"] == 0).all()
    assert (photos.loc[photos["status"] == "ok", "faces"] > 0).all()
    with pytest.raises(fk.FacekitError, match=r"no status 'noface'.*no_face"):
        demo_library.photos("noface")


def test_embeddings_are_unit_vectors_with_ids(demo_library: Library) -> None:
    ids, vectors = demo_library.embeddings()
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(ids), demo_library.settings.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert set(ids) <= set(demo_library.faces()["face_id"])


FACE_COLUMNS = [
    "face_id",
    "photo",
    "x",
    "y",
    "w",
    "h",
    "detection_score",
    "quality",
    "reason",
    "detector",
    "embedder",
    "source",
]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_export_of_faces_and_photos_can_be_read_back(demo_library: Library, tmp_path: Path, kind: str) -> None:
    read = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[kind]
    faces = read(demo_library.export("faces", tmp_path / f"faces.{kind}"))
    assert list(faces.columns) == FACE_COLUMNS
    assert set(faces["face_id"]) == set(demo_library.faces()["face_id"])
    assert faces[["w", "h"]].gt(0).all(axis=None)
    assert faces[["w", "h"]].le(1.5).all(axis=None)
    photos = read(demo_library.export("photos", tmp_path / f"photos.{kind}"))
    assert set(photos["path"]) == set(demo_library.photos()["path"])
    assert any("Фото" in path or not path.isascii() for path in photos["path"])
    paths = photos["paths"].map(json.loads) if kind == "csv" else photos["paths"]
    assert any(len(several) == 2 for several in paths)


def test_export_of_embeddings(demo_library: Library, tmp_path: Path) -> None:
    path = demo_library.export("embeddings", tmp_path / "deep" / "embeddings.npz")
    with np.load(path) as archive:
        ids, vectors = demo_library.embeddings()
        assert archive["face_id"].tolist() == ids
        np.testing.assert_array_equal(archive["embedding"], vectors)
    with pytest.raises(fk.FacekitError, match=r"\.csv.*\.json.*\.parquet"):
        demo_library.export("faces", tmp_path / "faces.xlsx")


def test_doctor_finds_what_is_wrong(demo_library: Library) -> None:
    assert demo_library.doctor()
    ids, _ = demo_library.embeddings(include_poor=True)
    demo_library._storage.index.delete(ids[:1])
    next(demo_library.folder.glob("thumbnails/*/*.jpg")).unlink()
    wrong = {check.name for check in demo_library.doctor().checks if not check.ok}
    assert wrong == {"vector index", "thumbnails"}


def test_doctor_holds_up_a_change_of_models_for_the_index_only(
    demo_library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facekit.storage import doctor

    users: list[int] = []

    def watched(check: Callable[..., object]) -> Callable[..., object]:
        def look(*arguments: object, **named: object) -> object:
            users.append(demo_library._storage.models._users)
            return check(*arguments, **named)

        return look

    for name in ("examine_machine", "_catalog", "_thumbnails", "_files", "_of_backend"):
        monkeypatch.setattr(doctor, name, watched(getattr(doctor, name)))
    monkeypatch.setattr(Fields, "of", watched(Fields.of))
    assert demo_library.doctor()
    looks = len(demo_library._storage.backend.looks())
    assert users == [0, 0, *[1] * demo_library.stats()["faces"], 0, 0, *[0] * looks]


def test_everything_prints_well(demo_library: Library) -> None:
    assert "photos" in repr(demo_library)
    assert "<table" in demo_library._repr_html_()
    assert "vector index" in repr(demo_library.doctor())
    assert "<table" in demo_library.doctor()._repr_html_()
    stats = demo_library.stats()
    assert stats["detector"] == "yunet"
    assert stats["faces"] == len(demo_library.faces())
