"""What moved between two groupings of the same faces."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping


def matched_groups(first: Mapping[str, Hashable], second: Mapping[str, Hashable]) -> dict[Hashable, Hashable]:
    """Which group of the second each group of the first corresponds to: the pairs that share most faces, one to one."""
    shared = Counter((first[face], second[face]) for face in first.keys() & second.keys())
    pairs: dict[Hashable, Hashable] = {}
    used: set[Hashable] = set()
    for (a, b), _ in sorted(shared.items(), key=lambda item: (-item[1], str(item[0]))):
        if a is not None and b is not None and a not in pairs and b not in used:
            pairs[a] = b
            used.add(b)
    return pairs


def moved_faces(first: Mapping[str, Hashable], second: Mapping[str, Hashable]) -> list[str]:
    """Faces in both groupings that are not with the group that theirs corresponds to; None is no group."""
    pairs = matched_groups(first, second)
    return sorted(
        face
        for face in first.keys() & second.keys()
        if (first[face] is None) != (second[face] is None)
        or (first[face] is not None and pairs.get(first[face]) != second[face])
    )


def split_and_joined(first: Mapping[str, Hashable], second: Mapping[str, Hashable]) -> tuple[int, int]:
    """How many groups of the first came apart, and how many of the second hold several of the first."""
    pairs = {(first[face], second[face]) for face in first.keys() & second.keys()}
    pairs = {(a, b) for a, b in pairs if a is not None and b is not None}
    came_apart = Counter(a for a, _ in pairs)
    joined = Counter(b for _, b in pairs)
    return sum(n > 1 for n in came_apart.values()), sum(n > 1 for n in joined.values())
