"""Names that a library loses, because the files that showed somebody's faces show something else now, or are gone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from loguru import logger

from facekit.ingest.report import LostName, _lost_words
from facekit.storage.logs import short_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from facekit.catalog import Catalog


def named_faces(catalog: Catalog, photo_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The faces in some photos that have a name, by id: the photo, the name."""
    said = catalog.people.faces_with_decisions(photo_ids)
    whose = catalog.people.whose(said)
    return {face: (said[face], name) for face, (_, name) in whose.items() if name}


def lost_names(named: Mapping[str, tuple[str, str]], paths: Mapping[str, str]) -> list[LostName]:
    """Who has fewer faces when these leave the library, and where their photos lay; the log says so, too."""
    lost: list[LostName] = []
    for (photo_id, name), faces in sorted(Counter(named.values()).items()):
        lost.append(LostName(name, faces, paths[photo_id]))
        said = logger.bind(console=f"names lost: {_lost_words(lost[-1])}")
        said.warning("photo {}: the names of {} faces are lost", short_id(photo_id), faces)
    return lost
