"""A map of all faces, alike ones near each other."""

from __future__ import annotations

import base64
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import FacekitError
from facekit.plots.look import COLOURS, GREY, nothing, on_any_theme, plain, say, shown_name

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import plotly.graph_objects as go

    from facekit.library.base import Library
    from facekit.types.arrays import FloatArray

_IN_LEGEND = 24  # people with a colour of their own: more can neither be told apart nor be listed beside the map
_SYMBOLS = ("circle", "diamond", "square", "triangle-up")
_GREYS = ("#5c5c5c", "#6e6e6e", "#808080", "#929292")


def people_map(lib: Library, *, max_faces: int = 20_000, seed: int = 42) -> go.Figure:
    """All faces as dots, alike ones near each other, coloured by person.

    Pointing at a dot says whose face it is and in which photo. In a notebook with a kernel the figure is a plotly
    FigureWidget, and the face is shown beside the map as well; elsewhere it is a plain figure.

    Parameters
    ----------
    lib : Library
        Its usable faces are shown; see `facekit.project` for how they are laid out.
    max_faces : int
        Of more faces a random sample is shown, which the figure says.
    seed : int
        Of the sample and of the layout.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    import plotly.graph_objects as go

    from facekit.clustering.projection import project

    face_ids, vectors = lib.embeddings()
    if not face_ids:
        return nothing("The library has no usable faces yet: lib.ingest(folder)")
    total = len(face_ids)
    if total > max_faces:
        chosen = np.sort(np.random.default_rng(seed).choice(total, max_faces, replace=False))
        face_ids, vectors = [face_ids[number] for number in chosen], vectors[chosen]
    traces, shown = _dots(lib, face_ids, project(vectors, seed=seed))
    figure = on_any_theme(go.Figure(traces))
    figure.update_traces(hovertemplate="%{text}<extra></extra>")
    count = f"{total:,} faces" if len(face_ids) == total else f"{len(face_ids):,} of {total:,} faces, chosen at random"
    say(figure, count)
    nowhere = {"showgrid": False, "showticklabels": False, "ticks": "", "title": None}
    figure.update_xaxes(**nowhere)
    figure.update_yaxes(**nowhere, scaleanchor="x")
    beside = {"orientation": "v", "x": 1.01, "y": 1, "yanchor": "top", "itemsizing": "constant"}
    figure.update_layout(height=620, legend=beside, margin={"t": 40, "l": 20, "b": 20}, hovermode="closest")
    return _with_pictures(figure, shown, lib.face_thumbnail) if _in_a_notebook() else figure


def _dots(lib: Library, face_ids: list[str], at: FloatArray) -> tuple[list[go.Scattergl], list[list[str]]]:
    """The map's dots, and the faces of each trace: nobody's first, so that named people lie on top."""
    import pandas as pd
    import plotly.graph_objects as go

    whose = lib.people.to_frame().set_index("face_id")[["person_id", "person", "hidden"]]
    photos = lib.faces().set_index("face_id")["photo"]
    frame = pd.DataFrame({"x": at[:, 0], "y": at[:, 1]}, index=face_ids).join(whose)
    frame["photo"] = [str(photos.get(key, "")).replace("\\", "/").rpartition("/")[2] for key in frame.index]
    owned = frame[frame["person_id"].notna()]
    seen = owned[owned["hidden"] == False]  # noqa: E712 - of objects; who is hidden is not named by the pointer either
    labels = {key: shown_name(key, name) for key, name in zip(seen["person_id"], seen["person"], strict=True)}
    named = frame[frame["person"].notna() & (frame["hidden"] == False)]  # noqa: E712 - None is neither
    first = list(named["person_id"].value_counts().index)
    coloured = {key: number for number, key in enumerate(first[:_IN_LEGEND])}
    others = owned[~owned["person_id"].isin(coloured)]
    grey = {key: _GREYS[number % len(_GREYS)] for number, key in enumerate(others["person_id"].unique())}
    shades = [grey[key] for key in others["person_id"]]
    groups: list[tuple[str, pd.DataFrame, dict[str, Any]]] = [
        ("nobody's", frame[frame["person_id"].isna()], {"size": 4, "color": GREY, "opacity": 0.35}),
        ("other people" if coloured else "people", others, {"size": 5, "color": shades}),
    ]
    for key, number in coloured.items():
        look = {"size": 7, "color": COLOURS[number % len(COLOURS)], "symbol": _SYMBOLS[number // len(COLOURS)]}
        groups.append((labels[key], frame[frame["person_id"] == key], look))
    traces, shown = [], []
    for name, part, marker in groups:
        if part.empty:
            continue
        who = [f"<b>{labels[key]}</b><br>" if key in labels else "" for key in part["person_id"]]
        text = [one + plain(photo) for one, photo in zip(who, part["photo"], strict=True)]
        traces.append(go.Scattergl(x=part["x"], y=part["y"], text=text, name=name, mode="markers", marker=marker))
        shown.append(list(part.index))
    return traces, shown


def _with_pictures(figure: go.Figure, shown: list[list[str]], picture: Callable[[str], bytes | None]) -> go.Figure:
    """The figure as a widget that shows the face under the pointer in its left margin."""
    import plotly.graph_objects as go

    try:
        widget = go.FigureWidget(figure)
    except ImportError:  # without anywidget there are no widgets
        return figure
    hint = {"text": "point at a dot<br>to see the face", "showarrow": False, "xref": "paper", "yref": "paper"}
    widget.add_annotation(
        **hint, x=0, y=1, xanchor="right", yanchor="top", xshift=-30, font={"color": GREY, "size": 12}
    )
    widget.update_layout(margin={"l": 180})

    def show(_trace: object, points: Any, _state: object) -> None:  # noqa: ANN401 - plotly has no types
        if not points.point_inds:
            return
        data = None
        with suppress(FacekitError):  # removed since, or the library was closed: the words remain
            data = picture(shown[points.trace_index][points.point_inds[0]])
        if data is not None:
            source = "data:image/jpeg;base64," + base64.b64encode(data).decode()
            place = {"xref": "paper", "yref": "paper", "x": -0.02, "y": 1, "xanchor": "right", "yanchor": "top"}
            with widget.batch_update():
                widget.layout.images = [{"source": source, "sizex": 0.25, "sizey": 0.25, **place}]
                widget.layout.annotations[-1].text = ""

    for trace in widget.data:
        trace.on_hover(show)
    return widget


def _in_a_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
