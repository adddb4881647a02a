"""A library's backup, and back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import facekit as fk
from facekit.backup import backup, restore
from facekit.errors import LibraryError, LibraryLockedError


def test_a_backup_is_brought_up_to_date_and_restored(demo_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(demo_folder, tmp_path / "faces"))
    kept = tmp_path / "backup"
    count = backup(folder, kept)
    assert count > 1
    assert backup(folder, kept) == 0
    assert kept.stat().st_mode & 0o777 == 0o700
    with fk.open(folder) as library:
        with pytest.raises(LibraryLockedError):
            backup(folder, kept)
        frame = library.photos("ok")
        library.remove(frame["path"].iloc[0])
        ids, vectors = library.embeddings(include_poor=True)
    assert backup(folder, kept) == 0
    removed = frame["photo_id"].iloc[0].encode()
    assert not any(removed in path.read_bytes() for path in kept.rglob("*") if path.is_file())
    with pytest.raises(LibraryError, match="not empty"):
        restore(kept, folder)
    restore(kept, tmp_path / "again")
    with fk.open(tmp_path / "again") as library:
        found, others = library.embeddings(include_poor=True)
        assert found == ids
        assert (others == vectors).all()
        assert library.index_lag() == 0
        assert all(library.thumbnail(key) for key in library.photos("ok")["photo_id"])


def test_a_folder_with_other_things_is_no_backup(demo_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("kept")
    with pytest.raises(LibraryError, match="no backup"):
        backup(demo_folder, tmp_path)
    with pytest.raises(LibraryError, match="no backup"):
        restore(tmp_path, tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
