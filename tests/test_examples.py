"""The examples in the docstrings: each public name has one, and all run as they stand."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, SKIP, DocTest, DocTestFinder, DocTestParser, DocTestRunner
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import facekit as fk

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDGETS = ["facekit.widgets.gallery.Gallery", "facekit.widgets.uploader.Uploader"]
"""What else has an example."""


def examples(name: str, value: object) -> list[DocTest]:
    """The docstrings that have examples: of a class, those of its methods too."""
    if isinstance(value, type):
        found = DocTestFinder().find(value, name, module=False, globs={})
    else:
        found = [DocTestParser().get_doctest(value.__doc__ or "", {}, name, None, 0)]
    return [one for one in found if one.examples]


def run(test: DocTest, values: dict[str, Any]) -> dict[str, Any]:
    """Run examples with what they take for granted; returns what is there after them."""
    assert not [example.source for example in test.examples if SKIP in example.options], "an example that never runs"
    test.globs = dict(values)
    said: list[str] = []
    DocTestRunner(optionflags=ELLIPSIS | NORMALIZE_WHITESPACE).run(test, out=said.append, clear_globs=False)
    assert not said, "".join(said)
    return test.globs


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What is there after the package's own example has run, in a folder that stays the current one."""
    pytest.importorskip("skimage")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("examples"))
        [test] = examples("facekit", fk)
        values = run(test, {})
        values.pop("lib").close()
        shutil.copytree("faces", "as it was")
        yield values


def public(name: str) -> object:
    if name in fk.__all__:
        return getattr(fk, name)
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", [*fk.__all__, *WIDGETS])
def test_public_name_has_an_example_that_runs(name: str, beginning: dict[str, Any]) -> None:
    found = examples(name, public(name))
    assert name in {test.name for test in found}, f"the docstring of {name} has no example"
    if not any(re.search(r"\b(lib|hits|faces)\b", example.source) for test in found for example in test.examples):
        run(found[0], beginning)
        return
    shutil.rmtree("faces")
    shutil.copytree("as it was", "faces")
    with fk.open("faces") as lib:
        for test in found:
            run(test, beginning | {"lib": lib, "hits": replace(beginning["hits"], library=lib)})
