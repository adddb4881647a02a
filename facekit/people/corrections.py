"""What a user says about people, as changes of the catalog's rows. Each returns the id of the person that it is about.

Each is done inside a transaction whose entry in the journal gets its words here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from facekit.catalog.names import clean_name
from facekit.catalog.pages import known_id
from facekit.catalog.people_tables import allowed_twice, differences, members, persons, rejections
from facekit.catalog.times import now
from facekit.errors import NameTakenError, RefusedError
from facekit.people.who import listed_faces, no_face_named, no_such_face, person_meant
from facekit.types.people import faces_in_words

if TYPE_CHECKING:
    from facekit.catalog import Catalog
    from facekit.catalog.journal import UnitOfWork
    from facekit.catalog.people import PeopleTables
    from facekit.catalog.rows import Values
    from facekit.people.who import Faces, Who
    from facekit.types.people import Person


def merge(tables: PeopleTables, work: UnitOfWork, who: Who, *others: Who) -> str:
    """Several people are one, who has the first one's id, and the first name that any of them has."""
    person = find(tables, who)
    rest = {one.person_id: one for one in (find(tables, other) for other in others)}
    rest.pop(person.person_id, None)
    if not rest:
        message = f"There is nobody to merge {person.label} with."
        raise RefusedError(message, "Name at least two different people.")
    owned = tables.owners([person.person_id, *rest])
    work.put(members, [_membership(face, person.person_id) for face in owned])
    rejected = [(face, of) for face, of in tables.rejections() if of in rest]
    work.remove(rejections, rejected)
    faces = sorted({face for face, _ in rejected})  # also those that they have: a conflict, which is listed
    work.put(rejections, [{"face_id": face, "person_id": person.person_id} for face in faces])
    apart = [pair for pair in tables.differences() if set(pair) & set(rest)]
    work.remove(differences, apart)
    ids = {*rest, person.person_id}
    for pair in apart:
        if other := next((one for one in pair if one not in ids), None):
            work.put(differences, [_pair(person.person_id, other)])
    work.remove(persons, [(key,) for key in rest])
    names = [one.name for one in (person, *rest.values()) if one.name]
    work.put(persons, [{"person_id": person.person_id, "name": names[0] if names else None}])
    work.words = f"{person.label} and {', '.join(one.label for one in rest.values())} are one person"
    return person.person_id


def split(tables: PeopleTables, work: UnitOfWork, who: Who, faces: Faces, name: str | None) -> str:
    """Some of a person's faces are somebody else's, somebody new."""
    wanted = clean_name(name)
    person = find(tables, who)
    chosen = known_faces(tables, faces)
    owned = tables.owners([person.person_id])
    if not set(chosen) <= owned.keys():
        message = f"Not all of these faces are with {person.label}."
        raise RefusedError(message, "lib.people.faces lists a person's faces; move brings others to a person.")
    if set(chosen) >= set(tables.photo_of(owned)):
        message = f"These are all faces of {person.label}."
        raise RefusedError(message, "Leave at least one, or give the person another name.")
    key = _new_person(tables, work, wanted)
    _move(work, chosen, key)
    work.put(differences, [_pair(person.person_id, key)])
    called = f", {wanted}" if wanted else ""
    work.words = f"{faces_in_words(len(chosen))} of {person.label}: somebody else{called}"
    return key


def move(tables: PeopleTables, work: UnitOfWork, faces: Faces, who: Who) -> str:
    """Some faces are a person's."""
    person = find(tables, who)
    chosen = known_faces(tables, faces)
    _move(work, chosen, person.person_id)
    work.words = f"{faces_in_words(len(chosen))}: this is {person.label}"
    return person.person_id


def new(tables: PeopleTables, work: UnitOfWork, faces: Faces, name: str | None) -> str:
    """Some faces are those of somebody new."""
    wanted = clean_name(name)
    chosen = known_faces(tables, faces)
    key = _new_person(tables, work, wanted)
    _move(work, chosen, key)
    work.words = f"{faces_in_words(len(chosen))}: somebody new" + (f", {wanted}" if wanted else "")
    return key


def reject(tables: PeopleTables, work: UnitOfWork, faces: Faces, who: Who | None) -> None:
    """Some faces are not a person's, by default not that of those who have them."""
    chosen = known_faces(tables, faces)
    owners = tables.owners()
    person = None if who is None else find(tables, who)
    rejected = {face: person.person_id if person else owners.get(face, "") for face in chosen}
    if not all(rejected.values()):
        message = "Some of these faces are nobody's."
        raise RefusedError(message, "Say whom they do not show.")
    work.remove(members, [(face,) for face, owner in rejected.items() if owners.get(face) == owner])
    work.put(rejections, [{"face_id": face, "person_id": owner} for face, owner in rejected.items()])
    labels = sorted({one.label for one in tables.some(rejected.values()).values()})
    work.words = f"{faces_in_words(len(chosen))}: not {', '.join(labels)}"


def tell_apart(tables: PeopleTables, work: UnitOfWork, who: Who, other: Who) -> None:
    """Two people are not one."""
    one, two = find(tables, who), find(tables, other)
    if one.person_id == two.person_id:
        message = f"{one.label} can't be different from {one.label}."
        raise RefusedError(message, "Name two people.")
    work.put(differences, [_pair(one.person_id, two.person_id)])
    work.words = f"{one.label} and {two.label} are different people"


def change(tables: PeopleTables, work: UnitOfWork, who: Who, wanted: dict[str, Any]) -> str:
    """Change the ``name``, ``hidden`` and ``cover`` of a person that are wanted."""
    person = find(tables, who)
    words = []
    row = {"person_id": person.person_id, **wanted}
    if "name" in wanted:
        name = row["name"] = clean_name(wanted["name"])
        _refuse_taken(tables, name, person.person_id)
        words.append(f"is called {name}" if name else "has no name any more")
    if "cover" in wanted:
        face_id = wanted["cover"]
        if face_id is not None and face_id not in tables.owners([person.person_id]):
            message = f"This face is not with {person.label}."
            raise RefusedError(message, "lib.people.faces lists a person's faces.")
        words.append(f"has {'another' if face_id else 'no chosen'} cover face")
    if "hidden" in wanted:
        words.append("is hidden" if wanted["hidden"] else "is shown again")
    work.put(persons, [row])
    work.words = f"{person.label} {', '.join(words)}"
    return person.person_id


def allow_twice(catalog: Catalog, work: UnitOfWork, photo_id: str, *, allowed: bool) -> None:
    """A photo may show a face twice, or not any more."""
    name = Path(catalog.pages.photo(photo_id).path).name  # whoever may read the journal may see it
    if allowed:
        work.put(allowed_twice, [{"photo_id": photo_id}])
    else:
        work.remove(allowed_twice, [(photo_id,)])
    work.words = f"{name} may {'' if allowed else 'not '}show a face twice"


def find(tables: PeopleTables, who: Who) -> Person:
    """The person who is meant. Raises UnknownIdError."""
    return tables.find(person_meant(who))


def known_faces(tables: PeopleTables, faces: Faces) -> list[str]:
    """Ids of faces, each once. Raises UnknownIdError where the library has no such face."""
    chosen = listed_faces(faces)
    known = tables.photo_of(map(known_id, chosen))
    unknown = [face for face in chosen if face not in known]
    if unknown:
        raise no_such_face(unknown[0])
    if not chosen:
        raise no_face_named()
    return chosen


def _move(work: UnitOfWork, faces: list[str], person_id: str) -> None:
    work.put(members, [_membership(face, person_id) for face in faces])
    work.remove(rejections, [(face, person_id) for face in faces])  # the newer word counts


def _new_person(tables: PeopleTables, work: UnitOfWork, name: str | None) -> str:
    _refuse_taken(tables, name, "")
    key = uuid4().hex
    work.put(persons, [{"person_id": key, "name": name, "cover": None, "hidden": False, "created_at": now()}])
    return key


def _refuse_taken(tables: PeopleTables, name: str | None, person_id: str) -> None:
    other = tables.named(name) if name else None
    if other and other != person_id:
        message = f"There is another person called {name}."
        raise NameTakenError(message, "Merge the two, or write one name differently.", other)


def _pair(one: str, other: str) -> Values:
    first, second = sorted((one, other))
    return {"person_id": first, "other_id": second}


def _membership(face_id: str, person_id: str) -> Values:
    return {"face_id": face_id, "person_id": person_id, "origin": "user", "run_id": None}
