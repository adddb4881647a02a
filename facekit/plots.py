"""Plain plotly figures of what facekit measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
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
