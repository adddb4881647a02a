"""Plain plotly figures of what facekit measured."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Protocol

import numpy as np

from facekit.plots.look import BLUE, COLOURS, GREEN, GREY, GRID, ORANGE, on_any_theme, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import plotly.graph_objects as go

    from facekit.metrics.verification import RocCurve
    from facekit.types.arrays import FloatArray

_FEWEST_BINS, _MOST_BINS = 10, 80


class MeasuredThresholds(Protocol):
    """What a figure shows of a `facekit.Calibration`."""

    @property
    def same(self) -> FloatArray:
        """Similarities of pairs of the same person."""

    @property
    def different(self) -> FloatArray:
        """Those of different people."""

    @property
    def current(self) -> float | None:
        """The threshold so far."""

    @property
    def curve(self) -> pd.DataFrame:
        """Columns threshold, false_accept_rate, false_reject_rate."""

    @property
    def eer_threshold(self) -> float:
        """Where both rates are the same."""

    def supports(self, far: float) -> bool:
        """Whether there are pairs enough for a false accept rate."""

    def threshold(self, far: float) -> float:
        """The threshold of a false accept rate."""


def roc_figure(curve: RocCurve, title: str = "") -> go.Figure:
    """Receiver operating characteristic, with the false accept rate on a logarithmic axis.

    Parameters
    ----------
    curve : RocCurve
        From `facekit.metrics.verification.roc`.
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
        title={"text": plain(title)},
        xaxis={"title": {"text": "False accept rate"}, "type": "log"},
        yaxis={"title": {"text": "True accept rate"}, "tickformat": ".1%"},
    )
    return figure


def calibration_figure(calibration: MeasuredThresholds, far: float = 1e-3) -> go.Figure:
    """How alike the same and different people are, and how often each threshold errs.

    Parameters
    ----------
    calibration : Calibration
        From `facekit.calibrate`.
    far : float
        The false accept rate whose threshold is marked; where there are too few pairs for it, the equal error rate's.

    Returns
    -------
    plotly.graph_objects.Figure
        Left the two distributions of similarities, each of area 1; right both error rates over the threshold, on a
        logarithmic axis, which has no place for a rate of 0. Its background is transparent: it is read on white and
        on black.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    titles = [
        f'<span style="color:{ORANGE}">{first}</span> and <span style="color:{BLUE}">{second}</span>'
        for first, second in (("Different people", "same person"), ("False accepts", "false rejects"))
    ]
    figure = make_subplots(cols=2, subplot_titles=titles, horizontal_spacing=0.14)
    curve = calibration.curve
    few = min(len(calibration.same), len(calibration.different))
    number = int(np.clip(np.sqrt(few), _FEWEST_BINS, _MOST_BINS))
    low, high = curve["threshold"].iloc[0], curve["threshold"].iloc[-1]
    step = max((high - low) / number, 1e-3)
    bins = low + step * np.arange(-1, number + 2)  # with an empty one at either end, where the outline comes down
    middle = (bins[1:] + bins[:-1]) / 2
    plain = {"mode": "lines", "showlegend": False}
    for name, values, colour in (
        ("different people", calibration.different, ORANGE),
        ("same person", calibration.same, BLUE),
    ):
        density = np.histogram(values, bins, density=True)[0]
        style = {"line": {"color": colour, "width": 2, "shape": "hvh"}, "fill": "tozeroy", **plain}
        figure.add_trace(go.Scatter(x=middle, y=density, name=name, hovertemplate="%{y:.2f}", **style), row=1, col=1)
    for name, column, colour in (
        ("false accepts", "false_accept_rate", ORANGE),
        ("false rejects", "false_reject_rate", BLUE),
    ):
        rate = curve[column].where(curve[column] > 0)
        style = {"line": {"color": colour, "width": 2}, "hovertemplate": "%{y:.3~%}", **plain}
        figure.add_trace(go.Scatter(x=curve["threshold"], y=rate, name=name, **style), row=1, col=2)
    if calibration.supports(far):
        marks = [(f"false accept rate {100 * far:g} %", calibration.threshold(far), GREEN, "solid")]
    else:
        marks = [("equal error rate", calibration.eer_threshold, GREEN, "solid")]
    if calibration.current is not None:
        marks.append(("the library's so far", calibration.current, GREY, "dash"))
    for name, threshold, colour, dash in marks:
        figure.add_vline(threshold, line={"color": colour, "dash": dash, "width": 2})
        shown = {"name": f"{name}: {threshold:.3f}", "line": {"color": colour, "dash": dash, "width": 2}}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", **shown), row=1, col=1)
    axis = {"color": GREY, "gridcolor": GRID, "zeroline": False, "showspikes": False}
    rates = [10.0**power for power in range(-7, 1)]
    ticks = {"tickvals": rates, "ticktext": [f"{100 * rate:g} %" for rate in rates]}
    figure.update_xaxes(title={"text": "cosine similarity", "standoff": 8}, hoverformat=".3f", **axis)
    figure.update_yaxes(title={"text": "density", "standoff": 8}, rangemode="tozero", **axis, col=1)
    figure.update_yaxes(title={"text": "share of pairs", "standoff": 8}, type="log", **ticks, **axis, col=2)
    figure.update_layout(
        template="none",
        height=440,
        font={"color": GREY, "size": 13},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"t": 64, "b": 40, "l": 60, "r": 20},
        legend={"orientation": "h", "y": -0.2},
        hovermode="x unified",
        hoverlabel={"bgcolor": "#222222", "font": {"color": "#eeeeee"}, "namelength": -1},
    )
    return figure


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
            go.Bar(
                name=plain(way),
                x=list(stages.values()),
                y=[plain(one) for one in stages],
                orientation="h",
                marker_color=colour,
            )
            for (way, stages), colour in zip(milliseconds.items(), cycle(COLOURS), strict=False)
        ]
    )
    figure.update_traces(hovertemplate="%{y}: %{x:.1f} ms a photo")
    figure.update_layout(barmode="group", xaxis_title="milliseconds of work a photo", hovermode="y unified")
    figure.update_yaxes(autorange="reversed")  # the first stage on top
    return on_any_theme(figure)


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

    figure = make_subplots(cols=len(rates), subplot_titles=[plain(task) for task in rates], horizontal_spacing=0.1)
    ways = list(dict.fromkeys(way for task in rates.values() for way in task))
    colours = dict(zip(ways, cycle(COLOURS), strict=False))
    for column, task in enumerate(rates.values(), 1):
        for way, by_size in task.items():
            line = go.Scatter(
                name=plain(way),
                x=list(by_size),
                y=list(by_size.values()),
                mode="lines+markers",
                marker_color=colours[way],
                legendgroup=plain(way),
                showlegend=column == 1,
                hovertemplate="%{y:.1f} a second, %{x} at once",
            )
            figure.add_trace(line, row=1, col=column)
    sizes = sorted({size for task in rates.values() for by_size in task.values() for size in by_size})
    figure.update_xaxes(type="log", tickvals=sizes, title="given at once")
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title="a second", col=1)
    return on_any_theme(figure)
