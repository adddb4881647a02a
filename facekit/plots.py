"""Plain plotly figures of what facekit measured."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import plotly.graph_objects as go

    from facekit.metrics import RocCurve


def roc_figure(curve: RocCurve, title: str = "") -> go.Figure:
    """Receiver operating characteristic, with the false accept rate on a logarithmic axis.

    Parameters
    ----------
    curve : RocCurve
        From `facekit.metrics.roc`.
    title : str, optional
        Headline of the figure.

    Returns
    -------
    plotly.graph_objects.Figure
        True accept rate over false accept rate; hovering shows the threshold. A false accept rate of 0 has no place
        on a logarithmic axis: these points stand at half of the smallest rate above 0.
    """
    import plotly.graph_objects as go

    floor = curve.far[curve.far > 0].min() / 2
    figure = go.Figure(
        go.Scatter(
            x=np.maximum(curve.far, floor),
            y=curve.tar,
            customdata=np.column_stack([curve.far, curve.thresholds]),
            mode="lines",
            line_shape="hv",
            name="ROC",
            hovertemplate="FAR %{customdata[0]:.2%}<br>TAR %{y:.2%}<br>threshold %{customdata[1]:.3f}<extra></extra>",
        )
    )
    figure.update_layout(
        title={"text": title},
        xaxis={"title": {"text": "False accept rate"}, "type": "log"},
        yaxis={"title": {"text": "True accept rate"}, "tickformat": ".1%"},
    )
    return figure


# Colours that people with any colour vision tell apart, on white and on black: Okabe and Ito,
# "Color Universal Design", https://jfly.uni-koeln.de/color/
_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2")
_TEXT, _GRID = "#7a7a7a", "rgba(128, 128, 128, 0.3)"  # legible on white and on black


def stages_figure(milliseconds: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """What each stage of an ingest costs, as bars.

    Parameters
    ----------
    milliseconds : mapping of str to mapping of str to float
        For each way of running the models, the milliseconds of work a photo by stage.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    import plotly.graph_objects as go

    figure = go.Figure(
        [
            go.Bar(name=way, x=list(stages.values()), y=list(stages), orientation="h", marker_color=colour)
            for (way, stages), colour in zip(milliseconds.items(), cycle(_COLOURS), strict=False)
        ]
    )
    figure.update_traces(hovertemplate="%{y}: %{x:.1f} ms a photo")
    figure.update_layout(barmode="group", xaxis_title="milliseconds of work a photo", hovermode="y unified")
    figure.update_yaxes(autorange="reversed")  # the first stage on top
    return _on_any_theme(figure)


def batches_figure(rates: Mapping[str, Mapping[str, Mapping[int, float]]]) -> go.Figure:
    """How the speed of models grows with the size of the batch.

    Parameters
    ----------
    rates : mapping
        For each task, for each way of running it, items a second by the number of items given at once.

    Returns
    -------
    plotly.graph_objects.Figure
        One panel a task.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=len(rates), subplot_titles=list(rates), horizontal_spacing=0.1)
    ways = list(dict.fromkeys(way for task in rates.values() for way in task))
    colours = dict(zip(ways, cycle(_COLOURS), strict=False))
    for column, task in enumerate(rates.values(), 1):
        for way, by_size in task.items():
            line = go.Scatter(
                name=way,
                x=list(by_size),
                y=list(by_size.values()),
                mode="lines+markers",
                marker_color=colours[way],
                legendgroup=way,
                showlegend=column == 1,
                hovertemplate="%{y:.1f} a second, %{x} at once",
            )
            figure.add_trace(line, row=1, col=column)
    sizes = sorted({size for task in rates.values() for by_size in task.values() for size in by_size})
    figure.update_xaxes(type="log", tickvals=sizes, title="given at once")
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title="a second", col=1)
    return _on_any_theme(figure)


def _on_any_theme(figure: go.Figure) -> go.Figure:
    """Let the notebook's own background through, light or dark."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": _TEXT, "size": 13},
        legend={"orientation": "h", "y": 1.12, "yanchor": "bottom", "x": 0},
        margin={"t": 90, "r": 20, "b": 60, "l": 70},
        height=420,
    )
    figure.update_annotations(font={"color": _TEXT, "size": 15})
    figure.update_xaxes(gridcolor=_GRID, zerolinecolor=_GRID, automargin=True)
    figure.update_yaxes(gridcolor=_GRID, zerolinecolor=_GRID, automargin=True, ticklabelstandoff=6)
    return figure
