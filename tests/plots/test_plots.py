"""Figures of the people in a library: what they show, and what they say where there is little to show."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import need

import facekit as fk
from facekit import plots

if TYPE_CHECKING:
    from pathlib import Path

    import plotly.graph_objects as go

    from facekit.library.base import Library


@pytest.fixture
def named(demo_library: Library) -> Library:
    """The demo's library with both people named, one of them as a page's HTML would have it."""
    demo_library.people.cluster()
    for person, name in zip(demo_library.people, ("Eileen", "<i>Grace</i>"), strict=True):
        demo_library.people.name(person, name)
    return demo_library


def words(figure: go.Figure) -> str:
    return " ".join(one.text for one in figure.layout.annotations)


def test_markup_in_names_is_shown_and_not_followed(demo_library: Library) -> None:
    link = '<a href="https://example.org">Anna</a> $x$'
    demo_library.people.cluster()
    for number, person in enumerate(demo_library.people):
        demo_library.people.name(person, f"{link} {number}")
    for figure in (plots.similarity_heatmap(demo_library), plots.together(demo_library)):
        document = figure.to_json()
        assert "&lt;a href=" in document or "\\u0026lt;a href=" in document
        assert not any(sign in document for sign in ("<a href", "\\u003ca href", "$x$"))


def test_markup_in_what_was_measured_is_shown_and_not_followed() -> None:
    link = "<a href='https://example.org'>way</a>"
    for figure in (
        plots.stages_figure({link: {link: 1.0}}),
        plots.batches_figure({link: {link: {1: 2.0}}}),
    ):
        document = figure.to_json()
        assert not any(sign in document for sign in ("<a href", "\\u003ca href"))


def test_people_who_are_called_by_numbers_stand_side_by_side(demo_library: Library) -> None:
    demo_library.people.cluster()
    for person, name in zip(demo_library.people, ("2", "10"), strict=True):
        demo_library.people.name(person, name)
    figure = plots.similarity_heatmap(demo_library)
    assert set(figure.data[0].x) == {"2", "10"}
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("category", "category")


def needs_umap() -> None:
    from importlib.util import find_spec

    need(find_spec("umap"), "the package umap-learn is not installed")


# -- the projection ------------------------------------------------------------------------------------------------


def test_faces_of_one_person_lie_together(lfw: Path) -> None:
    needs_umap()
    people = [photos for one in sorted(lfw.iterdir()) if len(photos := sorted(one.glob("*.jpg"))) >= 8][:3]
    photos = [photo for one in people for photo in one[:8]]
    vectors = []
    for photo in photos:
        image = fk.read_image(photo)
        vectors.append(fk.embed(image, fk.detect(image)[:1])[0])
    at = fk.project(np.array(vectors))
    assert at.shape == (24, 2)
    assert at.dtype == np.float32
    assert np.array_equal(at, fk.project(np.array(vectors)))
    centres = at.reshape(3, 8, 2).mean(axis=1)
    nearest = np.linalg.norm(at[:, None] - centres[None], axis=2).argmin(axis=1)
    assert (nearest == np.repeat(np.arange(3), 8)).mean() > 0.9


@pytest.mark.parametrize("faces", range(8))
def test_a_few_faces_can_be_laid_out_too(faces: int) -> None:
    needs_umap()
    vectors = np.random.default_rng(0).normal(size=(faces, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    at = fk.project(vectors)
    assert at.shape == (faces, 2)
    assert np.isfinite(at).all()
    if faces == 2:
        assert np.isclose(np.linalg.norm(at[0] - at[1]), np.linalg.norm(vectors[0] - vectors[1]))


def test_many_faces_are_laid_out_by_the_neighbours_that_clustering_uses() -> None:
    needs_umap()
    random = np.random.default_rng(0)
    centres = random.normal(size=(10, 32))
    vectors = np.repeat(centres, 500, axis=0) + random.normal(scale=0.4, size=(5000, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    at = fk.project(vectors).reshape(10, 500, 2)
    middles = np.median(at, axis=1)
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=2)[np.triu_indices(10, 1)]
    assert np.median(np.linalg.norm(at - middles[:, None], axis=2)) < np.median(apart) / 2


def test_without_umap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(fk.FacekitError, match=r'pip install "facekit\[people\]"'):
        fk.project(np.eye(6))


def test_what_cant_be_laid_out_is_refused() -> None:
    with pytest.raises(fk.EmbeddingError, match="Row 1"):
        fk.project(np.array([[1, 0], [0, 0]]))
    with pytest.raises(fk.FacekitError, match="neighbours is at least 2"):
        fk.project(np.eye(6), neighbours=1)


# -- the figures ---------------------------------------------------------------------------------------------------


def test_the_map_has_a_dot_for_each_face_in_its_persons_colour(named: Library) -> None:
    needs_umap()
    figure = plots.people_map(named)
    dots = {trace.name: trace for trace in figure.data}
    assert set(dots) - {"nobody's"} == {"Eileen", "&lt;i&gt;Grace&lt;/i&gt;"}
    assert {trace.type for trace in figure.data} == {"scattergl"}
    assert len(dots["Eileen"].x) == named.people.get("Eileen").faces
    assert dots["Eileen"].marker.color != dots["&lt;i&gt;Grace&lt;/i&gt;"].marker.color
    assert any(text == "<b>Eileen</b><br>portrait.png" for text in dots["Eileen"].text)
    total = len(named.embeddings()[0])
    assert words(figure) == f"{total} faces"
    assert sum(len(trace.x) for trace in figure.data) == total


def test_the_map_says_that_it_shows_a_sample(named: Library) -> None:
    needs_umap()
    figure = plots.people_map(named, max_faces=10)
    assert sum(len(trace.x) for trace in figure.data) == 10
    assert words(figure) == f"10 of {len(named.embeddings()[0])} faces, chosen at random"


def test_unnamed_and_hidden_people_are_grey(demo_library: Library) -> None:
    needs_umap()
    demo_library.people.cluster()
    first, second = demo_library.people
    demo_library.people.name(first, "Eileen")
    demo_library.people.hide(first)
    (trace,) = [one for one in plots.people_map(demo_library).data if one.name == "people"]
    assert set(trace.marker.color) <= {"#5c5c5c", "#6e6e6e", "#808080", "#929292"}
    assert len(set(trace.marker.color)) == 2
    assert any(text.startswith(f"<b>unnamed {second.person_id[:6]}</b>") for text in trace.text)
    assert not any("Eileen" in text for text in trace.text)


def test_the_heat_map_compares_people(named: Library) -> None:
    figure = plots.similarity_heatmap(named)
    (cells,) = figure.data
    assert set(cells.x) == {"Eileen", "&lt;i&gt;Grace&lt;/i&gt;"}
    ids, vectors = named.embeddings()
    owner = named.people.to_frame().set_index("face_id")["person"]
    mine, hers = (vectors[[owner.get(key) == name for key in ids]] for name in ("Eileen", "<i>Grace</i>"))
    at = list(cells.x).index("Eileen")
    assert np.isclose(cells.z[at][1 - at], (mine @ hers.T).mean(), atol=1e-5)
    own = (mine @ mine.T)[np.triu_indices(len(mine), 1)]
    assert np.isclose(cells.z[at][at], own.mean(), atol=1e-5)
    assert words(figure) == "mean cosine similarity between the faces of 2 people"
    assert words(plots.similarity_heatmap(named, max_people=1)).endswith("1 of 2 people")
    assert list(plots.similarity_heatmap(named, ["Eileen"]).data[0].x) == ["Eileen"]


def test_photos_without_a_date_are_counted(named: Library) -> None:
    assert "photos says when it was taken" in words(plots.timeline(named))


def test_a_person_s_photos_are_counted_by_month_and_by_year(astronaut: Path, tmp_path: Path) -> None:
    from PIL import Image

    for number, taken in enumerate(("2019:01:05", "2019:01:31", "2019:03:01", "")):
        exif = Image.Exif()
        if taken:
            exif.get_ifd(0x8769)[0x9003] = f"{taken} 12:00:00"
        with Image.open(astronaut) as picture:
            small = picture.convert("RGB").resize((300 + number, 300))
        small.save(tmp_path / f"{number}.jpg", exif=exif)
    with fk.open(tmp_path / "faces") as library:
        library.ingest(tmp_path, progress=False)
        faces = [face.face_id for face in library.face_page(include_poor=True).faces]
        library.people.new(faces, "Eileen")
        figure = plots.timeline(library, "Eileen")
        (bars,) = figure.data
        assert list(bars.y) == [2, 0, 1]
        assert list(bars.customdata) == ["Jan 2019", "Feb 2019", "Mar 2019"]
        assert words(figure) == "photos of Eileen by month; 1 of 4 photos have no date"
        (rows,) = plots.timeline(library).data
        assert list(rows.y) == ["Eileen"]
        assert plots.timeline(library).layout.yaxis.type == "category"
        assert np.array_equal(rows.z, [[2, np.nan, 1]], equal_nan=True)
        exif.get_ifd(0x8769)[0x9003] = "2009:07:01 12:00:00"
        small.save(tmp_path / "3.jpg", exif=exif)
        library.ingest(tmp_path, progress=False)
        library.people.move([face.face_id for face in library.face_page(include_poor=True).faces], "Eileen")
        (bars,) = plots.timeline(library, "Eileen").data
        assert list(bars.customdata) == [str(year) for year in range(2009, 2020)]
        assert [bars.y[0], sum(bars.y), bars.y[-1]] == [1, 4, 3]


def test_who_is_with_whom_is_drawn_as_a_line(named: Library) -> None:
    figure = plots.together(named)
    people = figure.data[-1]
    middles = figure.data[-2]
    frame = named.people.to_frame()
    shared = (frame.groupby("photo")["person_id"].nunique() == 2).sum()
    assert set(people.text) == {"Eileen", "&lt;i&gt;Grace&lt;/i&gt;"}
    assert list(middles.text) == [f"Eileen and &lt;i&gt;Grace&lt;/i&gt;: {shared} photos"]
    lines = [trace for trace in figure.data if trace.mode == "lines" and len(trace.x)]
    assert len(lines) == 1
    assert np.allclose(sorted(people.x), sorted(lines[0].x[:2]))
    assert np.isfinite([*people.x, *people.y]).all()


@pytest.mark.parametrize("figure", ["people_map", "similarity_heatmap", "timeline", "together"])
def test_an_empty_library_has_a_figure_that_says_so(figure: str, tmp_path: Path) -> None:
    with fk.open(tmp_path / "faces") as library:
        shown = getattr(plots, figure)(library)
        assert "lib." in words(shown)
        assert not shown.data


def test_a_library_where_nobody_is_known_has_a_map_all_the_same(demo_library: Library) -> None:
    needs_umap()
    (trace,) = plots.people_map(demo_library).data
    assert trace.name == "nobody's"
