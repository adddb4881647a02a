"""Pseudonyms: ids of removed photos and their faces become keyed hashes in what was said about people.

Memberships and rejections wait for photos that are removed, and an id would say which photo it was. HMAC (RFC 2104)
with SHA-256 and the library's own secret can't be turned around; when a photo comes in, its ids are hashed to see if
one waits. Hashes take the ids' place everywhere, also in the journal and in the runs, so that all else works as with
ids.
"""

from __future__ import annotations

import hmac
import re
import secrets
import zlib
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from facekit.catalog.locks import Kind, hold
from facekit.catalog.people_tables import (
    allowed_twice,
    cluster_runs,
    face_aliases,
    hidden_ids,
    hidden_ids_secret,
    journal,
    members,
    persons,
    rejections,
)
from facekit.catalog.rows import among, column, delete, insert
from facekit.catalog.tables import carried, faces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECRET_BYTES = 32  # RFC 2104 section 3: as long as the hash
_ID_DIGITS = 32
_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_KEYS = (members.c.face_id, rejections.c.face_id, allowed_twice.c.photo_id)
_PLAIN = (
    persons.c.cover,
    face_aliases.c.old_face_id,
    face_aliases.c.new_face_id,
    carried.c.old_face_id,
    carried.c.new_face_id,
)
_BLOBS = (journal.c.changes, cluster_runs.c.labels)


def hide(connection: sa.Connection, ids: Iterable[str]) -> None:
    """Put hashes in the place of the ids of faces and photos that leave the library."""
    wanted = set(ids)
    if not wanted:
        return
    hold(connection, Kind.PEOPLE)
    leaving = _with_former(connection, wanted)
    secret = _secret(connection)
    hashes = {key: _hashed(secret, key) for key in leaving}
    found = _replace(connection, hashes)
    there = set(column(connection, sa.select(hidden_ids.c.hidden), hidden_ids.c.hidden, list(hashes.values())))
    new = sorted({hashes[key] for key in found} - there)
    insert(connection, hidden_ids, [{"hidden": one} for one in new])


def reveal(connection: sa.Connection, ids: Iterable[str]) -> None:
    """Put the ids of faces and photos that come into the library in the place of their hashes, where any wait."""
    if connection.scalar(sa.select(hidden_ids.c.hidden).limit(1)) is None:
        return
    secret = _secret(connection)
    hashes = {_hashed(secret, key): key for key in ids}
    waiting = sa.select(hidden_ids.c.hidden)
    if not column(connection, waiting, hidden_ids.c.hidden, list(hashes)):  # who hides some of these holds their photos
        return
    hold(connection, Kind.PEOPLE)
    if known := column(connection, waiting, hidden_ids.c.hidden, list(hashes)):
        _replace(connection, {one: hashes[one] for one in known})
        delete(connection, hidden_ids.c.hidden, known)


def _with_former(connection: sa.Connection, ids: set[str]) -> set[str]:
    """Ids with those that the same faces had before, unless a face in the library has one of these."""
    last = ids
    while last:
        before = column(connection, sa.select(face_aliases.c.old_face_id), face_aliases.c.new_face_id, sorted(last))
        living = set(column(connection, sa.select(faces.c.face_id), faces.c.face_id, before))
        last = set(before) - living - ids
        ids = ids | last
    return ids


def _secret(connection: sa.Connection) -> bytes:
    kept = connection.scalar(sa.select(hidden_ids_secret.c.secret))
    if kept is None:
        kept = secrets.token_hex(_SECRET_BYTES)
        connection.execute(sa.insert(hidden_ids_secret), {"secret": kept})
    return bytes.fromhex(kept)


def _hashed(secret: bytes, key: str) -> str:
    return hmac.new(secret, key.encode(), "sha256").hexdigest()[:_ID_DIGITS]


def _replace(connection: sa.Connection, ids: Mapping[str, str]) -> set[str]:
    """Call everything by another id; returns the ids that were there."""
    found: set[str] = set()
    for key in _KEYS:
        table = key.table
        rows = [dict(row) for row in connection.execute(sa.select(table).where(among(key, ids))).mappings()]
        if not rows:
            continue
        old = {row[key.name] for row in rows}
        found |= old
        delete(connection, key, sorted(old))
        columns = list(table.primary_key.columns)
        there = {
            tuple(row) for row in connection.execute(sa.select(*columns).where(among(key, [ids[one] for one in old])))
        }
        moved = [row | {key.name: ids[row[key.name]]} for row in rows]
        # What was said since of a face that is here counts.
        insert(connection, table, [row for row in moved if tuple(row[one.name] for one in columns) not in there])
    for plain in _PLAIN:
        old = set(column(connection, sa.select(plain), plain, list(ids)))
        found |= old
        for one in sorted(old):
            connection.execute(sa.update(plain.table).where(plain == one).values({plain.name: ids[one]}))
    for blob in _BLOBS:
        found |= _replace_in_blobs(connection, blob, ids)
    return found


def _replace_in_blobs(connection: sa.Connection, blob: sa.Column[Any], ids: Mapping[str, str]) -> set[str]:
    found: set[str] = set()
    (key,) = blob.table.primary_key.columns
    for number in connection.scalars(sa.select(key)).all():  # one after another: a run's labels name every face
        text = zlib.decompress(connection.execute(sa.select(blob).where(key == number)).scalar_one())
        mine = {one for one in map(bytes.decode, _ID.findall(text)) if one in ids}
        if mine:
            found |= mine
            text = _ID.sub(lambda one: ids.get(one[0].decode(), one[0].decode()).encode(), text)
            connection.execute(sa.update(blob.table).where(key == number).values({blob.name: zlib.compress(text)}))
    return found
