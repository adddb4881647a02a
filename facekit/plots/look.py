"""What facekit's figures look like: colours that everybody can tell apart, on light and on dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from facekit.types.people import SHORT_ID

if TYPE_CHECKING:
    import plotly.graph_objects as go

# A grey that stands out as much from white as from the black of JupyterLab's dark theme (4.4 to 1), and colours that
# people who see red and green alike can tell apart (Okabe and Ito, 2008).
GREY = "#797979"
GRID = "rgba(121, 121, 121, 0.25)"
BLUE, ORANGE, GREEN = "#1f83bd", "#d55e00", "#009e73"
COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#56b4e9", "#e69f00")

SCALE = [[0, "#3b528b"], [0.33, "#21918c"], [0.67, "#5ec962"], [1, "#fde725"]]
"""For cells, from few to many: viridis without its darkest quarter, which black would swallow."""


def on_any_theme(figure: go.Figure) -> go.Figure:
    """Let the notebook's own background through, light or dark."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": GREY, "size": 13},
        legend={"orientation": "h", "y": 1.12, "yanchor": "bottom", "x": 0},
        margin={"t": 90, "r": 20, "b": 60, "l": 70},
        height=420,
        hoverlabel={"bgcolor": "#222222", "font": {"color": "#eeeeee"}, "namelength": -1},
    )
    figure.update_annotations(font={"color": GREY, "size": 15})
    figure.update_xaxes(gridcolor=GRID, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True, ticklabelstandoff=6)
    return figure


def nothing(words: str) -> go.Figure:
    """An empty figure that says why."""
    import plotly.graph_objects as go

    figure = on_any_theme(go.Figure())
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(height=200, margin={"t": 20, "b": 20})
    middle = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    figure.add_annotation(text=words, showarrow=False, font={"size": 15, "color": GREY}, **middle)
    return figure


def say(figure: go.Figure, words: str) -> None:
    """Write above the figure what it shows, and how much of it."""
    place = {"x": 0, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 8}
    figure.add_annotation(text=words, showarrow=False, font={"size": 13, "color": GREY}, **place)


def plain(text: str) -> str:
    """A text from outside, so that plotly shows each letter: it takes HTML for HTML, and dollars for MathJax's."""
    return escape(text, quote=False).replace("$", "&#36;")


def shown_name(person_id: str, name: object) -> str:
    """What a person is called in a figure."""
    return plain(name) if isinstance(name, str) else f"unnamed {person_id[:SHORT_ID]}"
