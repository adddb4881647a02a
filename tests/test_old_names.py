"""Imports by the names that modules had before."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

import facekit as fk
from facekit._old_names import NEW_NAMES


@pytest.mark.parametrize("name", sorted(NEW_NAMES))
def test_a_module_is_the_same_by_its_old_name(name: str) -> None:
    module = import_module(name)
    assert module is import_module(NEW_NAMES[name])
    assert module.__name__ == NEW_NAMES[name]
    assert module.__spec__ is not None
    assert module.__spec__.name == NEW_NAMES[name]


def test_rooms_that_were_modules_have_what_was_public_in_them() -> None:
    from facekit.images import Limits, read_image
    from facekit.ingest import IngestReport
    from facekit.library import Library
    from facekit.metrics import roc
    from facekit.people import cluster
    from facekit.types import Face, Person

    assert (fk.Limits, fk.read_image, fk.IngestReport, fk.Library) == (Limits, read_image, IngestReport, Library)
    assert (fk.cluster, fk.Face, fk.Person, roc.__name__) == (cluster, Face, Person, "roc")


def test_importing_facekit_imports_nothing_else_of_it() -> None:
    program = "import facekit, json, sys; print(json.dumps([name for name in sys.modules if 'facekit' in name]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert sorted(json.loads(done.stdout)) == ["facekit", "facekit._old_names", "facekit._version"]


@pytest.mark.parametrize("name", fk.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(fk, name) is getattr(fk, name)


def test_a_class_goes_on_by_the_name_that_it_had() -> None:
    from facekit.clustering import Conflict, ConstraintConflict

    assert Conflict is ConstraintConflict
