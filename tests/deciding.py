"""A person who names, merges and takes back, in a process of their own, beside another one; see `ready`."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import facekit as fk

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

AT_LEAST = 12  # rounds


def decide(place: str | Path, user: str, people: list[str], both: list[str], seed: int, said: Connection) -> None:
    """Name people, merge two, and take back what was done last, by whomever, until told to stop.

    Says "ready", and at the end what was done: names, the number of merges, and the numbers of what takes back.
    Each round does more than it takes back, so that nothing from before is taken back.

    Parameters
    ----------
    place : path or URL
        The library.
    user : str
        Whose names these are.
    people, both : list of str
        Ids: of people whom only this person merges, and of those whom the other one names, too.
    seed : int
        Of chance.
    said : Connection
        To who started this.
    """
    chance = random.Random(seed)
    names: list[str] = []
    done: dict[str, Any] = {"names": names, "merges": 0, "undone": []}
    with fk.open(place) as library:

        def name(who: str) -> None:
            names.append(f"{user} {len(names)}")
            library.people.name(who, names[-1])

        said.send("ready")
        said.recv()
        rounds = 0
        while rounds < AT_LEAST or not said.poll():
            rounds += 1
            name(chance.choice(both))
            there = [one for one in people if one in library.people]
            if len(there) > 1:
                library.people.merge(*chance.sample(there, 2))
                done["merges"] += 1
            else:
                name(there[0])
            done["undone"].append(library.people.undo().number)
            time.sleep(chance.uniform(0, 0.1))
    said.send(done)
