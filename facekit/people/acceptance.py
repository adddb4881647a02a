"""What a run's clusters mean for the people that there are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from facekit.types.people import Proposal


@dataclass(frozen=True, slots=True)
class Plan:
    """What accepting a run changes.

    Parameters
    ----------
    owners : dict of str to str or None
        Whose each face is afterwards, of the faces for which that changes.
    new : list of str
        Ids of people who are new.
    gone : list of str
        Ids of people who are no more; the user never touched them.
    """

    owners: dict[str, str | None]
    new: list[str]
    gone: list[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand before a run is accepted.

    Parameters
    ----------
    owners : mapping of str to str
        Whose faces are, by face id.
    people, settled : collection of str
        Everybody, and those whom the user touched.
    rejected : collection of tuple of str, str
        Which face is not which person.
    photo : mapping of str to str
        The photo of every face in the library.
    allowed_twice : collection of str
        Photos that may show a face twice.
    """

    owners: Mapping[str, str]
    people: Collection[str]
    settled: Collection[str]
    rejected: Collection[tuple[str, str]]
    photo: Mapping[str, str]
    allowed_twice: Collection[str] = ()


def plan(proposal: Proposal, now: Standing) -> Plan:
    """Make people of clusters, without taking anything from those whom the user touched.

    A cluster with faces of one settled person gives that person its other faces. Any other cluster becomes the
    unsettled person with whom it shares most faces, so that ids last, or somebody new. A cluster with faces of several
    settled people says nothing: its other faces are nobody's. A face that the user moved since the run began says
    nothing about the others.

    Parameters
    ----------
    proposal : Proposal
        What the run proposes. Faces that are not in the library any more are passed over.
    now : Standing
        How things stand.
    """
    labels = proposal.labels
    clusters: dict[int, list[str]] = {}
    for face in sorted(labels):
        if labels[face] >= 0 and face in now.photo:
            clusters.setdefault(labels[face], []).append(face)
    targets, new = _targets(clusters, proposal.settled, now)
    taken = _photos({face: owner for face, owner in now.owners.items() if owner in now.settled}, now)
    after: dict[str, str | None] = {}
    for label, members in clusters.items():
        free = [face for face in members if now.owners.get(face) not in now.settled]
        after |= dict.fromkeys(free)
        if label in targets:
            target = targets[label]
            after |= dict.fromkeys(_fitting(free, target, taken.setdefault(target, set()), now), target)
    given = _photos(after, now)
    kept = set(targets.values())
    for face, owner in now.owners.items():
        if owner in now.settled or face in after:
            continue
        # Not in a cluster: unsettled people keep what the run did not look at, unless it says who they are there.
        if owner not in kept or face in labels or now.photo.get(face) in given.get(owner, ()):
            after[face] = None
    changed = {face: owner for face, owner in after.items() if now.owners.get(face) != owner}
    used = {owner for owner in after.values() if owner}
    used |= {owner for face, owner in now.owners.items() if face not in after}
    gone = set(now.people) - set(now.settled) - used
    return Plan(changed, [one for one in new if one in used], sorted(gone))


def _photos(owners: Mapping[str, str | None], now: Standing) -> dict[str, set[str]]:
    """The photos on which each person has one of the faces, but for those that may show a face twice."""
    photos: dict[str, set[str]] = {}
    for face, owner in owners.items():
        photo = now.photo.get(face)
        if owner and photo and photo not in now.allowed_twice:
            photos.setdefault(owner, set()).add(photo)
    return photos


def _fitting(faces: list[str], person: str, taken: set[str], now: Standing) -> list[str]:
    """Those of the faces that nothing keeps from being a person's: one a photo; ``taken`` photos are added to."""
    chosen = []
    for face in faces:
        photo = now.photo[face]
        if (face, person) not in now.rejected and (photo not in taken or photo in now.allowed_twice):
            chosen.append(face)
            taken.add(photo)
    return chosen


def _anchored(face: str, before: Mapping[str, str], now: Standing) -> bool:
    """Whether a face was with the settled person that it is with when the run began, or with one merged into them."""
    was, owner = before.get(face), now.owners.get(face)
    return was is not None and owner in now.settled and (was == owner or was not in now.people)


def _targets(
    clusters: Mapping[int, list[str]], before: Mapping[str, str], now: Standing
) -> tuple[dict[int, str], list[str]]:
    """Which person each cluster is, and which of them are new."""
    targets: dict[int, str] = {}
    shared: Counter[tuple[int, str]] = Counter()
    free = []
    for label, members in clusters.items():
        anchors = {now.owners[face] for face in members if _anchored(face, before, now)}
        owners = [now.owners[face] for face in members if face in now.owners]
        here = Counter(owner for owner in owners if owner not in now.settled)
        if len(anchors) == 1:
            targets[label] = anchors.pop()
        elif not anchors:
            free.append(label)
            shared.update({(label, person): number for person, number in here.items()})
    used: set[str] = set()
    for (label, person), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
        if label not in targets and person not in used:
            targets[label] = person
            used.add(person)
    new = []
    for label in free:
        if label not in targets:
            targets[label] = uuid4().hex
            new.append(targets[label])
    return targets, new
