"""The catalog as tidy tables, and tables as files."""

from __future__ import annotations

import json
from functools import partial
from typing import IO, TYPE_CHECKING

import numpy as np

from facekit.arguments import checked_status, checked_table, checked_year
from facekit.catalog.records import EVERYWHERE
from facekit.catalog.rows import FaceRow, PhotoRow
from facekit.errors import RefusedError
from facekit.system.files import named_file, user_path
from facekit.text.spreadsheets import csv_bytes
from facekit.types.photos import Status, TableName

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection
    from pathlib import Path

    import pandas as pd

    from facekit.catalog import Catalog
    from facekit.catalog.records import Within

_PHOTO_COLUMNS = ["photo_id", "path", "status", "reason", "faces", "width", "height", "bytes", "format", "taken_at"]
_PHOTO_COLUMNS += ["camera", "latitude", "longitude", "source", "paths", "album", "link"]
_FACE_COLUMNS = ["face_id", "photo", "x", "y", "w", "h", "detection_score", "quality", "reason"]
_FACE_COLUMNS += ["detector", "embedder", "source"]
_PEOPLE_COLUMNS = ["face_id", "photo", "person_id", "person", "run", "similarity_to_centre"]
_MORE_FACE_COLUMNS = ["size", "sharpness", "yaw", "pitch", "roll", "landmarks", "photo_id"]


def photos_frame(
    catalog: Catalog,
    status: Status | str | None = None,
    *,
    photo_ids: Collection[str] | None = None,
    year: int | None = None,
    within: Within = EVERYWHERE,
) -> pd.DataFrame:
    """One row a photo. ``path`` is the first of ``paths``; a photo whose files have all vanished is ``missing``.

    Raises
    ------
    FacekitError
        If there is no such status or year.
    """
    import pandas as pd

    status, year = checked_status(status), checked_year(year)
    places = catalog.places(photo_ids)
    rows = []
    for row in catalog.rows(PhotoRow, photo_ids):
        if year is not None and (row.taken_at is None or row.taken_at.year != year):
            continue
        files = places.get(row.photo_id, [])
        files = [file for file in files if within.has(file.source, file.folder)]
        if files:
            first = files[0]
            gone = first.missing_since is not None
            shown = {"path": first.display, "source": first.source, "paths": [file.display for file in files]}
            said = {"album": first.album or None, "link": first.link or None}
            rows.append(row._asdict() | shown | said | {"status": Status.MISSING.value if gone else row.status})
    frame = pd.DataFrame(rows, columns=_PHOTO_COLUMNS)
    if status is not None:
        frame = frame[frame["status"] == str(status)]
    frame = frame.astype({"faces": "int64", "bytes": "int64", "width": "Int64", "height": "Int64"})
    return frame.sort_values("path", ignore_index=True)


def faces_frame(catalog: Catalog) -> pd.DataFrame:
    """One row a face: box in 0..1 of the upright photo, quality facts, models."""
    import pandas as pd

    places = catalog.places()
    rows = []
    for row in catalog.rows(FaceRow):
        files = places.get(row.photo_id, [])
        if files:
            rows.append(row._asdict() | {"photo": files[0].display, "source": files[0].source})
    frame = pd.DataFrame(rows, columns=_FACE_COLUMNS + _MORE_FACE_COLUMNS)
    return frame.sort_values(["photo", "x", "y"], ignore_index=True)


def people_frame(catalog: Catalog) -> pd.DataFrame:
    """One row a face that is somebody's, ordered by person and, within, from the most typical face on."""
    import pandas as pd

    from facekit.clustering.assignment import similarities_to_centre

    rows = catalog.people.members()
    who = catalog.people.all()
    places = catalog.places(row.photo_id for row in rows)
    vectors = catalog.people.vectors([row.face_id for row in rows])
    by_person: dict[str, list[str]] = {}
    for row in rows:
        if row.face_id in vectors:
            by_person.setdefault(row.person_id, []).append(row.face_id)
    near = {
        key: float(value)
        for keys in by_person.values()
        for key, value in zip(keys, similarities_to_centre(np.stack([vectors[key] for key in keys])), strict=True)
    }
    cells = [
        (
            *(row.face_id, places[row.photo_id][0].display, row.person_id, who[row.person_id].name),
            *(row.run_id, near.get(row.face_id), row.origin, who[row.person_id].hidden),
        )
        for row in rows
        if row.photo_id in places
    ]
    frame = pd.DataFrame(cells, columns=[*_PEOPLE_COLUMNS, "origin", "hidden"])
    frame = frame.astype({"similarity_to_centre": "float64"})
    order = ["person", "person_id", "similarity_to_centre", "face_id"]
    return frame.sort_values(order, ascending=[True, True, False, True], ignore_index=True)


def constraints_frame(catalog: Catalog) -> pd.DataFrame:
    """What the user said of faces and people; see `facekit.people.base.People.constraints`."""
    import pandas as pd

    known = catalog.people
    rows: list[dict[str, str | None]] = [
        {"kind": "is", "face_id": row.face_id, "person_id": row.person_id, "photo_id": row.photo_id}
        for row in known.members()
        if row.origin == "user"
    ]
    said = known.rejections()
    photo = known.photo_of(face for face, _ in said)
    rows += [{"kind": "is_not", "face_id": a, "person_id": b, "photo_id": photo.get(a)} for a, b in said]
    rows += [{"kind": "different", "person_id": a, "other_person_id": b} for a, b in known.differences()]
    rows += [{"kind": "allowed_twice", "photo_id": key} for key in sorted(known.allowed_twice())]
    return pd.DataFrame(rows, columns=["kind", "face_id", "person_id", "other_person_id", "photo_id"])


def export(
    catalog: Catalog,
    table: TableName,
    path: str | os.PathLike[str],
    *,
    include_poor: bool,
    all_columns: bool = False,
    within: Within = EVERYWHERE,
) -> Path:
    """Write faces, photos or people as CSV, JSON or Parquet, or embeddings as NPZ, by the file's extension.

    Raises
    ------
    FacekitError
        If there is no such table, the extension is none of these, or the file can't be written.
    """
    path = user_path(path)
    checked_table(table)
    if within and table != "photos":
        message = f"{table} can't be chosen by source or album."
        raise RefusedError(message, "Only photos can; leave it out.")
    kind = path.suffix.lower()
    allowed = {".npz"} if table == "embeddings" else {".csv", ".json", ".parquet"}
    if kind not in allowed:
        message = (
            f"{table} can be written as {', '.join(sorted(allowed))}, not as {kind or 'a file without extension'}."
        )
        raise RefusedError(message, "Name the file accordingly.")
    with named_file(path) as file:  # first, so that a place that can't be written is known at once
        if table == "embeddings":
            face_ids, vectors = catalog.embeddings(include_poor=include_poor)
            np.savez_compressed(file, face_id=np.array(face_ids, dtype=str), embedding=vectors)
        else:
            write_frame(_table(catalog, table, within, all_columns=all_columns), file, kind)
    return path


def _table(catalog: Catalog, table: TableName, within: Within, *, all_columns: bool) -> pd.DataFrame:
    makers: dict[str, Callable[[Catalog], pd.DataFrame]] = {
        "photos": partial(photos_frame, within=within),
        "faces": faces_frame,
        "people": people_frame,
        "constraints": constraints_frame,
    }
    frame = makers[table](catalog)
    shown = {"faces": _FACE_COLUMNS, "people": _PEOPLE_COLUMNS}
    if table in shown and not all_columns:
        return frame[shown[table]]
    return frame


def write_frame(frame: pd.DataFrame, file: IO[bytes], kind: str) -> None:
    """Write a table as ".csv" (see `facekit.text.spreadsheets`), ".json" or ".parquet"."""
    if kind == ".parquet":
        frame.to_parquet(file, index=False)
    elif kind == ".json":
        text = frame.to_json(None, orient="records", force_ascii=False, date_format="iso", indent=1)
        file.write(text.encode())
    else:
        if "paths" in frame:
            frame = frame.assign(paths=[json.dumps(paths, ensure_ascii=False) for paths in frame["paths"]])
        file.write(csv_bytes(frame))
