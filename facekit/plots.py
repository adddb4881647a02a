"""Plain plotly figures of what facekit measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from facekit.calibration import Calibration
    from facekit.metrics import RocCurve

# A grey that stands out as much from white as from the black of JupyterLab's dark theme (4.4 to 1), and colours that
# people who see red and green alike can tell apart (Okabe and Ito, 2008).
_GREY = "#797979"
_BLUE, _ORANGE, _GREEN = "#1f83bd", "#d55e00", "#009e73"
_FEWEST_BINS, _MOST_BINS = 10, 80


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


def calibration_figure(calibration: Calibration, far: float = 1e-3) -> go.Figure:
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
        f'<span style="color:{_ORANGE}">{first}</span> and <span style="color:{_BLUE}">{second}</span>'
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
        ("different people", calibration.different, _ORANGE),
        ("same person", calibration.same, _BLUE),
    ):
        density = np.histogram(values, bins, density=True)[0]
        style = {"line": {"color": colour, "width": 2, "shape": "hvh"}, "fill": "tozeroy", **plain}
        figure.add_trace(go.Scatter(x=middle, y=density, name=name, hovertemplate="%{y:.2f}", **style), row=1, col=1)
    for name, column, colour in (
        ("false accepts", "false_accept_rate", _ORANGE),
        ("false rejects", "false_reject_rate", _BLUE),
    ):
        rate = curve[column].where(curve[column] > 0)
        style = {"line": {"color": colour, "width": 2}, "hovertemplate": "%{y:.3~%}", **plain}
        figure.add_trace(go.Scatter(x=curve["threshold"], y=rate, name=name, **style), row=1, col=2)
    if calibration.supports(far):
        marks = [(f"false accept rate {100 * far:g} %", calibration.threshold(far), _GREEN, "solid")]
    else:
        marks = [("equal error rate", calibration.eer_threshold, _GREEN, "solid")]
    if calibration.current is not None:
        marks.append(("the library's so far", calibration.current, _GREY, "dash"))
    for name, threshold, colour, dash in marks:
        figure.add_vline(threshold, line={"color": colour, "dash": dash, "width": 2})
        shown = {"name": f"{name}: {threshold:.3f}", "line": {"color": colour, "dash": dash, "width": 2}}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", **shown), row=1, col=1)
    axis = {"color": _GREY, "gridcolor": "rgba(121, 121, 121, 0.25)", "zeroline": False, "showspikes": False}
    rates = [10.0**power for power in range(-7, 1)]
    ticks = {"tickvals": rates, "ticktext": [f"{100 * rate:g} %" for rate in rates]}
    figure.update_xaxes(title={"text": "cosine similarity", "standoff": 8}, hoverformat=".3f", **axis)
    figure.update_yaxes(title={"text": "density", "standoff": 8}, rangemode="tozero", **axis, col=1)
    figure.update_yaxes(title={"text": "share of pairs", "standoff": 8}, type="log", **ticks, **axis, col=2)
    figure.update_layout(
        template="none",
        height=440,
        font={"color": _GREY, "size": 13},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"t": 64, "b": 40, "l": 60, "r": 20},
        legend={"orientation": "h", "y": -0.2},
        hovermode="x unified",
        hoverlabel={"bgcolor": "#222222", "font": {"color": "#eeeeee"}, "namelength": -1},
    )
    return figure
