"""What a run's clusters mean for people, and what moved from one grouping to another: for any input."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import example, given, settings

from facekit.people.acceptance import Plan, Standing, plan
from facekit.people.comparison import matched_groups, moved_faces, split_and_joined
from facekit.types.people import Proposal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facekit.people.acceptance import Plan

FACES = [f"face{number}" for number in range(12)]
PEOPLE = ["anna", "ivan", "maria", "olga"]

groupings = st.dictionaries(st.sampled_from(FACES), st.integers(-1, 4))


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """People of whom some are settled, whose faces are partly out of the library now."""
    settled = draw(st.sets(st.sampled_from(PEOPLE)))
    owners = draw(st.dictionaries(st.sampled_from(FACES), st.sampled_from(PEOPLE)))
    rejected = (
        st.sets(st.tuples(st.sampled_from(FACES), st.sampled_from(sorted(settled)))) if settled else st.just(set())
    )
    photos = draw(st.dictionaries(st.sampled_from(FACES), st.sampled_from(["beach", "party", "wedding", "school"])))
    return Standing(owners, PEOPLE, settled, draw(rejected), photos, draw(st.sets(st.sampled_from(["beach"]))))


def settled_in(now: Standing) -> dict[str, str]:
    return {face: owner for face, owner in now.owners.items() if owner in now.settled}


def planned(labels: Mapping[str, int], now: Standing) -> Plan:
    """What a run that has just ended would change."""
    return plan(Proposal(labels, settled_in(now)), now)


def carried_out(done: Plan, now: Standing) -> Standing:
    """How things stand after a plan."""
    owners = {face: owner for face, owner in {**now.owners, **done.owners}.items() if owner}
    people = [one for one in [*now.people, *done.new] if one not in done.gone]
    return Standing(owners, people, now.settled, now.rejected, now.photo, now.allowed_twice)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(groupings, standings())
def test_a_plan_takes_nothing_from_settled_people_and_breaks_no_rule(labels: dict[str, int], now: Standing) -> None:
    done = planned(labels, now)
    after = carried_out(done, now)
    for face, owner in done.owners.items():
        assert now.owners.get(face) not in now.settled
        assert owner is None or (owner in after.people and face in now.photo)
        assert (face, owner) not in now.rejected
    assert not set(done.gone) & (set(now.settled) | set(after.owners.values()))
    assert set(done.new) <= set(after.owners.values())
    assert set(after.owners.values()) <= set(after.people)
    given_by_run = {face for face, owner in done.owners.items() if owner}
    shown = Counter((owner, now.photo[face]) for face, owner in after.owners.items() if face in now.photo)
    for face in given_by_run - {face for face in given_by_run if now.photo[face] in now.allowed_twice}:
        assert shown[after.owners[face], now.photo[face]] == 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(groupings, standings())
def test_a_run_that_is_accepted_again_changes_nothing(labels: dict[str, int], now: Standing) -> None:
    once = carried_out(planned(labels, now), now)
    again = plan(Proposal(labels, settled_in(now)), once)
    assert (again.owners, again.new, again.gone) == ({}, [], [])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(groupings, standings())
def test_a_cluster_is_one_person_at_most_but_for_the_settled_ones(labels: dict[str, int], now: Standing) -> None:
    after = carried_out(planned(labels, now), now)
    for label in set(labels.values()) - {-1}:
        inside = [face for face, of in labels.items() if of == label and face in now.photo]
        free = [face for face in inside if now.owners.get(face) not in now.settled]
        settled = {now.owners[face] for face in inside if now.owners.get(face) in now.settled}
        given_to = {after.owners[face] for face in free if face in after.owners}
        assert len(given_to) <= 1
        if settled:
            assert given_to <= (settled if len(settled) == 1 else set())


def test_a_settled_person_is_on_a_photo_once() -> None:
    now = Standing({"face0": "anna"}, ["anna"], {"anna"}, (), {"face0": "party", "face1": "party", "face2": "beach"})
    assert planned({"face0": 0, "face1": 0, "face2": 0}, now).owners == {"face2": "anna"}


def test_two_clusters_of_one_settled_person_are_on_a_photo_once() -> None:
    photos = {"face0": "a", "face1": "b", "face2": "party", "face3": "party"}
    now = Standing({"face0": "anna", "face1": "anna"}, ["anna"], {"anna"}, (), photos)  # merged after the run
    assert planned({"face0": 0, "face2": 0, "face1": 1, "face3": 1}, now).owners == {"face2": "anna"}


def test_an_unsettled_person_keeps_id_and_the_faces_that_the_run_did_not_look_at() -> None:
    photos = {face: face for face in FACES}
    now = Standing(dict.fromkeys(FACES[:4], "anna"), ["anna"], (), (), photos)
    assert planned({"face0": 0, "face1": 0, "face2": 1, "face9": 1}, now).owners.keys() == {"face2", "face9"}
    assert planned({"face0": -1, "face1": -1}, now).gone == ["anna"]  # nothing is left that the rest could be like


groups = st.dictionaries(st.sampled_from(FACES), st.sampled_from(["a", "b", "c", None]))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(groups, groups)
@example({"face0": None}, {"face0": "a"})
def test_a_comparison_counts_what_came_apart_and_what_was_joined(
    first: Mapping[str, str | None], second: Mapping[str, str | None]
) -> None:
    pairs = matched_groups(first, second)
    assert len(set(pairs.values())) == len(pairs)
    moved = moved_faces(first, second)
    both = first.keys() & second.keys()
    assert set(moved) <= both
    for face in both - set(moved):
        assert pairs.get(first[face]) == second[face]
    assert split_and_joined(first, second) == split_and_joined(second, first)[::-1]


@given(groups)
@settings(deadline=None, derandomize=True)
def test_other_names_for_the_same_groups_move_nothing(first: Mapping[str, str | None]) -> None:
    second = {face: group and group.upper() for face, group in first.items()}
    assert moved_faces(first, second) == []
    assert split_and_joined(first, second) == (0, 0)


def test_a_face_that_was_moved_since_the_run_began_does_not_take_its_cluster_along() -> None:
    faces = [f"y{number}" for number in range(1, 8)]
    owners = dict.fromkeys(faces, "stranger") | {"a1": "anna"}
    photo = {face: f"on-{face}" for face in owners}
    labels = dict.fromkeys(faces, 1) | {"a1": 0}
    moved = Standing(owners | {"y1": "anna"}, ["anna", "stranger"], ["anna"], [], photo)
    done = plan(Proposal(labels, {"a1": "anna"}), moved)
    assert done.gone == []
    assert "anna" not in {done.owners.get(face) for face in faces[1:]}


def test_people_who_were_merged_since_the_run_began_still_get_their_clusters() -> None:
    owners = {"a1": "anna", "b1": "anna", "x1": "nobody in particular"}
    photo = {face: f"on-{face}" for face in owners}
    merged = Standing(owners, ["anna", "nobody in particular"], ["anna"], [], photo)
    done = plan(Proposal({"a1": 0, "b1": 1, "x1": 1}, {"a1": "anna", "b1": "berta"}), merged)
    assert done.owners == {"x1": "anna"}
