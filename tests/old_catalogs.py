"""Catalogs as older facekits made them: the statements that DuckDB keeps of their tables, and a few rows.

Times are this machine's local ones without a zone, as they were before schema 4; tests set the zone, see `ZONE`.
"""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import sqlalchemy as sa

if TYPE_CHECKING:
    from pathlib import Path

ZONE = "America/New_York"  # summers and winters differ
SUMMER = datetime(2026, 7, 1, 12, 0, 5)
WINTER = datetime(2026, 1, 15, 23, 30)
LATER = datetime(2026, 1, 16, 4, 30)  # what WINTER is in UTC: nothing is converted twice

_FACE = """face_id VARCHAR{key}, photo_id VARCHAR NOT NULL, x DOUBLE NOT NULL, y DOUBLE NOT NULL, w DOUBLE NOT NULL,
    h DOUBLE NOT NULL, landmarks JSON NOT NULL, detection_score DOUBLE NOT NULL, size DOUBLE NOT NULL,
    sharpness DOUBLE NOT NULL, yaw DOUBLE NOT NULL, pitch DOUBLE NOT NULL, roll DOUBLE NOT NULL,
    quality DOUBLE NOT NULL, reason VARCHAR, detector VARCHAR NOT NULL, embedder VARCHAR NOT NULL, embedding BLOB"""

_SCHEMA_1 = f"""
CREATE TABLE faces({_FACE.format(key="")}, PRIMARY KEY(face_id));
CREATE TABLE files(file_id VARCHAR, "source" VARCHAR NOT NULL, path BLOB NOT NULL, display VARCHAR NOT NULL,
    folder VARCHAR NOT NULL, photo_id VARCHAR NOT NULL, bytes BIGINT NOT NULL, mtime_ns BIGINT NOT NULL,
    missing_since TIMESTAMP, PRIMARY KEY(file_id));
CREATE TABLE meta("key" VARCHAR, "value" VARCHAR NOT NULL, PRIMARY KEY("key"));
CREATE TABLE photos(photo_id VARCHAR, status VARCHAR NOT NULL, reason VARCHAR, bytes BIGINT NOT NULL, format VARCHAR,
    width INTEGER, height INTEGER, taken_at TIMESTAMP, camera VARCHAR, latitude DOUBLE, longitude DOUBLE,
    faces INTEGER NOT NULL, run_id VARCHAR NOT NULL, PRIMARY KEY(photo_id));
CREATE TABLE runs(run_id VARCHAR, started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP, roots JSON NOT NULL,
    detector VARCHAR NOT NULL, embedder VARCHAR NOT NULL, device VARCHAR NOT NULL, report JSON, PRIMARY KEY(run_id));
CREATE INDEX ix_faces_photo_id ON faces(photo_id);
CREATE INDEX ix_files_photo_id ON files(photo_id);
INSERT INTO meta VALUES ('schema', '1'), ('index', 'current');
"""

# Schema 1 had them from some day on.
_STAGING = f"""
CREATE TABLE carried(old_face_id VARCHAR NOT NULL, new_face_id VARCHAR NOT NULL);
CREATE TABLE staged_faces({_FACE.format(key=" NOT NULL")});
CREATE TABLE staged_photos(photo_id VARCHAR NOT NULL, status VARCHAR NOT NULL, faces INTEGER NOT NULL);
"""

_SCHEMA_2 = """
CREATE TABLE allowed_twice(photo_id VARCHAR, PRIMARY KEY(photo_id));
CREATE TABLE cluster_runs(run_id VARCHAR, "method" VARCHAR NOT NULL, parameters JSON NOT NULL, models VARCHAR NOT NULL,
    faces INTEGER NOT NULL, people INTEGER NOT NULL, unassigned INTEGER NOT NULL, conflicts JSON NOT NULL,
    "seconds" DOUBLE NOT NULL, created_at TIMESTAMP NOT NULL, state VARCHAR NOT NULL, labels BLOB NOT NULL,
    PRIMARY KEY(run_id));
CREATE TABLE differences(person_id VARCHAR, other_id VARCHAR, PRIMARY KEY(person_id, other_id));
CREATE TABLE face_aliases(old_face_id VARCHAR NOT NULL, new_face_id VARCHAR NOT NULL, since INTEGER NOT NULL);
CREATE TABLE members(face_id VARCHAR, person_id VARCHAR NOT NULL, origin VARCHAR NOT NULL, run_id VARCHAR,
    PRIMARY KEY(face_id));
CREATE TABLE people_journal(number INTEGER, "at" TIMESTAMP NOT NULL, "user" VARCHAR NOT NULL, verb VARCHAR NOT NULL,
    words VARCHAR NOT NULL, faces INTEGER NOT NULL, undoes INTEGER, undone BOOLEAN NOT NULL, changes BLOB NOT NULL,
    PRIMARY KEY(number));
CREATE TABLE persons(person_id VARCHAR, "name" VARCHAR, cover VARCHAR, hidden BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL, PRIMARY KEY(person_id));
CREATE TABLE rejections(face_id VARCHAR, person_id VARCHAR, PRIMARY KEY(face_id, person_id));
UPDATE meta SET value = '2' WHERE key = 'schema';
"""

# Schema 2 had it from some day on, and the last release that wrote schema 2 had all of it.
_LATE = """
ALTER TABLE photos ADD COLUMN turn INTEGER DEFAULT '0';
ALTER TABLE staged_photos ADD COLUMN turn INTEGER DEFAULT '0';
CREATE TABLE hidden_ids(hidden VARCHAR, PRIMARY KEY(hidden));
CREATE TABLE hidden_ids_secret("secret" VARCHAR NOT NULL);
INSERT INTO meta VALUES ('places', '2'), ('looks', 'all');
UPDATE files SET folder = nfc_normalize(folder);
UPDATE photos SET turn = 90 WHERE photo_id = 'd0';
"""

_UTC = """
UPDATE meta SET value = '4' WHERE key = 'schema';
DELETE FROM meta WHERE key = 'places';
"""

_PLACES = """
UPDATE meta SET value = '5' WHERE key = 'schema';
DELETE FROM meta WHERE key = 'index';
CREATE TABLE index_due(change_id VARCHAR NOT NULL, face_id VARCHAR NOT NULL);
ALTER TABLE photos ADD COLUMN "source" VARCHAR;
ALTER TABLE photos ADD COLUMN display VARCHAR;
ALTER TABLE photos ADD COLUMN folder VARCHAR;
ALTER TABLE photos ADD COLUMN missing BOOLEAN;
ALTER TABLE photos ADD COLUMN files INTEGER;
UPDATE photos SET "source" = 'local', display = '/фото/Й/Снимок.jpg', folder = '/фото/Й/', missing = false, files = 2
    WHERE photo_id = 'd0';
UPDATE photos SET "source" = 'local', display = '/photos/caf�.jpg', folder = '/photos/', missing = true, files = 1
    WHERE photo_id = 'd1';
"""

_MOMENTS = {"missing_since", "started_at", "finished_at", "created_at", "at"}


def _id(letter: str) -> str:
    return letter * 32


ANNA, IVAN = _id("a"), _id("b")
CYRILLIC = "/фото/Й/Снимок.jpg"
LATIN_1 = b"/photos/caf\xe9.jpg"
DECOMPOSED = "/photos/и\u0306/one.jpg"  # й as macOS writes it


def _vector(number: int) -> bytes:
    return np.eye(8, dtype=np.float32)[number].tobytes()


def _face(number: int) -> dict[str, Any]:
    box = {"x": 0.1 * number, "y": 0.1, "w": 0.2, "h": 0.3, "landmarks": json.dumps([[0.5, 0.5]] * 5)}
    facts = dict.fromkeys(("detection_score", "size", "sharpness", "yaw", "pitch", "roll", "quality"), 0.9)
    made = {"reason": None, "detector": "yunet", "embedder": "sface", "embedding": _vector(number)}
    return {"face_id": f"{number:032x}", "photo_id": "d0"} | box | facts | made


def _file(number: int, path: bytes, display: str, missing: datetime | None = None) -> dict[str, Any]:
    where = {"source": "local", "path": path, "display": display, "folder": display.rpartition("/")[0] + "/"}
    rest = {"photo_id": f"d{number % 2}", "bytes": 9, "mtime_ns": 10**18 + number, "missing_since": missing}
    return {"file_id": f"{number:032x}"} | where | rest


def _photo(number: int, taken: datetime | None) -> dict[str, Any]:
    facts = {"format": "jpeg", "width": 40, "height": 30, "taken_at": taken, "camera": "Зенит"}
    row = {"photo_id": f"d{number}", "status": "ok", "bytes": 9, "faces": 3 * (1 - number), "run_id": _id("e")}
    return row | facts


def _run(letter: str, finished: datetime | None) -> dict[str, Any]:
    row = {"run_id": _id(letter), "started_at": WINTER, "finished_at": finished, "roots": json.dumps(["/фото"])}
    return row | {"detector": "yunet", "embedder": "sface", "device": "cpu"}


PHOTOS = {
    "photos": [_photo(0, datetime(2020, 5, 1, 12)), _photo(1, None)],
    "files": [
        _file(0, CYRILLIC.encode(), CYRILLIC),
        _file(1, LATIN_1, LATIN_1.decode(errors="replace"), SUMMER),
        _file(2, DECOMPOSED.encode(), DECOMPOSED, WINTER),
    ],
    "faces": [_face(0), _face(1), _face(2)],
    "runs": [_run("e", LATER), _run("f", None)],
}


def _person(key: str, name: str | None) -> dict[str, Any]:
    return {"person_id": key, "name": name, "cover": None, "hidden": False, "created_at": SUMMER}


def _member(number: int, person: str) -> dict[str, Any]:
    return {"face_id": f"{number:032x}", "person_id": person, "origin": "user", "run_id": None}


def _entry(number: int, at: datetime, verb: str, *changes: list[Any]) -> dict[str, Any]:
    blob = zlib.compress(json.dumps(changes, default=datetime.isoformat).encode())
    row = {"number": number, "at": at, "user": "ada", "verb": verb, "words": f"entry {number}", "faces": 1}
    return row | {"undoes": None, "undone": False, "changes": blob}


PEOPLE = {
    "persons": [_person(ANNA, "Анна"), _person(IVAN, None)],
    "members": [_member(0, ANNA), _member(1, ANNA), _member(2, IVAN)],
    "rejections": [{"face_id": f"{2:032x}", "person_id": ANNA}],
    "differences": [{"person_id": ANNA, "other_id": IVAN}],
    "allowed_twice": [{"photo_id": "d0"}],
    "cluster_runs": [
        {"run_id": _id("c"), "method": "average", "parameters": "{}", "models": "yunet+sface", "faces": 3, "people": 2}
        | {"unassigned": 0, "conflicts": "[]", "seconds": 0.5, "created_at": WINTER, "state": "proposed"}
        | {"labels": zlib.compress(b"[{}, {}]")},
    ],
    "people_journal": [
        _entry(1, WINTER, "split", ["persons", [ANNA], None, _person(ANNA, None)]),
        _entry(2, LATER, "name", ["persons", [ANNA], {"name": None}, {"name": "Анна"}]),
        _entry(
            3,
            SUMMER,
            "split",
            ["persons", [IVAN], None, _person(IVAN, None)],
            ["members", [f"{2:032x}"], None, _member(2, IVAN)],
        ),
    ],
    "face_aliases": [{"old_face_id": _id("9"), "new_face_id": f"{1:032x}", "since": 1}],
}


def make_schema_1(path: Path) -> None:
    """As the first facekit left it: photos, and nothing about people or other models."""
    _make(path, _SCHEMA_1, PHOTOS)


def make_first_schema_2(path: Path) -> None:
    """As the first facekit left it that knew people."""
    _make(path, _SCHEMA_1 + _STAGING + _SCHEMA_2, PHOTOS | PEOPLE)


def make_last_schema_2(path: Path) -> None:
    """As the last facekit left it that wrote schema 2."""
    _make(path, _SCHEMA_1 + _STAGING + _SCHEMA_2, PHOTOS | PEOPLE, _LATE)


def make_schema_4(path: Path) -> None:
    """As the last facekit left it that wrote schema 4: moments are UTC."""
    rows = {table: [_in_utc(row) for row in some] for table, some in (PHOTOS | PEOPLE).items()}
    _make(path, _SCHEMA_1 + _STAGING + _SCHEMA_2, rows, _LATE + _UTC)


def make_schema_5(path: Path) -> None:
    """As the last facekit left it that knew no connected places."""
    rows = {table: [_in_utc(row) for row in some] for table, some in (PHOTOS | PEOPLE).items()}
    _make(path, _SCHEMA_1 + _STAGING + _SCHEMA_2, rows, _LATE + _UTC + _PLACES)


def _in_utc(row: dict[str, Any]) -> dict[str, Any]:
    moments = {name: utc(row[name]) for name in _MOMENTS & row.keys()}
    made = row | {name: at and at.astimezone(UTC).replace(tzinfo=None) for name, at in moments.items()}
    if "changes" in row:
        changes = json.loads(zlib.decompress(row["changes"]))
        for one in [one for _, _, *both in changes for one in both if one and "created_at" in one]:
            at = utc(datetime.fromisoformat(one["created_at"]))
            one["created_at"] = at and at.astimezone(UTC).isoformat()
        made["changes"] = zlib.compress(json.dumps(changes).encode())
    return made


def _make(path: Path, tables: str, rows: dict[str, list[dict[str, Any]]], then: str = "") -> None:
    with duckdb.connect(path) as connection:
        connection.execute(tables)
        for table, some in rows.items():
            for row in some:
                names = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))
        connection.execute(then)
    with duckdb.connect(path) as connection:
        connection.execute("CHECKPOINT")


def utc(local: datetime | None) -> datetime | None:
    """A local time of these catalogs, as a moment."""
    return None if local is None else local.replace(tzinfo=ZoneInfo(ZONE))


def take_back_to_schema_4(connection: sa.Connection) -> None:
    """Make of a catalog on a server what it would have been, with an index that is behind."""
    connection.execute(sa.text("DROP TABLE sources, source_items"))
    for name in ("version", "album", "link"):
        connection.execute(sa.text(f"ALTER TABLE files DROP COLUMN {name}"))
    for name in ("source", "display", "folder", "missing", "files"):
        connection.execute(sa.text(f"ALTER TABLE photos DROP COLUMN {name}"))
    connection.execute(sa.text("DROP INDEX ix_members_person_id, ix_files_folder"))
    connection.execute(sa.text("DROP TABLE index_due"))
    connection.execute(sa.text("UPDATE meta SET value = '4' WHERE key = 'schema'"))
    connection.execute(sa.text("INSERT INTO meta VALUES ('index', 'behind')"))
