"""What the type checker is told of the widgets' models, which is all it knows of their Python half."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import traitlets

from facekit.widgets import base
from facekit.widgets.appbar import AppBar
from facekit.widgets.base import Widget
from facekit.widgets.gallery import Gallery
from facekit.widgets.ingestform import IngestForm
from facekit.widgets.people.cards import PeopleCards
from facekit.widgets.people.journal import PeopleJournal
from facekit.widgets.people.person import PersonHead
from facekit.widgets.people.review import ReviewQueue
from facekit.widgets.places import PlaceChoice
from facekit.widgets.searchform import SearchForm
from facekit.widgets.signin import SignIn
from facekit.widgets.sourcesform import SourcesForm
from facekit.widgets.tiles import Tile
from facekit.widgets.uploader import Uploader

STATIC = Path(base.__file__).parent / "static"
WIDGETS = [
    AppBar,
    Gallery,
    IngestForm,
    PeopleCards,
    PeopleJournal,
    PersonHead,
    PlaceChoice,
    ReviewQueue,
    SearchForm,
    SignIn,
    SourcesForm,
    Uploader,
]

NAMES = {
    traitlets.Bool: "boolean",
    traitlets.Bytes: "DataView<ArrayBuffer>",
    traitlets.Float: "number",
    traitlets.Int: "number",
    traitlets.Unicode: "string",
}


def members(interface: str) -> dict[str, str]:
    """The members of an interface of ``types.d.ts`` and of those that it extends, with their types."""
    text = (STATIC / "types.d.ts").read_text(encoding="utf-8")
    found = re.search(
        rf"^export interface {interface}(?: extends (\w+))? \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL
    )
    assert found, f"types.d.ts has no {interface}"
    own = dict(re.findall(r"^  (\w+): (.*);$", found[2], re.MULTILINE))
    return (members(found[1]) if found[1] else {}) | own


def name_of(trait: traitlets.TraitType[object, object]) -> str | None:
    """What a trait is in TypeScript; None where that says no more than that it is an object or a list of them."""
    if isinstance(trait, traitlets.List):
        inner = name_of(trait._trait)
        return inner and f"{inner}[]"
    return next((name for kind, name in NAMES.items() if isinstance(trait, kind)), None)


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.__name__)
def test_checker_knows_the_traits_that_python_has(widget: type[Widget]) -> None:
    foreign = set(Widget.class_trait_names()) - {"language", "problem"}  # anywidget's and ipywidgets' own
    traits = {name: trait for name, trait in widget.class_traits(sync=True).items() if name not in foreign}
    told = members(widget.__name__)
    assert set(told) == set(traits)
    assert not [
        (name, told[name]) for name, trait in traits.items() if name_of(trait) not in {None, told[name].strip()}
    ]


def test_checker_knows_every_widget() -> None:
    scripts = {Path(str(path)).stem for path in STATIC.glob("*.js") if "\nexport default" in path.read_text("utf-8")}
    assert len(WIDGETS) == len(scripts)


def test_checker_knows_what_a_tile_has() -> None:
    assert list(members("Tile")) == [field.name for field in dataclasses.fields(Tile)]
