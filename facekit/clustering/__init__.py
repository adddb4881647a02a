"""Faces grouped into people, on arrays; nothing here reads or writes a library.

`cluster` proposes the people, `assign` gives new faces to those there are, and `evaluate_clusters` says how good a
grouping is.
"""

from facekit.clustering.assignment import Assignment, Centres, assign, centres
from facekit.clustering.constraints import ConstraintConflict, Constraints
from facekit.clustering.methods import METHODS, Method, cluster
from facekit.clustering.neighbours import NeighbourCurve, neighbour_curve, suggest_eps
from facekit.metrics.clusters import ClusterScores, evaluate_clusters

Conflict = ConstraintConflict  # its name before

__all__ = [
    "METHODS",
    "Assignment",
    "Centres",
    "ClusterScores",
    "ConstraintConflict",
    "Constraints",
    "Method",
    "NeighbourCurve",
    "assign",
    "centres",
    "cluster",
    "evaluate_clusters",
    "neighbour_curve",
    "suggest_eps",
]
