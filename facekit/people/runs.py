"""Clustering runs over a library, and new faces given to people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from facekit.arguments import starts_id
from facekit.catalog.people_tables import cluster_runs, members, persons
from facekit.catalog.times import now
from facekit.errors import RefusedError, UnknownIdError
from facekit.people.acceptance import Standing, plan
from facekit.people.comparison import matched_groups, moved_faces, split_and_joined
from facekit.people.who import no_such_run
from facekit.types.people import SHORT_ID, AssignReport, ClusterRun, Comparison, Move, Proposal, faces_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from threading import Event

    from facekit.catalog import Catalog
    from facekit.catalog.changes import Version
    from facekit.catalog.journal import UnitOfWork
    from facekit.catalog.people import PeopleTables
    from facekit.clustering.assignment import Assignment
    from facekit.clustering.constraints import Constraints
    from facekit.storage.face_arrays import FaceArrays
    from facekit.storage.settings import Settings
    from facekit.storage.storage import Storage
    from facekit.types.arrays import IntArray

NOW = "now"
"""What a comparison calls the people as they are."""

ASK_BELOW = 0.1
"""How far below the similarity from which faces are assigned, or people taken for one, it is still asked about. Chosen,
not measured: lower, most answers would be no."""

_MOST_MOVES = 1000


def propose(
    storage: Storage,
    *,
    method: str | None,
    eps: float | None,
    min_faces: int,
    people: int | None,
    conflicts: tuple[str, ...],
    stop: Event | None,
) -> ClusterRun:
    """Cluster all usable faces, honouring what the user said, and keep the result as a proposal."""
    from facekit.clustering.methods import DEFAULT_METHOD, cluster
    from facekit.clustering.neighbours import stop_if

    start = perf_counter()
    tables = storage.catalog.people
    arrays = storage.faces.arrays()
    usable = np.flatnonzero(arrays.usable)
    settled = tables.settled_ids()
    labels = cluster(
        arrays.vectors[usable],
        method=method,  # type: ignore[arg-type]  # an unknown one is refused there
        embedder=storage.settings.embedder,
        eps=eps,
        min_faces=min_faces,
        people=people,
        constraints=_constraints(tables, arrays, usable, settled),
        stop=stop,
    )
    kept = {arrays.face_ids[face]: int(label) for face, label in zip(usable, labels, strict=True)}
    free = [arrays.owners[face] for face, label in zip(usable, labels, strict=True) if label < 0]
    alone = [owner for owner in free if owner in settled]  # somebody with a single face is no cluster, and a person
    parameters = {"eps": eps, "min_faces": min_faces, "people": people}
    run = ClusterRun(
        run_id=uuid4().hex,
        method=method or DEFAULT_METHOD,
        parameters={name: value for name, value in parameters.items() if value is not None},
        models=storage.settings.words,
        faces=len(usable),
        people=int(labels.max(initial=-1)) + 1 + len(set(alone)),
        unassigned=len(free) - len(alone),
        conflicts=conflicts,
        seconds=perf_counter() - start,
        created_at=now(),
        state="proposed",
    )
    before = {arrays.face_ids[face]: owner for face in usable if (owner := arrays.owners[face]) in settled and owner}
    stop_if(stop)
    tables.add_run(run, Proposal(kept, before))
    return run


def _constraints(tables: PeopleTables, arrays: FaceArrays, usable: IntArray, settled: set[str]) -> Constraints:
    from facekit.clustering.constraints import Constraints  # its module is heavy

    person = np.array([arrays.person[face] if arrays.owners[face] in settled else -1 for face in usable], np.int64)
    twice = tables.allowed_twice()
    photo = np.array([-1 if arrays.photo_ids[face] in twice else arrays.photo[face] for face in usable], np.int64)
    place = {arrays.face_ids[face]: at for at, face in enumerate(usable)}
    first = {int(number): at for at, number in reversed(list(enumerate(person))) if number >= 0}
    cannot = [
        (place[face], first[arrays.numbers[who]])
        for face, who in tables.rejections()
        if face in place and who in arrays.numbers and arrays.numbers[who] in first
    ]
    return Constraints(person, photo, cannot=np.array(cannot, np.int64).reshape(-1, 2))


@dataclass(frozen=True)
class Outcome:
    """What a verb is to write, computed while nobody was kept from anything.

    Parameters
    ----------
    said : Version or None
        The version of what is known about people that it was computed from.
    faces : Version or None
        The same of the faces.
    write : callable
        Writes it. Faces that are not in the library any more are passed over.
    """

    said: Version | None
    faces: Version | None
    write: Callable[[UnitOfWork], AssignReport]


def accept(storage: Storage, run_id: str) -> Outcome:
    """Make people of a run's clusters; faces that are left go to people whom they clearly resemble."""
    tables = storage.catalog.people
    with tables.reading():
        said, faces = tables.version_of_people(), tables.version_of_faces()
        found = find_run(storage.catalog, run_id)
        if found.state == "accepted":
            message = f"The run {run_id[:SHORT_ID]} was accepted already."
            raise RefusedError(message, "Undo it first, or cluster again.")
        owners, twice, rejections = tables.owners(), tables.allowed_twice(), tables.rejections()
        people, settled = tables.person_ids(), tables.settled_ids()
        standing = Standing(owners, people, settled, set(rejections), tables.photo_of(), twice)
        proposal, arrays = tables.proposal(run_id), storage.faces.arrays()
    done = plan(proposal, standing)
    gone = set(done.gone)
    left = {key for key, owner in owners.items() if owner in gone} | done.owners.keys()
    after = {key: owner for key, owner in owners.items() if key not in left}
    after |= {key: owner for key, owner in done.owners.items() if owner}
    arrays = replace(arrays, owners=[after.get(key) for key in arrays.face_ids])
    give = _assign(storage, arrays, rejections, twice)

    def write(work: UnitOfWork) -> AssignReport:
        given = {key: owner for key, owner in done.owners.items() if owner}
        there = tables.photo_of(given)
        rows = [
            {"face_id": key, "person_id": owner, "origin": "run", "run_id": run_id}
            for key, owner in given.items()
            if key in there
        ]
        named = {row["person_id"] for row in rows}
        new = {"name": None, "cover": None, "hidden": False, "created_at": now()}
        work.put(persons, [{"person_id": key} | new for key in done.new if key in named])
        work.remove(members, [(key,) for key in left if not done.owners.get(key)])
        work.put(members, rows)
        work.remove(persons, [(key,) for key in done.gone])
        work.put(cluster_runs, [{"run_id": run_id, "state": "accepted"}])
        report = give(work)
        work.words = f"the run {run_id[:SHORT_ID]} ({found.method}) was accepted: {found.people} people"
        return report

    return Outcome(said, faces, write)


def assign(storage: Storage) -> Outcome:
    """Give faces that are nobody's to the people whom they clearly resemble."""
    tables = storage.catalog.people
    with tables.reading():
        said, faces = tables.version_of_people(), tables.version_of_faces()
        arrays = storage.faces.arrays()
        rejections, twice = tables.rejections(), tables.allowed_twice()
    return Outcome(said, faces, _assign(storage, arrays, rejections, twice))


def _assign(
    storage: Storage, arrays: FaceArrays, rejections: Sequence[tuple[str, str]], twice: set[str]
) -> Callable[[UnitOfWork], AssignReport]:
    faces = np.flatnonzero(arrays.person < 0)
    if not len(faces) or not arrays.people:
        return lambda _work: AssignReport(0, len(faces), 0)
    found = nearest(storage, arrays, faces, rejections, twice)
    given = {
        arrays.face_ids[face]: arrays.people[who] for face, who in zip(faces, found.person, strict=True) if who >= 0
    }
    waiting = found.person < 0
    suggested = int((found.similarities[waiting, 0] >= ask_from(storage.settings)).sum())

    def write(work: UnitOfWork) -> AssignReport:
        there = storage.catalog.people.photo_of(given)
        rows = [
            {"face_id": key, "person_id": owner, "origin": "assigned", "run_id": None}
            for key, owner in given.items()
            if key in there
        ]
        work.put(members, rows)
        work.words = f"{faces_in_words(len(rows))} given to people"
        return AssignReport(len(rows), int(waiting.sum()), suggested)

    return write


def nearest(
    storage: Storage, arrays: FaceArrays, faces: IntArray, rejections: Sequence[tuple[str, str]], twice: set[str]
) -> Assignment:
    """Whom some of the faces resemble, and to whom they would go."""
    from facekit.clustering.assignment import assign as assign_faces

    photo = np.array([-1 if arrays.photo_ids[face] in twice else arrays.photo[face] for face in faces], np.int64)
    forbidden = arrays.forbidden(faces, rejections, twice)
    return assign_faces(
        arrays.vectors[faces], arrays.centres, embedder=storage.settings.embedder, forbidden=forbidden, photo=photo
    )


def ask_from(settings: Settings) -> float:
    """From which similarity on it is worth asking who somebody is."""
    from facekit.models.registry import model_info

    return model_info(settings.embedder).assign_similarity - ASK_BELOW


# -- runs --------------------------------------------------------------------------------------------------------


def find_run(catalog: Catalog, which: ClusterRun | str) -> ClusterRun:
    """A run by id, or by the beginning of one. Raises UnknownIdError."""
    key = which.run_id if isinstance(which, ClusterRun) else which
    found = [run for run in catalog.people.runs() if starts_id(key) and run.run_id.startswith(key)]
    if not found:
        raise no_such_run(key)
    if len(found) > 1:
        message = f"Several runs begin with {key!r}."
        raise UnknownIdError(message, "lib.people.runs() lists the runs.")
    return found[0]


def compare(catalog: Catalog, first: ClusterRun | str, second: ClusterRun | str | None) -> Comparison:
    """What moved from one run to another, or to the people as they are now."""
    from facekit.metrics.clusters import evaluate_clusters

    one = find_run(catalog, first).run_id
    before = _groups(catalog, one)
    other = NOW if second is None else find_run(catalog, second).run_id
    after = _groups(catalog, other)
    both = sorted(before.keys() & after.keys())
    before, after = {key: before[key] for key in both}, {key: after[key] for key in both}
    moved = moved_faces(before, after)
    split, joined = split_and_joined(before, after)
    called, called_now = _labels(catalog, before, after)
    rows = catalog.faces_by_id(moved[:_MOST_MOVES])
    places = catalog.places(row.photo_id for row in rows.values())
    moves = [
        Move(
            key,
            places[rows[key].photo_id][0].display,
            called[before[key]],
            called_now[after[key]],
        )
        for key in moved[:_MOST_MOVES]
        if key in rows and rows[key].photo_id in places
    ]
    if both:
        numbers = {group: at for at, group in enumerate({*before.values(), *after.values()} - {None})}
        sides = [np.array([numbers.get(side[key], -1) for key in both]) for side in (before, after)]
        alone = np.arange(len(both)) + len(numbers)  # faces that are in no group are each a group of their own
        sides = [np.where(side < 0, alone, side) for side in sides]
        agreement = float(evaluate_clusters(sides[1], sides[0]).bcubed_f)
    else:
        agreement = 1.0
    return Comparison(one, other, len(both), len(both) - len(moved), tuple(moves), split, joined, agreement)


def _groups(catalog: Catalog, which: str) -> dict[str, Hashable]:
    if which != NOW:
        run = catalog.people.proposal(which)  # somebody with a single face is no cluster, and a person
        return {key: run.settled.get(key) if label < 0 else label for key, label in run.labels.items()}
    owners = catalog.people.owners()
    return {key: owners.get(key) for key in catalog.people.photo_of()}


def _labels(
    catalog: Catalog, before: Mapping[str, Hashable], after: Mapping[str, Hashable]
) -> tuple[dict[Hashable, str | None], dict[Hashable, str | None]]:
    """What the groups of two groupings are called: those that correspond, alike."""
    pairs = matched_groups(before, after)
    groups = {*before.values(), *after.values()}
    people = catalog.people.some(group for group in groups if isinstance(group, str))
    names: dict[Hashable, str | None] = {group: f"cluster {group}" for group in groups}
    names |= {key: one.label for key, one in people.items()} | {None: None}
    second = {group: None if group is None else f"new {names[group]}" for group in after.values()}
    second |= {theirs: names[theirs if theirs in people else ours] for ours, theirs in pairs.items()}
    second |= {key: one.label for key, one in people.items()}
    return names | {ours: second[theirs] for ours, theirs in pairs.items()}, second
