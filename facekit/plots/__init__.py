"""Plotly figures: of what facekit measured, and of the people in a library."""

from facekit.plots.faces import people_map
from facekit.plots.measures import batches_figure, calibration_figure, roc_figure, stages_figure
from facekit.plots.people import similarity_heatmap, timeline, together

__all__ = [
    "batches_figure",
    "calibration_figure",
    "people_map",
    "roc_figure",
    "similarity_heatmap",
    "stages_figure",
    "timeline",
    "together",
]
