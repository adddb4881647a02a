"""``facekit cluster``, ``people``, ``name``, ``merge``, ``split``, ``undo`` and ``runs``: who is in the photos."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facekit.arguments import PAGE
from facekit.cli.terminal import AsJson, note, open_existing, out, plain, print_json, print_table
from facekit.types.people import SHORT_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.people.base import People
    from facekit.types.people import ClusterRun, Entry, Person, Suggestion

Who = Annotated[str, typer.Argument(metavar="WHO", help="A name, or the first six digits of an id or more.")]


def cluster(
    context: typer.Context,
    method: Annotated[str | None, typer.Option(help="How to group; by default the method that measured best.")] = None,
    eps: Annotated[
        float | None, typer.Option(min=0, max=2, help="Cosine distance; by default the method's for the embedder.")
    ] = None,
    min_faces: Annotated[int, typer.Option(min=1, help="Faces that make a person; dbscan and hdbscan: up to 256.")] = 2,
    number: Annotated[int | None, typer.Option("--people", min=1, help="How many people, for kmeans.")] = None,
    propose: Annotated[bool, typer.Option(help="Change nothing yet: see `facekit runs`.")] = False,
    as_json: AsJson = False,
) -> None:
    """Group the faces into people. Whom you named, merged or corrected stays as you left them. Ctrl-C is safe."""
    with open_existing(context) as library, note.status("Grouping faces ..."):
        run = library.people.cluster(method, eps=eps, min_faces=min_faces, people=number, accept=not propose)
    if as_json:
        print_json(run.to_dict())
        return
    out.print(repr(run), markup=False, soft_wrap=True)
    short = run.run_id[:SHORT_ID]
    following = f"facekit runs {short} --accept" if propose else 'facekit people, then facekit name ID "Anna"'
    out.print(f"Next: {following}", markup=False, soft_wrap=True)


def people(
    context: typer.Context,
    hidden: Annotated[bool, typer.Option("--hidden", help="The hidden people instead of the others.")] = False,
    review: Annotated[bool, typer.Option("--review", help="What is most worth deciding, instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the people: named ones first, then those with most faces."""
    if hidden and review:
        message = "--hidden and --review don't go together"
        raise typer.BadParameter(message)
    with open_existing(context) as library:
        if review:
            _print_review(library.people.review(), as_json=as_json)
            return
        found = list(_all(library.people, hidden=hidden))
    if as_json:
        print_json([_person(one) for one in found])
        return
    rows = [[one.person_id[:SHORT_ID], one.name, one.faces, one.photos] for one in found]
    print_table(["id", "name", "faces", "photos"], rows)
    out.print(f"{len(rows)} people")


def name(
    context: typer.Context,
    who: Who,
    new_name: Annotated[str, typer.Argument(metavar="NAME", help='The name; "" takes it away.')],
    as_json: AsJson = False,
) -> None:
    """Give a person a name, or another one."""
    with open_existing(context) as library:
        _print_person(library.people.name(who, new_name or None), as_json=as_json)


def merge(
    context: typer.Context,
    who: Who,
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="Who else this is.")],
    as_json: AsJson = False,
) -> None:
    """Say that several are one person: the first, who takes the others' faces, and a name if it had none."""
    with open_existing(context) as library:
        _print_person(library.people.merge(who, *others), as_json=as_json)


def split(
    context: typer.Context,
    who: Who,
    faces: Annotated[list[str], typer.Argument(metavar="FACE_ID...", help="Faces that are somebody else.")],
    new_name: Annotated[str | None, typer.Option("--name", help="Whose they are.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say that some of a person's faces are somebody else; `facekit export people` lists the faces' ids."""
    with open_existing(context) as library:
        _print_person(library.people.split(who, faces, new_name), as_json=as_json)


def undo(
    context: typer.Context,
    number: Annotated[
        int | None, typer.Argument(min=1, help="Which entry of the journal; by default the last.")
    ] = None,
    journal: Annotated[bool, typer.Option("--list", help="Show the journal instead: what was done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take back what was done to people; undoing an undo does it again."""
    if journal and number is not None:
        message = "--list takes no number"
        raise typer.BadParameter(message)
    with open_existing(context) as library:
        entries = library.people.journal() if journal else (library.people.undo(number),)
    if as_json:
        documents = [asdict(entry) | {"at": entry.at.isoformat()} for entry in entries]
        print_json(documents if journal else documents[0])
    else:
        _print_entries(entries)


def runs(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Compare this run with the people now.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Take over what RUN proposed.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Throw RUN away.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the groupings; with RUN, show what it would move, or accept or discard it."""
    if (accept and discard) or (run is None and (accept or discard)):
        message = "name one RUN, and one of --accept and --discard"
        raise typer.BadParameter(message)
    result: Any
    with open_existing(context) as library:
        if run is None:
            found = library.people.runs()
            result = [_run(one) for one in found]
            words = "\n".join(repr(one) for one in found) or "There are no runs yet: facekit cluster makes one."
        elif accept:
            taken = library.people.accept(run)
            result, words = _run(taken), repr(taken)
        elif discard:
            library.people.discard(run)
            result, words = {"run": run, "state": "discarded"}, f"Run {run} is discarded."
        else:
            compared = library.people.compare(run)
            result, words = asdict(compared), repr(compared)
    if as_json:
        print_json(result)
    else:
        out.print(words, markup=False, soft_wrap=True)


def _all(library_people: People, *, hidden: bool) -> Iterator[Person]:
    offset = 0
    while found := library_people.page(hidden=hidden, offset=offset, limit=PAGE.most).people:
        yield from found
        offset += len(found)


def _person(one: Person) -> dict[str, Any]:
    """The document of a person."""
    keys = ("person_id", "name", "faces", "photos", "hidden", "settled", "cover")
    return {key: getattr(one, key) for key in keys}


def _run(one: ClusterRun) -> dict[str, Any]:
    return one.to_dict() | {"state": one.state, "created_at": one.created_at.isoformat(), "parameters": one.parameters}


def _print_person(one: Person, *, as_json: bool) -> None:
    if as_json:
        print_json(_person(one))
    else:
        out.print(f"{plain(one.label)}: {one.faces} faces, {one.photos} photos", soft_wrap=True)


def _print_entries(entries: tuple[Entry, ...]) -> None:
    rows = [
        [entry.number, f"{entry.at:%Y-%m-%d %H:%M}", entry.user, entry.words, "undone" if entry.undone else None]
        for entry in entries
    ]
    print_table(["number", "when", "who", "what", ""], rows)


def _print_review(suggestions: tuple[Suggestion, ...], *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for one in suggestions:
        candidates = [
            {"person_id": other.person.person_id, "person": other.person.name, "similarity": round(other.similarity, 6)}
            for other in one.candidates
        ]
        rows.append(
            {
                "kind": one.kind,
                "face_id": None if one.face is None else one.face.face_id,
                "photo": one.photo or None,
                "person_id": None if one.person is None else one.person.person_id,
                "candidates": candidates,
            }
        )
    if as_json:
        print_json(rows)
        return
    cells = [
        [
            f"face {one.face.face_id[:SHORT_ID]} on {one.photo}" if one.face else one.person and one.person.label,
            one.candidates[0].person.label if one.candidates else None,
            f"{one.candidates[0].similarity:.3f}" if one.candidates else None,
        ]
        for one in suggestions
    ]
    print_table(["is this", "the same as", "similarity"], cells)
    out.print(f"{len(cells)} to decide")
