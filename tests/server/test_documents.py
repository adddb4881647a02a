"""What travels: the JSON of a search and of a report on XMP, name by name, as clients in other languages read it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from service import remote

import facekit as fk
from facekit.library.local import LocalLibrary
from facekit.people.local import LocalPeople
from facekit.types.people import XmpReport

if TYPE_CHECKING:
    from facekit.demo.photos import DemoPhotos
    from facekit.types.arrays import Quality


@pytest.fixture
def folder(demo_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_folder, tmp_path / "faces"))


def quality_document(quality: Quality) -> dict[str, object]:
    names = ["detection_score", "size", "sharpness", "yaw", "pitch", "roll", "reason"]
    assert list(asdict(quality)) == names
    return {name: getattr(quality, name) for name in names}


def test_the_document_of_a_search(folder: Path, demo_photos: DemoPhotos, monkeypatch: pytest.MonkeyPatch) -> None:
    with fk.open(folder) as library:
        found = library.search(demo_photos.probe, top_k=2)
        face_id = found[0].face_id
        known = library.search([demo_photos.probe, face_id], top_k=2).probes
    facts = {"taken_at": datetime(2019, 12, 31, 18, 30), "person": "Анна", "person_id": "ab" * 16}
    place = {"source_kind": "vk", "album": "Лето", "link": "https://vk.com/photo1_2"}
    hits = replace(found, hits=(replace(found[0], **facts, copies=3, turn=90, **place), found[1]), probes=known)
    monkeypatch.setattr(LocalLibrary, "search", lambda *_, **__: hits)
    with remote(folder) as library:
        asked = {"face_id": face_id, "top_k": 2}
        picture = ("file", ("probe", demo_photos.probe.read_bytes(), "application/octet-stream"))
        said = library.session.send("POST", "/api/v1/search/upload", data=asked, files=[picture]).json()
        again = library.search([demo_photos.probe, face_id], top_k=2)
    expected = {
        "probe": [
            {
                "path": probe.path,
                "faces": probe.faces,
                "used": probe.used,
                "box": list(probe.box),
                "quality": quality_document(probe.quality),
            }
            for probe in hits.probes
        ],
        "hits": [
            {
                "rank": hit.rank,
                "photo": hit.photo,
                "photo_id": hit.photo_id,
                "face_id": hit.face_id,
                "similarity": hit.similarity,
                "box": list(hit.box),
                "detection_score": hit.quality.detection_score,
                "source": "local",
                "quality": quality_document(hit.quality),
                "taken_at": None if hit.taken_at is None else hit.taken_at.isoformat(),
                "person": hit.person,
                "person_id": hit.person_id,
                "copies": hit.copies,
                "turn": hit.turn,
                "source_kind": hit.source_kind,
                "album": hit.album,
                "link": hit.link,
            }
            for hit in hits
        ],
        "searched": hits.searched,
        "min_similarity": hits.min_similarity,
        "top_k": 2,
        "notes": hits.notes,
    }
    assert len(hits.notes) > 0
    # floats of 32 bits, which JSON writes in full: they are the same to the last digit
    assert said == json.loads(json.dumps(expected, default=float))
    assert again.hits == hits.hits
    assert [type(hit) for hit in again] == [type(hit) for hit in hits]
    assert [(one.path, one.faces, one.used, one.box, one.quality) for one in again.probes] == [
        (one.path, one.faces, one.used, one.box, one.quality) for one in hits.probes
    ]


def test_the_document_of_a_report_on_xmp(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = XmpReport(2, 3, 1, (("/photos/one.jpg", "Anna"),), (("/photos/two.xmp", "It is damaged."),))
    monkeypatch.setattr(LocalPeople, "read_xmp", lambda _self, _folder: report)
    with remote(folder) as library:
        said = library.session.send("POST", "/api/v1/people/xmp/read", json={}).json()
        again = library.people.read_xmp()
    assert said == {
        "photos": 2,
        "faces": 3,
        "people": 1,
        "unmatched": [{"path": "/photos/one.jpg", "words": "Anna"}],
        "failed": [{"path": "/photos/two.xmp", "words": "It is damaged."}],
    }
    assert again == report
